"""Rows about how exchanges end, wait and follow one another."""

import asyncio
import contextlib
import socket
from collections.abc import Callable

from tests.fidelity.matrix import BODY, CHAT, EVENTS, OK, RESPONSES, Group, Lab

from beyond_ai.testing import (
    LAST_CHUNK,
    Close,
    HalfClose,
    ReadBody,
    Reset,
    ResumeReading,
    Send,
    Step,
    StopReading,
    Tell,
    Until,
    chunk,
    chunked_head,
    response,
    response_head,
)

GROUP = Group("Connections")

FRAME = b'data: {"n":1}\n\n'
BIG = 48 << 20
HELD = 24 << 20
"""More than the kernel's buffers of four sockets and what the gateway may hold; far less than BIG."""


@GROUP.promise("A client that hangs up in a stream ends the provider's work at once")
async def hang_up_in_stream(lab: Lab) -> None:
    lab.upstream.play(ReadBody(), Send(chunked_head(200, [EVENTS]) + chunk(FRAME)), Until(asyncio.Event()))
    async with lab.client() as client:
        await client.send(lab.ask())
        await client.receive(len(FRAME))
    connection = await lab.upstream.wait_closed(within=2)
    assert connection.requests[0].aborted


@GROUP.promise("So does one that hangs up before the answer, or while its own body is going up")
async def hang_up_early(lab: Lab) -> None:
    for asked in (
        lab.ask(target=RESPONSES),
        lab.ask([(b"Content-Length", b"1000")], None, target=RESPONSES) + b'{"model"',
    ):
        got = asyncio.Event()
        lab.upstream.play(ReadBody(5), Tell(got), Until(asyncio.Event()))
        async with lab.client() as client:
            await client.send(asked)
            await asyncio.wait_for(got.wait(), 5)
        await lab.upstream.wait_closed(within=2)
        assert lab.upstream.requests[-1].aborted


async def broken_end(lab: Lab, *ending: Step, head: bytes) -> None:
    """The provider sends HEAD and a frame, then ENDING; the client's answer breaks, with no proper end."""
    gate = asyncio.Event()
    lab.upstream.play(ReadBody(), Send(head), Until(gate), *ending)
    async with lab.client() as client:
        await client.send(lab.ask())
        received = await client.receive(len(FRAME))
        gate.set()
        received = await client.receive()
    assert (received.broken, received.complete) == (True, False)
    assert bytes(received.body) == FRAME
    assert not client.received.endswith(LAST_CHUNK)


@GROUP.promise("A provider that dies in a stream breaks the client's connection: a cut answer never looks finished")
async def death_in_stream(lab: Lab) -> None:
    for ending in (Close(), Reset()):
        await broken_end(lab, ending, head=chunked_head(200, [EVENTS]) + chunk(FRAME))
        await broken_end(lab, ending, head=response_head(200, [(b"content-length", b"99")]) + FRAME)
    await broken_end(lab, Send(b"not a chunk\r\n"), head=chunked_head(200, [EVENTS]) + chunk(FRAME))


@GROUP.promise("A provider that dies before it answers is a 502 of the gateway's, marked as such, never a second try")
async def death_before_answer(lab: Lab) -> None:
    for ending in (Close(), Reset()):
        before = len(lab.upstream.requests)
        lab.upstream.play(ReadBody(), ending)
        async with lab.client() as client:
            received = await client.exchange(lab.ask())
        assert (received.status, received.header(b"x-beyond-error-source")) == (502, b"gateway")
        assert b'"upstream failed after receiving the request"' in received.body
        assert len(lab.upstream.requests) == before + 1


@GROUP.promise("An answer that comes while the body is still going up reaches the client")
async def early_answer(lab: Lab) -> None:
    lab.upstream.play(ReadBody(4), Send(response(413, [], b"too much for me")), Close())
    async with lab.client() as client:
        await client.send(lab.ask([(b"Content-Length", b"100000")], None, target=RESPONSES) + b'{"model":"m"')
        received = await client.receive()
    assert (received.status, bytes(received.body)) == (413, b"too much for me")
    assert received.header(b"x-beyond-error-source") is None


@GROUP.promise("Connections are kept, on both sides")
async def kept_connections(lab: Lab) -> None:
    async with lab.client() as client:
        for number in range(4):
            lab.upstream.answer(response(200, [], b"%d" % number))
            assert bytes((await client.exchange(lab.ask())).body) == b"%d" % number
    assert len(lab.upstream.connections) == 1


@GROUP.promise("A kept connection that the provider closed meanwhile costs no request")
async def stale_connection(lab: Lab) -> None:
    async with lab.client() as client:
        for ending in (HalfClose(), Close(), Reset()):
            lab.upstream.play(ReadBody(), Send(OK), ending)
            assert (await client.exchange(lab.ask())).status == 200
            lab.upstream.answer(response(200, [], b"again"))
            assert bytes((await client.exchange(lab.ask())).body) == b"again"


@GROUP.promise("A slow client slows the provider down: nothing grows with the length of an answer")
async def slow_client(lab: Lab) -> None:
    lab.upstream.play(ReadBody(), Send(response(200, [], bytes(BIG))))
    async with lab.client() as client:
        await client.send(lab.ask())
        await client.receive(1)
        [connection] = lab.upstream.connections
        assert await standstill(lambda: connection.sent) < HELD
        received = await client.receive(within=20)
    assert (len(received.body), received.complete) == (BIG, True)


@GROUP.promise("A slow provider slows the client down: nothing grows with the length of a request")
async def slow_provider(lab: Lab) -> None:
    stopped, go = asyncio.Event(), asyncio.Event()
    lab.upstream.play(StopReading(), Tell(stopped), Until(go), ResumeReading(), ReadBody(), Send(OK))
    loop = asyncio.get_running_loop()
    with socket.create_connection((lab.gateway.host, lab.gateway.port)) as client:
        client.setblocking(False)
        head = lab.ask([(b"Content-Length", b"%d" % BIG)], None, target=b"/openai/v1/embeddings")
        await loop.sock_sendall(client, head)
        sent = 0
        block = b" " * (1 << 18)

        def push() -> int:
            nonlocal sent
            with contextlib.suppress(BlockingIOError):
                while sent < BIG:
                    sent += client.send(block[: BIG - sent])
            return sent

        push()
        await asyncio.wait_for(stopped.wait(), 5)
        assert await standstill(push) < HELD
        go.set()
        await loop.sock_sendall(client, bytes(BIG - sent))
        assert (await loop.sock_recv(client, 1 << 16)).startswith(b"HTTP/1.1 200")
    assert len(lab.upstream.requests[-1].body) == BIG


async def standstill(progress: Callable[[], int]) -> int:
    """Wait until PROGRESS returns the same number for a quarter of a second, and return it."""
    same, last = 0, -1
    while same < 5:
        now = progress()
        same, last = (same + 1, last) if now == last else (0, now)
        await asyncio.sleep(0.05)
    return last


@GROUP.promise("Requests that a client writes ahead are answered in order, each with its own answer")
async def pipelined(lab: Lab) -> None:
    for number in range(3):
        lab.upstream.answer(response(200, [], b"%d" % number))
    async with lab.client() as client:
        await client.send(lab.ask() + lab.ask() + lab.ask())
        bodies = [bytes((await client.receive()).body) for _ in range(3)]
    assert bodies == [b"0", b"1", b"2"]
    assert [bytes(request.body) for request in lab.upstream.requests] == [BODY] * 3
    assert [request.target for request in lab.upstream.requests] == [CHAT.removeprefix(b"/openai")] * 3
