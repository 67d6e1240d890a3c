"""The reject table on a running gateway, row by row: bytes, headers, metric, log line, and which row comes first.

The rows stand in the order in which they are asked, as `docs/gateway.md` has them. Each has a fault, which makes a
request that is otherwise in order meet the row. A request with the faults of two rows gets the earlier one.
"""

import asyncio
import contextlib
import re
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import count, pairwise
from pathlib import Path
from typing import Final

import nats
import pytest
from nacl.signing import SigningKey
from tests.fidelity.matrix import BODY, JSON, OK
from tests.gateway_process import PUBLIC_KEY
from tests.integration.exchanges import HOST, id_of, logged, metrics
from tests.nats_server import NatsServer

from beyond_ai import Identity
from beyond_ai.gateway import rejection
from beyond_ai.gateway.metrics import REASONS
from beyond_ai.gateway.rejection import MAX_BODY, Rejection
from beyond_ai.testing import (
    Close,
    GatewayProcess,
    ReadBody,
    ScriptedUpstream,
    Send,
    Until,
    WireClient,
    WireResponse,
    chunk,
    request,
    response,
)
from beyond_ai_plugins.auth.token import mint

OURS: Final = SigningKey(bytes([1]) * 32)
THEIRS: Final = SigningKey(bytes([2]) * 32)
DENIED: Final = {9001: b"spend", 9002: b"fraud", 9003: b"because"}
"""Tenants in the deny-set, and why."""
CEILING: Final = 3
BREAKS: Final = 3
ROOM: Final = 512 << 20
TWO_READS: Final = BODY[:-1] + b" " * 400_000 + BODY[-1:]
"""A body that no single read holds, and that is collected all the same."""
PATHS: Final = {"openai": "/v1/responses", "anthropic": "/v1/messages"}
FRESH: Final = [f"fresh{number}" for number in range(100)]
"""Providers, one for each test: what breaks one must not be met by another."""
GONE: Final = [f"gone{number}" for number in range(10)]
"""The same, where nobody listens."""
MEGABYTE: Final = chunk(bytes(1 << 20))
DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "gateway.md"

_fresh, _gone, _tenants = iter(FRESH), iter(GONE), count(1)


# The gateways: one with ceilings, one with everything else


def config(upstream: str, closed: str, nats_url: str, *, ceiling: int, room: int) -> str:
    authorities = dict.fromkeys((*FRESH, "anthropic", "openai", "keyless"), upstream)
    authorities |= dict.fromkeys((*GONE, "xai"), closed)
    return f"""
listen = "127.0.0.1:0"
metrics_listen = "127.0.0.1:0"
nats_url = "{nats_url}"
upstream_tls = false
read_timeout_secs = 1
rate_limit_rps = {ceiling}
byo_rate_limit_rps = {ceiling}
circuit_breaker_threshold = {BREAKS}
circuit_breaker_window_secs = 600
circuit_breaker_reset_secs = 600
tenant_max_in_flight = {0 if ceiling else 1}
max_buffered_body_bytes = {room}
[signing_keys]
1 = "{PUBLIC_KEY}"
[provider_authorities]
{chr(10).join(f'{name} = "{authority}"' for name, authority in authorities.items())}
[pool_keys]
{chr(10).join(f'{name} = "pool-fake"' for name in authorities if name != "keyless")}
"""


