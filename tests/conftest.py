"""A running gateway for the session, and a scripted upstream on the port that its providers are configured to.

The port is held for the whole session by `upstream_listener`; each test's upstream accepts on a copy of it, so that
one gateway process serves all tests and no test sees another's requests.
"""

import socket
from collections.abc import AsyncIterator, Iterator

import pytest
from tests.gateway_process import gateway_config

from beyond_ai.testing import GatewayProcess, ScriptedUpstream, ThreadedUpstream, WireClient


@pytest.fixture(scope="session")
def upstream_listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.fixture(scope="session")
def gateway(upstream_listener: socket.socket, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """The real gateway; stopped with SIGTERM at the end, which has to leave exit code 0."""
    upstream = f"127.0.0.1:{upstream_listener.getsockname()[1]}"
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound but not listening: a connection is refused
        closed = f"127.0.0.1:{unused.getsockname()[1]}"
        config = gateway_config(upstream, closed)
        with GatewayProcess(config, folder=tmp_path_factory.mktemp("gateway")) as process:
            yield process
    assert {fields["tenant_id"] for fields in process.usage} <= {42}, "an event for a request on a client's own key"
    assert len({fields["request_id"] for fields in process.usage}) == len(process.usage), "two events for one request"


@pytest.fixture
async def upstream(upstream_listener: socket.socket) -> AsyncIterator[ScriptedUpstream]:
    """The providers, in the test's own event loop."""
    async with ScriptedUpstream(listener=upstream_listener.dup()) as running:
        yield running


@pytest.fixture
def threaded_upstream(upstream_listener: socket.socket) -> Iterator[ThreadedUpstream]:
    """The providers, in a thread, for tests without an event loop."""
    with ThreadedUpstream(listener=upstream_listener.dup()) as running:
        yield running


@pytest.fixture
async def wire(gateway: GatewayProcess) -> AsyncIterator[WireClient]:
    """One raw connection to the gateway."""
    async with WireClient(gateway.host, gateway.port) as client:
        yield client
