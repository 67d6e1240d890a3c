"""Both directions at once, and neither grows: the slow side stops the fast one."""

import asyncio
from collections.abc import Callable

import pytest

from beyond_ai.testing import (
    LAST_CHUNK,
    ReadBody,
    ResumeReading,
    ScriptedUpstream,
    Send,
    StopReading,
    Until,
    chunk,
    chunked_head,
    response,
    response_head,
)
from beyond_ai.testing.conformance.on_sockets import SeamRules, on_sockets
from beyond_ai.testing.transport_events import TransportSeam, ask

LARGE = 32 << 20
"""Bytes, more than the kernel's buffers on both ends hold."""
FRAMINGS: list[tuple[int | None, bool]] = [(6, False), (None, True)]


class TransportFlow(SeamRules):
    """The rules about flow."""

    @on_sockets
    async def test_whole_answer_before_the_request_is_complete(
        self, seam: TransportSeam, provider: ScriptedUpstream
    ) -> None:
        """An answer may end before its request; that connection is used no more."""
        provider.play(ReadBody(3), Send(response(413, [], b"too large")))
        provider.answer(response(200, [], b"next"))
        heard = seam.open(ask(provider, b"POST", length=6))
        heard.exchange.send(b"abc")
        await heard.ended()
        assert (heard.status, heard.body) == (413, b"too large")
        await provider.wait_closed(0)
        assert (await seam.get(ask(provider))).body == b"next"

    @pytest.mark.parametrize("framing", FRAMINGS, ids=["content-length", "chunked"])
    @on_sockets
    async def test_answer_runs_beside_the_request(
        self, seam: TransportSeam, provider: ScriptedUpstream, framing: tuple[int | None, bool]
    ) -> None:
        """Both directions run at once."""
        provider.play(ReadBody(3), Send(chunked_head() + chunk(b"one")), ReadBody(), Send(chunk(b"two") + LAST_CHUNK))
        length, chunked = framing
        heard = seam.open(ask(provider, b"POST", length=length, chunked=chunked))
        heard.exchange.send(b"abc")
        await heard.until(lambda: heard.body == b"one")
        heard.exchange.send(b"de")
        heard.exchange.send(b"f")
        heard.exchange.send_end()
        await heard.ended()
        assert heard.body == b"onetwo"
        assert provider.requests[0].body == b"abcdef"
        assert provider.requests[0].complete

    @on_sockets
    async def test_answer_comes_while_the_request_is_stuck(
        self, seam: TransportSeam, provider: ScriptedUpstream
    ) -> None:
        """A request that is stuck holds no answer up."""
        go = asyncio.Event()
        provider.play(
            StopReading(),
            Send(chunked_head() + chunk(b"one")),
            Until(go),
            ResumeReading(),
            ReadBody(),
            Send(LAST_CHUNK),
        )
        heard = seam.open(ask(provider, b"POST", length=LARGE))
        sending = asyncio.create_task(heard.send_all(b"x" * LARGE))
        await heard.until(lambda: heard.body == b"one")
        assert not sending.done()
        go.set()
        await heard.ended()
        await sending
        assert len(provider.requests[0].body) == LARGE

    @pytest.mark.parametrize("chunked", [False, True], ids=["content-length", "chunked"])
    @on_sockets
    async def test_provider_that_does_not_read_stops_the_client(
        self, seam: TransportSeam, provider: ScriptedUpstream, chunked: bool
    ) -> None:
        """`upstream_pause` comes before memory fills, and `upstream_resume` after."""
        go = asyncio.Event()
        provider.play(StopReading(), Until(go), ResumeReading(), ReadBody(), Send(response(200, [], b"ok")))
        heard = seam.open(ask(provider, b"POST", length=None if chunked else LARGE, chunked=chunked))
        piece, sent = b"y" * 65_536, 0

        async def send_until_stuck() -> None:
            nonlocal sent
            while sent < LARGE:
                if not heard.paused:
                    heard.exchange.send(piece)
                    sent += len(piece)
                    await asyncio.sleep(0)
                elif await still(lambda: heard.paused):
                    return

        await send_until_stuck()
        assert sent < LARGE
        assert heard.status == 0
        go.set()
        while sent < LARGE:
            await heard.until(lambda: not heard.paused)
            await send_until_stuck()
        heard.exchange.send_end()
        await heard.ended()
        assert provider.requests[0].body == b"y" * LARGE

    @on_sockets
    async def test_paused_answer_holds_the_provider(self, seam: TransportSeam, provider: ScriptedUpstream) -> None:
        """`pause` stops the provider: no more than buffers hold is read."""
        provider.play(ReadBody(), Send(response_head(200, [(b"content-length", b"%d" % LARGE)])), Send(b"z" * LARGE))
        heard = seam.open(ask(provider), on={"head": lambda: heard.exchange.pause()})  # noqa: PLW0108 - not bound yet
        await heard.until(lambda: heard.status == 200)
        with pytest.raises(TimeoutError):
            await provider.wait_answered(0, within=0.4)
        taken = provider.connections[0].sent
        assert taken < LARGE
        assert len(heard.body) < 1 << 20
        assert await still(lambda: provider.connections[0].sent == taken)
        heard.exchange.resume()
        await heard.ended()
        assert len(heard.body) == LARGE

    @on_sockets
    async def test_pause_and_resume_at_every_piece(self, seam: TransportSeam, provider: ScriptedUpstream) -> None:
        """Pausing loses no byte."""
        size = 4 << 20
        provider.answer(response_head(200, [(b"content-length", b"%d" % size)]), b"p" * size)
        loop = asyncio.get_running_loop()

        def stutter() -> None:
            heard.exchange.pause()
            loop.call_soon(heard.exchange.resume)

        heard = seam.open(ask(provider), on={"body": stutter})
        await heard.ended()
        assert heard.body == b"p" * size

    @on_sockets
    async def test_connection_paused_at_the_end_serves_the_next(
        self, seam: TransportSeam, provider: ScriptedUpstream
    ) -> None:
        """A pause is over with its exchange."""
        provider.default = (ReadBody(), Send(response(200, [], b"ok")))
        heard = seam.open(ask(provider))
        heard.on["body"] = heard.exchange.pause
        await heard.until(lambda: heard.body == b"ok")
        heard.exchange.resume()
        await heard.ended()
        assert (await seam.get(ask(provider))).body == b"ok"


async def still(condition: Callable[[], bool]) -> bool:
    """Whether CONDITION goes on to hold for a tenth of a second: a stall has no event to wait for."""
    loop = asyncio.get_running_loop()
    until = loop.time() + 0.1
    while loop.time() < until:
        if not condition():
            return False
        await asyncio.sleep(0.005)
    return True