@pytest.fixture(scope="module")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A NATS server whose bucket denies DENIED."""
    with NatsServer(tmp_path_factory.mktemp("nats")) as server:

        async def deny() -> None:
            client = await nats.connect(server.url)
            bucket = await client.jetstream().create_key_value(bucket="ai-gateway")
            for tenant, reason in DENIED.items():
                await bucket.put(f"blackhole.{tenant}", reason)
            await client.close()

        asyncio.run(deny())
        yield server.url


@pytest.fixture(scope="module")
def gateways(
    control_plane: str, upstream_listener: socket.socket, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, GatewayProcess]]:
    with socket.socket() as unused, contextlib.ExitStack() as stack:
        unused.bind(("127.0.0.1", 0))
        upstream, closed = (f"127.0.0.1:{sock.getsockname()[1]}" for sock in (upstream_listener, unused))
        processes = {
            name: stack.enter_context(
                GatewayProcess(
                    config(upstream, closed, control_plane, ceiling=ceiling, room=room),
                    folder=tmp_path_factory.mktemp(name),
                )
            )
            for name, ceiling, room in (
                ("plain", 0, ROOM),
                ("limited", CEILING, ROOM),
                ("cramped", 0, 1000),
                ("cramped and failing", 0, 1000),
            )
        }
        for process in processes.values():
            process.wait_until(partial(knows_the_denied, process))
        yield processes


def knows_the_denied(gateway: GatewayProcess) -> bool:
    return metrics(gateway)["ai_deny_set_size"] == len(DENIED)


@dataclass(slots=True)
class Asked:
    """A managed request that is in order, until a fault befalls it; PROVIDERS is all of them at once."""

    wire: str
    providers: ScriptedUpstream
    stack: contextlib.AsyncExitStack
    tenant: int = field(default_factory=lambda: next(_tenants))
    signer: SigningKey = OURS
    own_key: bool = False
    keyless: bool = False
    provider: str = ""
    path: str = ""
    method: bytes = b"POST"
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes | None = BODY
    flooded: bool = False
    grows: bool = False
    gateway: GatewayProcess = field(init=False)

    def __post_init__(self) -> None:
        self.provider = f"/{next(_fresh)}"
        self.path = PATHS[self.wire]

    def bytes(self, *, plain: bool = False) -> bytes:
        """The request; PLAIN, one that is in order with the same credential."""
        text = f"sk-own-fake-{self.tenant}" if self.own_key else mint(self.signer, 1, Identity(self.tenant, 7))
        key = [] if self.keyless and not plain else [(b"Authorization", f"Bearer {text}".encode())]
        if plain:
            target = f"{self.provider or '/' + FRESH[0]}{PATHS[self.wire]}"
            return request(b"POST", target.encode(), [HOST, *key, JSON], BODY)
        target = f"{self.provider}{self.path}"
        return request(self.method, target.encode(), [HOST, *key, JSON, *self.headers], self.body)

    async def send(self) -> WireResponse:
        """Send it; where it is to be FLOODED, behind as many as its ceiling does not let through."""
        ends = time.monotonic() + 10
        while True:
            async with WireClient(self.gateway.host, self.gateway.port) as client:
                if self.grows:
                    await client.send(self.bytes())
                    for _ in range(MAX_BODY >> 20):
                        await client.send(MEGABYTE)
                    await client.send(chunk(b"x"))
                    return await client.receive(within=20)
                if not self.flooded:
                    return await client.exchange(self.bytes())
                await client.send(self.bytes(plain=True) * (4 * CEILING) + self.bytes())
                before = [(await client.receive()).status for _ in range(4 * CEILING)]
                answer = await client.receive()
            if before[-1] == 429 or time.monotonic() > ends:
                return answer  # else a new second began in between


# The rows

Fault = Callable[[Asked], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Row:
    """One row. `{request}` in MESSAGE stands for method and path; RETRY_AFTER of -1 is any number of seconds."""

    fault: Fault = field(repr=False)
    status: int
    type: str
    message: str
    reason: str = ""
    retry_after: int | None = None
    close: bool = False
    wires: tuple[str, ...] = tuple(PATHS)

    @property
    def name(self) -> str:
        return getattr(self.fault, "__name__", "").replace("_", " ")


INVALID = "invalid_request_error"
NOT_OPEN = "{request} is not available with a managed key: POST to a generation endpoint, or use your own provider key"


async def upgrade(asked: Asked) -> None:
    asked.headers += [(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")]
    asked.body = None


async def another_coding(asked: Asked) -> None:
    asked.headers.append((b"Transfer-Encoding", b"gzip, chunked"))
    asked.body = None


async def nobody(asked: Asked) -> None:
    asked.provider = "/nobody"


async def no_key(asked: Asked) -> None:
    asked.keyless = True


async def all_own_keys_over_their_ceiling(asked: Asked) -> None:
    asked.own_key = asked.flooded = True


async def one_credential_over_its_ceiling(asked: Asked) -> None:
    asked.flooded = True


async def too_long(asked: Asked) -> None:
    asked.headers.append((b"Content-Length", b"%d" % (MAX_BODY + 1)))
    asked.body = None


async def keys_of_two(asked: Asked) -> None:
    asked.own_key = True
    asked.provider = ""
    asked.headers.append((b"x-api-key", b"sk-ant-own-fake"))


async def forged(asked: Asked) -> None:
    asked.signer = THEIRS


async def denied_for_spending(asked: Asked) -> None:
    asked.tenant = 9001


async def denied_as_fraud(asked: Asked) -> None:
    asked.tenant = 9002


async def denied_for_another_reason(asked: Asked) -> None:
    asked.tenant = 9003


async def no_endpoint(asked: Asked) -> None:
    asked.path = "/v1/files"
    if asked.wire == "anthropic":
        asked.provider = "/anthropic"


async def another_method(asked: Asked) -> None:
    asked.method, asked.body = b"GET", None


async def no_pool_key(asked: Asked) -> None:
    asked.provider = "/keyless"


async def tenant_busy(asked: Asked) -> None:
    gate = asyncio.Event()
    asked.stack.callback(gate.set)
    asked.providers.play(ReadBody(), Until(gate), Send(OK))
    client = await asked.stack.enter_async_context(WireClient(asked.gateway.host, asked.gateway.port))
    under_way = len(asked.providers.requests) + 1
    target = f"/{next(_fresh)}{asked.path}".encode()
    key = (b"Authorization", b"Bearer " + mint(OURS, 1, Identity(asked.tenant, 7)).encode())
    await client.send(request(b"POST", target, [HOST, key, JSON], BODY))
    await asked.providers.wait_for_requests(under_way)


async def provider_failing(asked: Asked) -> None:
    """Its requests are another tenant's: this one may be denied, or at its limit."""
    key = (b"Authorization", b"Bearer " + mint(OURS, 1, Identity(next(_tenants), 7)).encode())
    sent = request(b"POST", f"{asked.provider}{asked.path}".encode(), [HOST, key, JSON], BODY)
    async with WireClient(asked.gateway.host, asked.gateway.port) as client:
        for _ in range(BREAKS):
            if not asked.provider.startswith("/gone"):
                asked.providers.play(ReadBody(), Send(response(500, [], b"")))
            assert (await client.exchange(sent)).status in (500, 502)


