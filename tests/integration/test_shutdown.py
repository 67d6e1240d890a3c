"""How a gateway stops: what is under way ends, nothing new begins, and nobody waits who need not."""

import asyncio
import signal
import time
from pathlib import Path

import httpx
import pytest
from tests.gateway_process import gateway_config
from tests.integration.exchanges import get, id_of, post

from beyond_ai.testing import (
    LAST_CHUNK,
    GatewayProcess,
    ReadBody,
    ScriptedUpstream,
    Send,
    Until,
    WireClient,
    chunk,
    chunked_head,
)

NOBODY = "127.0.0.1:9"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_idle_it_stops_at_once(tmp_path: Path, number: signal.Signals) -> None:
    gateway = GatewayProcess(gateway_config(NOBODY, NOBODY), folder=tmp_path)
    gateway.start()
    with httpx.Client() as kept:
        assert kept.get(gateway.url).status_code == 200  # an idle connection holds nothing up
        asked = time.monotonic()
        gateway.process.send_signal(number)
        gateway.process.wait(10)
        assert time.monotonic() - asked < 3
    gateway.stop()
    assert "Traceback" not in gateway.stderr


async def test_a_stream_under_way_ends_and_nothing_new_begins(tmp_path: Path) -> None:
    gate = asyncio.Event()
    async with ScriptedUpstream() as upstream:
        gateway = GatewayProcess(gateway_config(upstream.authority, NOBODY), folder=tmp_path)
        await asyncio.to_thread(gateway.start)
        upstream.play(
            ReadBody(), Send(chunked_head(200) + chunk(b"first")), Until(gate), Send(chunk(b"last") + LAST_CHUNK)
        )
        async with WireClient(gateway.host, gateway.port) as client, httpx.AsyncClient() as operator:
            assert (await operator.get(f"{gateway.admin_url}/readyz")).status_code == 200
            await client.send(post(b"/openai/v1/files"))
            await client.receive(5)
            gateway.process.send_signal(signal.SIGTERM)
            await refused(gateway)
            ready = await operator.get(f"{gateway.admin_url}/readyz")
            assert (ready.status_code, ready.json()) == (503, {"status": "not_ready", "reason": "draining"})
            assert (await operator.get(f"{gateway.admin_url}/livez")).status_code == 200
            gate.set()
            received = await client.receive()
            assert (bytes(received.body), received.complete) == (b"firstlast", True)
            assert await client.wait_closed() == b""
        await asyncio.to_thread(gateway.stop, 5)


async def test_a_request_on_its_way_on_an_idle_connection_is_answered(tmp_path: Path) -> None:
    gate = asyncio.Event()
    async with ScriptedUpstream() as upstream:
        gateway = GatewayProcess(gateway_config(upstream.authority, NOBODY), folder=tmp_path)
        await asyncio.to_thread(gateway.start)
        stalled = (ReadBody(), Send(chunked_head(200) + chunk(b"first")), Until(gate), Send(LAST_CHUNK))
        async with WireClient(gateway.host, gateway.port) as idle, WireClient(gateway.host, gateway.port) as busy:
            assert (await idle.exchange(get(b"/"))).header(b"connection") is None
            upstream.play(*stalled)
            await busy.send(post(b"/openai/v1/files"))
            await busy.receive(5)
            gateway.process.send_signal(signal.SIGTERM)
            await idle.send(post(b"/openai/v1/nothing", key=None))
            answer = await idle.receive()
            while answer.header(b"connection") is None:  # it was quicker than the signal
                answer = await idle.exchange(post(b"/openai/v1/nothing", key=None))
            assert (answer.status, answer.header(b"connection")) == (401, b"close")
            assert await idle.wait_closed() == b""
            gate.set()
            assert (await busy.receive()).complete
        await asyncio.to_thread(gateway.stop, 5)


async def refused(gateway: GatewayProcess) -> None:
    """Wait until GATEWAY takes no more connections."""
    async with asyncio.timeout(5):
        while True:
            try:
                async with WireClient(gateway.host, gateway.port) as late:
                    await late.exchange(get(b"/"))
            except OSError:
                return
            except (TimeoutError, AssertionError):
                continue


@pytest.mark.parametrize("grace", ["second signal", "grace period"])
async def test_what_would_not_end_is_cut(tmp_path: Path, grace: str) -> None:
    async with ScriptedUpstream() as upstream:
        config = gateway_config(upstream.authority, NOBODY)
        if grace == "grace period":
            config = "shutdown_grace_period_secs = 1\n" + config
        gateway = GatewayProcess(config, folder=tmp_path)
        await asyncio.to_thread(gateway.start)
        upstream.play(ReadBody(), Send(chunked_head(200) + chunk(b"first")), Until(asyncio.Event()))
        async with WireClient(gateway.host, gateway.port) as client:
            await client.send(post(b"/openai/v1/files"))
            first = await client.receive(5)
            id_of(first)
            gateway.process.send_signal(signal.SIGINT)
            if grace == "second signal":
                await refused(gateway)
                assert gateway.process.poll() is None
                gateway.process.send_signal(signal.SIGINT)
            received = await client.receive()
            assert (received.broken, received.complete) == (True, False)
        await upstream.wait_closed()
        await asyncio.to_thread(gateway.stop, 5)
    assert "Traceback" not in gateway.stderr


STUCK = """
import time
from beyond_ai import Component, hookimpl

class Stuck:
    async def start(self): pass
    def emit(self, event): pass
    async def aclose(self): time.sleep(60)

@hookimpl
def beyond_usage_sinks():
    yield Component(name="stuck", summary="never lets go", create=lambda context: Stuck())
"""


def test_a_worker_that_never_lets_go_is_killed(tmp_path: Path) -> None:
    """`shutdown_runtime_timeout_secs`: no plugin's code can keep the gateway from ending."""
    metadata = tmp_path / "stuck-1.0.dist-info"
    metadata.mkdir()
    (tmp_path / "stuck_sink.py").write_text(STUCK)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: stuck\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[beyond_ai.sinks]\nstuck = stuck_sink\n")
    config = 'sinks = ["stuck"]\nshutdown_grace_period_secs = 0\nshutdown_runtime_timeout_secs = 1\n'
    config += gateway_config(NOBODY, NOBODY)
    gateway = GatewayProcess(config, folder=tmp_path, environment={"PYTHONPATH": str(tmp_path)})
    gateway.start()
    gateway.process.send_signal(signal.SIGTERM)
    gateway.process.wait(15)
    gateway.stop()
    assert [line["message"] for line in gateway.log if "killed" in str(line["message"])] == [
        "workers that had not left after 1 s are killed"
    ]
