"""Clients that leave a provider which goes on, and bills, all the same: its answer is read on for the exact usage."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.fidelity.matrix import EVENTS, Lab
from tests.gateway_process import MANAGED, PUBLIC_KEY, gateway_config
from tests.integration.conftest import LOOPBACK
from tests.integration.exchanges import id_of, metrics

from beyond_ai.testing import (
    Answer,
    GatewayProcess,
    ReadBody,
    Reset,
    ScriptedUpstream,
    Send,
    Until,
    UsageFields,
    chat,
    chunk,
    chunked_head,
)

GROQ = b"/groq/openai/v1/chat/completions"
ANSWER = Answer(input_tokens=2000, output_tokens=150)
FRAMES = chat.frames(ANSWER)
BODY = b'{"model":"llama","messages":[{"role":"user","content":"one two three "}],"stream":true}'
START = chunked_head(200, [EVENTS]) + b"".join(chunk(frame) for frame in FRAMES[:3])
REST = b"".join(chunk(frame) for frame in FRAMES[3:]) + chunk(b"")


@pytest.fixture(scope="module")
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


@pytest.fixture(scope="module")
def draining(listener: socket.socket, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    authority = f"127.0.0.1:{listener.getsockname()[1]}"
    config = f"""{LOOPBACK}
workers = 1
upstream_tls = false
drain_timeout_secs = 3
drain_max_bytes = 100000
drain_max_streams = 2
[signing_keys]
1 = "{PUBLIC_KEY}"
[pool_keys]
groq = "gsk-pool-fake"
openai = "sk-pool-openai-fake"
[provider_authorities]
groq = "{authority}"
openai = "{authority}"
"""
    with GatewayProcess(config, folder=tmp_path_factory.mktemp("draining")) as process:
        yield process


@pytest.fixture
async def lab(draining: GatewayProcess, listener: socket.socket) -> AsyncIterator[Lab]:
    async with ScriptedUpstream(listener=listener.dup()) as upstream:
        yield Lab(draining, upstream, MANAGED)


async def leave(lab: Lab, target: bytes = GROQ) -> str:
    """Ask, read the beginning of the answer, and hang up; the request's id."""
    async with lab.client() as client:
        await client.send(lab.ask(target=target, body=BODY))
        received = await client.receive(10)
    return id_of(received)


async def drains(lab: Lab, result: str) -> float:
    return (await asyncio.to_thread(metrics, lab.gateway))[f'ai_drains_total{{result="{result}"}}']


async def begun(lab: Lab, number: int = 1) -> None:
    """Wait until the gateway knows that NUMBER clients have left."""
    gateway = lab.gateway
    await asyncio.to_thread(gateway.wait_until, lambda: metrics(gateway)["ai_drains_in_progress"] == number)


def count(event: UsageFields, name: str) -> int:
    value = event[name]
    assert isinstance(value, int)
    return value


def check(event: UsageFields, output: int | None, *, estimated: bool) -> None:
    assert (event["outcome"], event["upstream_status"], event["usage_estimated"]) == (
        "client_cancelled",
        200,
        estimated,
    )
    if output is not None:
        assert event["output_tokens"] == output


async def test_what_is_left_of_the_answer_is_read_for_its_usage(lab: Lab) -> None:
    gate, before = asyncio.Event(), await drains(lab, "complete")
    lab.upstream.play(ReadBody(), Send(START), Until(gate), Send(REST))
    request_id = await leave(lab)
    await begun(lab)
    gate.set()
    event = await lab.gateway.usage_event(request_id)
    check(event, 150, estimated=False)
    assert event["input_tokens"] == 2000
    assert await drains(lab, "complete") == before + 1


async def test_a_client_that_leaves_before_the_answer_begins(lab: Lab) -> None:
    gate = asyncio.Event()
    lab.upstream.play(ReadBody(), Until(gate), Send(START + REST))
    async with lab.client() as client:
        await client.send(lab.ask(target=GROQ, body=BODY))
        await lab.upstream.wait_for_requests(1)
    await begun(lab)
    before = len(lab.gateway.usage)
    gate.set()
    check((await lab.gateway.usage_events(1, since=before))[0], 150, estimated=False)