async def no_room_for_bodies(asked: Asked) -> None:
    """Of those that are asked for usage, one provider answers and one does not."""
    asked.provider = "/xai" if asked.provider[1:] in GONE else "/openai"
    asked.path, asked.body = "/v1/chat/completions", TWO_READS


async def not_reached(asked: Asked) -> None:
    asked.provider = f"/{next(_gone)}"


async def breaks_off(asked: Asked) -> None:
    asked.providers.play(ReadBody(), Close())


async def silent(asked: Asked) -> None:
    gate = asyncio.Event()
    asked.stack.callback(gate.set)
    asked.providers.play(ReadBody(), Until(gate))


async def grows_too_long(asked: Asked) -> None:
    gate = asyncio.Event()
    asked.stack.callback(gate.set)
    asked.providers.play(Until(gate))
    asked.headers.append((b"Transfer-Encoding", b"chunked"))
    asked.body = None
    asked.grows = True


ORDER: Final = (
    Row(upgrade, 400, INVALID, "protocol upgrades are not supported", close=True),
    Row(another_coding, 501, INVALID, "only the transfer coding `chunked` is supported", close=True),
    Row(nobody, 404, INVALID, "unknown provider"),
    Row(no_key, 401, "authentication_error", "missing API key"),
    Row(all_own_keys_over_their_ceiling, 429, "rate_limit_error", "rate limit exceeded", "rate_limit_byo_global", 1),
    Row(one_credential_over_its_ceiling, 429, "rate_limit_error", "rate limit exceeded", "rate_limit", 1),
    Row(too_long, 413, INVALID, "request body too large", "body_too_large"),
    Row(keys_of_two, 400, INVALID, "keys of two providers in one request: name the provider in the path"),
    Row(forged, 401, "authentication_error", "invalid API key", "auth"),
    Row(denied_for_spending, 402, "access_denied", "tenant is over limit or suspended", "deny_spend"),
    Row(denied_as_fraud, 403, "access_denied", "tenant is over limit or suspended", "deny_fraud"),
    Row(denied_for_another_reason, 403, "access_denied", "tenant is over limit or suspended", "deny_unknown"),
    Row(no_endpoint, 404, INVALID, NOT_OPEN, "managed_endpoint"),
    Row(another_method, 405, INVALID, NOT_OPEN, "managed_endpoint"),
    Row(no_pool_key, 503, "api_error", "no provider key available", "no_pool_key", 30),
    Row(tenant_busy, 429, "rate_limit_error", "too many concurrent requests", "tenant_concurrency", 1),
    Row(provider_failing, 503, "api_error", "provider temporarily unavailable", "circuit_open", -1),
    Row(
        no_room_for_bodies,
        503,
        "api_error",
        "too many request bodies are being received",
        "body_memory",
        1,
        wires=("openai",),
    ),
    Row(not_reached, 502, "api_error", "provider could not be reached"),
    Row(breaks_off, 502, "api_error", "upstream failed after receiving the request", close=True),
    Row(silent, 504, "api_error", "upstream timed out after receiving the request", close=True),
    Row(grows_too_long, 413, INVALID, "request body too large", "body_too_large", wires=("openai",)),
)
NEVER_BOTH: Final = {
    # a request with a virtual key, forged or not, is nobody's own
    (keys_of_two, forged),
    # a tenant has one entry, and the last four follow a request that was let through: it ends in one way
    (denied_for_spending, denied_as_fraud),
    (denied_as_fraud, denied_for_another_reason),
    (not_reached, breaks_off),
    (breaks_off, silent),
    (silent, grows_too_long),
}
FURTHER: Final = ((too_long, forged), (denied_for_spending, no_endpoint))
"""Pairs that are adjacent but for rows that they cannot meet."""
BY_FAULT: Final = {row.fault: row for row in ORDER}
PAIRS: Final = [
    *((earlier, later) for earlier, later in pairwise(ORDER) if (earlier.fault, later.fault) not in NEVER_BOTH),
    *((BY_FAULT[earlier], BY_FAULT[later]) for earlier, later in FURTHER),
]


