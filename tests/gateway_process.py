"""What the tests against a running gateway share: its configuration, and the keys of its clients."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from beyond_ai.testing import GatewayProcess, UsageFields

PUBLIC_KEY: Final = "iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w="
"""Of the key pair whose seed is 32 bytes of 0x01; kid 1."""

VIRTUAL_KEY: Final = (
    "bai_v1.1.KgAAAAAAAAAHAAAAAAAAAA."
    "-_QZpD6e0L5Cxc1tpC4XoKaP02rMlqh2LdDM3vxNDTTj1Lnz-JKgkzGFsrLV2DWD6BiXCMObBKmyAxtQi_5LAA"
)
"""A valid `bai_v1` key of tenant 42, vpc 7, under that key pair."""

POOL_KEYS: Final = {
    "openai": "sk-pool-openai-fake",
    "anthropic": "sk-ant-pool-anthropic-fake",
    "groq": "gsk-pool-groq-fake",
    "openrouter": "sk-or-pool-openrouter-fake",
    "mistral": "pool-mistral-fake",
    "azure": "pool-azure-fake",
}


def gateway_config(upstream: str, closed: str) -> str:
    """The configuration of a gateway whose providers are all at the authority UPSTREAM.

    `openrouter` is reached under another host name, `azure` is added by configuration with a key scheme of its own,
    `mistral` is at CLOSED, where nobody listens, and `xai` has no pool key.
    """
    port = upstream.rpartition(":")[2]
    pool_keys = "\n".join(f'{provider} = "{key}"' for provider, key in POOL_KEYS.items())
    return f"""
listen = "127.0.0.1:0"
metrics_listen = "127.0.0.1:0"
workers = 1
upstream_tls = false
rate_limit_rps = 0
byo_rate_limit_rps = 0
circuit_breaker_threshold = 0

[signing_keys]
1 = "{PUBLIC_KEY}"

[pool_keys]
{pool_keys}

[provider_authorities]
openai = "{upstream}"
anthropic = "{upstream}"
groq = "{upstream}"
xai = "{upstream}"
azure = "{upstream}"
openrouter = "localhost:{port}"
mistral = "{closed}"

[provider_auth_schemes]
azure = "api-key"
"""


@dataclass(frozen=True, slots=True)
class Caller:
    """A client of the gateway: with a virtual key (managed) or with its provider's own (byo)."""

    managed: bool
    openai_key: str
    anthropic_key: str

    def __str__(self) -> str:
        return "managed" if self.managed else "byo"


MANAGED: Final = Caller(True, VIRTUAL_KEY, VIRTUAL_KEY)
BYO: Final = Caller(False, "sk-fake-of-the-client", "sk-ant-fake-of-the-client")
CALLERS: Final = (MANAGED, BYO)


def check_usage(
    gateway: GatewayProcess, caller: Caller, request_id: str | None, **expected: object
) -> UsageFields | None:
    """Check the usage event of a request that has ended: EXPECTED fields for a managed one, no event for the other."""
    assert request_id, "no x-beyond-request-id"
    if not caller.managed:
        assert request_id not in {fields["request_id"] for fields in gateway.usage}
        return None
    event = gateway.wait_usage_event(request_id)
    whole: dict[str, object] = {"tenant_id": 42, "vpc_id": 7, **expected}
    assert {name: event.get(name) for name in whole} == whole
    return event


def workers_of(gateway: GatewayProcess) -> list[int]:
    """The processes that serve GATEWAY's clients, as Linux lists them: its children, or itself where it has none."""
    pid = gateway.process.pid
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()] or [pid]


def resident(gateway: GatewayProcess) -> int:
    """Bytes of memory that GATEWAY's workers hold, as Linux counts them."""
    return sum(map(resident_of, workers_of(gateway)))


def resident_of(pid: int) -> int:
    """Bytes of memory that the process PID holds."""
    status = Path(f"/proc/{pid}/status").read_text()
    [kilobytes] = re.findall(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
    return int(kilobytes) << 10