async def test_a_provider_that_stops_with_its_client_is_let_go_at_once(lab: Lab) -> None:
    """OpenAI's record does not say that it goes on: the estimate stands."""
    never = asyncio.Event()
    lab.upstream.play(ReadBody(), Send(START), Until(never), Send(REST))
    request_id = await leave(lab, b"/openai/v1/chat/completions")
    await lab.upstream.wait_closed()
    event = await lab.gateway.usage_event(request_id)
    check(event, None, estimated=True)
    assert 0 < count(event, "input_tokens") <= 2000
    assert 0 < count(event, "output_tokens") <= 150


async def test_time_and_bytes_are_bounded_and_so_is_their_number(lab: Lab) -> None:
    never, full = asyncio.Event(), await drains(lab, "full")
    stall = (ReadBody(), Send(START), Until(never))
    lab.upstream.play(*stall)
    slow = await leave(lab)
    await begun(lab)
    gate = asyncio.Event()
    lab.upstream.play(ReadBody(), Send(START), Until(gate), Send(chunk(FRAMES[2]) * 2000), Until(never))
    long = await leave(lab)
    await begun(lab, 2)
    lab.upstream.play(*stall)
    refused = await leave(lab)
    check(await lab.gateway.usage_event(refused), None, estimated=True)
    assert await drains(lab, "full") == full + 1
    gate.set()
    event = await lab.gateway.usage_event(long)
    check(event, None, estimated=True)
    assert count(event, "output_tokens") > 100
    check(await lab.gateway.usage_event(slow, within=10), None, estimated=True)
    assert await drains(lab, "bytes") >= 1
    assert await drains(lab, "timeout") >= 1


async def test_a_provider_that_dies_meanwhile(lab: Lab) -> None:
    gate, before = asyncio.Event(), await drains(lab, "failed")
    lab.upstream.play(ReadBody(), Send(START), Until(gate), Reset())
    request_id = await leave(lab)
    await begun(lab)
    gate.set()
    check(await lab.gateway.usage_event(request_id), None, estimated=True)
    assert await drains(lab, "failed") == before + 1


async def test_at_its_end_the_gateway_waits_for_what_it_drains(tmp_path: Path) -> None:
    gate = asyncio.Event()
    async with ScriptedUpstream() as upstream:
        gateway = GatewayProcess(gateway_config(upstream.authority, "127.0.0.1:9"), folder=tmp_path)
        await asyncio.to_thread(gateway.start)
        lab = Lab(gateway, upstream, MANAGED)
        upstream.play(ReadBody(), Send(START), Until(gate), Send(REST))
        request_id = await leave(lab)
        await begun(lab)
        gateway.process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(gateway.wait_until, lambda: not listens(gateway))
        gate.set()
        check(await gateway.usage_event(request_id), 150, estimated=False)
        await asyncio.to_thread(gateway.process.wait, 5)
        await asyncio.to_thread(gateway.stop)
    assert "Traceback" not in gateway.stderr


async def test_when_its_time_is_up_every_request_has_its_event(tmp_path: Path) -> None:
    """Clients that are there to the last are cut off, and nothing is drained then."""
    never = asyncio.Event()
    async with ScriptedUpstream() as upstream:
        config = "shutdown_grace_period_secs = 1\n" + gateway_config(upstream.authority, "127.0.0.1:9")
        gateway = GatewayProcess(config, folder=tmp_path)
        await asyncio.to_thread(gateway.start)
        lab = Lab(gateway, upstream, MANAGED)
        ids = []
        async with lab.client() as one, lab.client() as other:
            for client, target in ((one, GROQ), (other, b"/openai/v1/chat/completions")):
                upstream.play(ReadBody(), Send(START), Until(never))
                await client.send(lab.ask(target=target, body=BODY))
                ids.append(id_of(await client.receive(10)))
            gateway.process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(gateway.process.wait, 10)
        await asyncio.to_thread(gateway.stop)
        for request_id in ids:
            check(await gateway.usage_event(request_id), None, estimated=True)


def listens(gateway: GatewayProcess) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((gateway.host, gateway.port)) == 0
