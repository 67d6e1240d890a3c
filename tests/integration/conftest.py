"""Gateways of the integration tests, beside the session's own: one with short patience, one with `--dev`."""

import socket
from collections.abc import AsyncIterator, Iterator

import pytest
from tests.fidelity.matrix import Lab
from tests.gateway_process import BYO, MANAGED, PUBLIC_KEY

from beyond_ai.testing import GatewayProcess, ScriptedUpstream

LOOPBACK = 'listen = "127.0.0.1:0"\nmetrics_listen = "127.0.0.1:0"\n'


@pytest.fixture
def lab(gateway: GatewayProcess, upstream: ScriptedUpstream) -> Lab:
    """The session's gateway, asked with a client's own key."""
    return Lab(gateway, upstream, BYO)


@pytest.fixture
def managed(gateway: GatewayProcess, upstream: ScriptedUpstream) -> Lab:
    """The session's gateway, asked with a virtual key."""
    return Lab(gateway, upstream, MANAGED)


@pytest.fixture(scope="session")
def impatient_listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.fixture(scope="session")
def impatient_gateway(
    impatient_listener: socket.socket, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    """A gateway that gives up a silent provider, and a client that does not read, after one second."""
    config = f"""{LOOPBACK}
upstream_tls = false
connect_timeout_secs = 1
read_timeout_secs = 1
client_write_timeout_secs = 1
rate_limit_rps = 0
byo_rate_limit_rps = 0

[signing_keys]
1 = "{PUBLIC_KEY}"

[pool_keys]
openai = "sk-pool-openai-fake"

[provider_authorities]
openai = "127.0.0.1:{impatient_listener.getsockname()[1]}"
lost = "nowhere.invalid:443"
"""
    with GatewayProcess(config, folder=tmp_path_factory.mktemp("impatient")) as process:
        yield process


@pytest.fixture
async def impatient(impatient_gateway: GatewayProcess, impatient_listener: socket.socket) -> AsyncIterator[Lab]:
    """The gateway of little patience, asked with a virtual key."""
    async with ScriptedUpstream(listener=impatient_listener.dup()) as upstream:
        yield Lab(impatient_gateway, upstream, MANAGED)


@pytest.fixture(scope="session")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """`beyond-ai gateway --dev`, with an empty configuration but for the ports."""
    with GatewayProcess(LOOPBACK, folder=tmp_path_factory.mktemp("dev"), arguments=["--dev"]) as process:
        yield process