@pytest.fixture
async def stack() -> AsyncIterator[contextlib.AsyncExitStack]:
    """What a fault holds open until its test is over."""
    async with contextlib.AsyncExitStack() as stack:
        yield stack


async def check(
    row: Row,
    faults: list[Fault],
    wire: str,
    upstream: ScriptedUpstream,
    gateways: dict[str, GatewayProcess],
    stack: contextlib.AsyncExitStack,
) -> None:
    """Ask with FAULTS, and expect ROW and nothing else of the gateway."""
    upstream.default = (ReadBody(), Send(OK))
    asked = Asked(wire, upstream, stack)
    floods = {all_own_keys_over_their_ceiling, one_credential_over_its_ceiling}
    where = "limited" if floods & set(faults) else "plain"
    if no_room_for_bodies in faults:
        where = "cramped and failing" if provider_failing in faults else "cramped"
    gateway = asked.gateway = gateways[where]
    for fault in faults:
        await fault(asked)
    before = await asyncio.to_thread(metrics, gateway)
    answer = await asked.send()
    after = await asyncio.to_thread(metrics, gateway)

    message = row.message.replace("{request}", f"{asked.method.decode()} {asked.path}")
    error = f'"error":{{"message":"{message}","type":"{row.type}"}}'
    body = f'{{"type":"error",{error}}}' if wire == "anthropic" else f"{{{error}}}"
    assert (answer.status, bytes(answer.body), answer.complete) == (row.status, body.encode(), True)
    request_id = id_of(answer)
    expected = {
        b"content-type": b"application/json",
        b"content-length": b"%d" % len(body),
        b"x-beyond-request-id": request_id.encode(),
        b"x-beyond-error-source": b"gateway",
    }
    if row.close or too_long in faults:  # what is left of a body that long is not read
        expected[b"connection"] = b"close"
    headers = [(name, value) for name, value in answer.headers if name != b"date"]
    if row.retry_after is not None:
        seconds = int(answer.header(b"retry-after") or b"-1")
        assert seconds == row.retry_after or (row.retry_after < 0 < seconds <= 600)
        expected[b"retry-after"] = b"%d" % seconds
    assert dict(headers) == expected
    assert len(headers) == len(expected)

    moved = {
        reason: after[name] - before[name]
        for reason in REASONS
        if (name := f'ai_rejections_total{{reason="{reason}"}}')
    }
    counted = {reason for reason, by in moved.items() if by}
    if asked.flooded:
        counted -= {"rate_limit", "rate_limit_byo_global"} - {row.reason}  # of the requests before it
    else:
        assert after["ai_requests_total"] == before["ai_requests_total"] + 1
        assert sum(moved.values()) == (1 if row.reason else 0)
    assert counted == ({row.reason} if row.reason else set())

    def lines() -> list[dict[str, object]]:
        return [line for line in logged(gateway, request_id) if line["message"] == "request rejected"]

    await asyncio.to_thread(gateway.wait_until, lambda: bool(lines()))
    [line] = lines()
    said = {name: line[name] for name in ("level", "status", "error_type", "reason")}
    assert said == {
        "level": "WARNING",
        "status": row.status,
        "error_type": row.type,
        "reason": row.reason or row.message,
    }


@pytest.mark.parametrize(
    ("row", "wire"),
    [(row, wire) for row in ORDER for wire in row.wires],
    ids=lambda value: getattr(value, "name", value),
)
async def test_a_row(
    row: Row,
    wire: str,
    upstream: ScriptedUpstream,
    gateways: dict[str, GatewayProcess],
    stack: contextlib.AsyncExitStack,
) -> None:
    await check(row, [row.fault], wire, upstream, gateways, stack)


@pytest.mark.parametrize(("earlier", "later"), PAIRS, ids=lambda row: row.name)
async def test_the_first_row_wins(
    earlier: Row,
    later: Row,
    upstream: ScriptedUpstream,
    gateways: dict[str, GatewayProcess],
    stack: contextlib.AsyncExitStack,
) -> None:
    await check(earlier, [later.fault, earlier.fault], "openai", upstream, gateways, stack)


# Nothing is missing

UNREADABLE: Final = {rejection.BAD_REQUEST, rejection.HEAD_TOO_LARGE, rejection.REQUEST_TIMEOUT}
"""Requests without a head that could meet a row; `tests/integration/test_relay_requests.py` has them."""
BROKEN: Final = {rejection.INTERNAL, rejection.CANNOT_VERIFY}
"""Those of a stranger's auth scheme: `tests/integration/test_logs.py`, `tests/integration/test_waiting_auth.py`."""
UNUSED: Final = {rejection.DRAINING}


def test_every_refusal_has_a_row() -> None:
    known = {value for value in vars(rejection).values() if isinstance(value, Rejection)}
    known |= {*rejection.RATE_LIMITED.values(), *rejection.DENIED.values()}
    rows = {(row.status, row.type, row.message, row.reason) for row in ORDER}
    told = {(each.status, each.type, each.message, each.reason) for each in known - UNREADABLE - BROKEN - UNUSED}
    made = {row for row in rows if "{request}" in row[2] or row[3] == "circuit_open"}
    assert told == rows - made
    assert {row.reason for row in ORDER if row.reason} == set(REASONS)


def test_the_document_has_the_rows_in_their_order() -> None:
    table = DOCUMENT.read_text().partition("| status | why |")[2].partition("\n\n")[0]
    documented = [
        (status, reason)
        for line in table.splitlines()[2:]
        for statuses, _, labels in [[cell.strip() for cell in line.strip("|").split("|")]]
        for status in statuses.split(", ")
        for reason in (re.findall(r"`(\w+)`", labels) or [""])
    ]
    assert documented == [
        (str(row.status), row.reason) for row in ORDER if row.fault not in (breaks_off, grows_too_long)
    ]
