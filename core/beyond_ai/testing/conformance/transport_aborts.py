"""An exchange given up at any stage lets go of its connection, and is not heard of again."""

import asyncio
import socket

import pytest

from beyond_ai.testing import (
    ReadBody,
    ScriptedUpstream,
    Send,
    StopReading,
    Tell,
    Until,
    chunk,
    chunked_head,
    response,
)
from beyond_ai.testing.conformance.on_sockets import SeamRules, on_sockets
from beyond_ai.testing.transport_events import BOUND, Heard, TransportSeam, ask


class TransportAborts(SeamRules):
    """The rules about `abort` and `aclose`."""

    @on_sockets
    async def test_before_the_first_turn_of_the_loop(self, seam: TransportSeam, provider: ScriptedUpstream) -> None:
        """An exchange given up at once sends nothing."""
        seam.open(ask(provider)).abort()
        provider.answer(response(200, [], b"ok"))
        await seam.get(ask(provider))
        assert len(provider.requests) == 1

    @on_sockets
    async def test_while_connecting(self, seam: TransportSeam) -> None:
        """An attempt to connect is given up."""
        with socket.create_server(("127.0.0.1", 0)) as silent:
            silent.setblocking(False)
            heard = seam.open(ask(f"127.0.0.1:{silent.getsockname()[1]}", tls=True))
            loop = asyncio.get_running_loop()
            connection, _ = await loop.sock_accept(silent)
            with connection:
                connection.setblocking(False)
                assert await asyncio.wait_for(loop.sock_recv(connection, 4096), BOUND)  # the first word of TLS
                heard.abort()
                async with asyncio.timeout(BOUND):
                    while await loop.sock_recv(connection, 4096):
                        pass
        assert heard.told == []

    @on_sockets
    async def test_between_two_tries_to_connect(self, seam: TransportSeam) -> None:
        """No further attempt follows."""
        if not self.repeats_attempts:
            pytest.skip("`repeats_attempts` is not said of it")
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            heard = seam.open(ask(f"127.0.0.1:{unused.getsockname()[1]}"))
            await heard.until(lambda: "connect_retry" in heard.events)
            heard.abort()
            await seam.aclose()
        assert heard.told == ["connect_retry"]

    @pytest.mark.parametrize("stuck", [False, True], ids=["body to come", "body stuck"])
    @on_sockets
    async def test_while_the_request_goes_up(
        self, seam: TransportSeam, provider: ScriptedUpstream, stuck: bool
    ) -> None:
        """A request that is under way is broken off, stuck or not."""
        begun, go = asyncio.Event(), asyncio.Event()
        if stuck:
            provider.play(StopReading(), Tell(begun), Until(go))
        else:
            provider.play(ReadBody(1), Tell(begun), Until(go))
        size = 32 << 20
        heard = seam.open(ask(provider, b"POST", length=size))
        heard.exchange.send(b"x" * 100)
        sending = asyncio.create_task(heard.send_all(b"x" * (size - 100))) if stuck else None
        await asyncio.wait_for(begun.wait(), BOUND)
        if stuck:
            await heard.until(lambda: heard.paused)
        heard.abort()
        if sending is not None:
            sending.cancel()
            provider.connections[0]._transport.resume_reading()  # noqa: SLF001 - else it does not see the end
        await provider.wait_closed()
        assert heard.told == []

    @on_sockets
    async def test_while_waiting_for_the_answer(self, seam: TransportSeam, provider: ScriptedUpstream) -> None:
        """The provider is told by the end of its connection."""
        provider.play(ReadBody(), Until(asyncio.Event()))
        heard = seam.open(ask(provider))
        await provider.wait_for_requests(1)
        heard.abort()
        await provider.wait_closed()
        assert heard.events[-1:] != ["failed"]

    @pytest.mark.parametrize("paused", [False, True])
    @on_sockets
    async def test_within_the_answer(self, seam: TransportSeam, provider: ScriptedUpstream, paused: bool) -> None:
        """Whatever is asked of the exchange afterwards is harmless."""
        go = asyncio.Event()
        provider.play(ReadBody(), Send(chunked_head() + chunk(b"one")), Until(go), Send(chunk(b"two")))
        heard = seam.open(ask(provider))
        await heard.until(lambda: heard.body == b"one")
        if paused:
            heard.exchange.pause()
        heard.abort()
        go.set()
        await provider.wait_closed()
        heard.exchange.resume()
        heard.exchange.send(b"late")
        heard.exchange.send_end()
        heard.abort()
        assert heard.body == b"one"

    @pytest.mark.parametrize("event", ["informational", "head", "body"])
    @on_sockets
    async def test_from_within_an_event(self, seam: TransportSeam, provider: ScriptedUpstream, event: str) -> None:
        """An event may be what gives the exchange up."""
        interim = b"HTTP/1.1 103 Early Hints\r\n\r\n"
        provider.answer(interim * 2 + chunked_head() + chunk(b"one") + chunk(b"two") + b"0\r\n\r\n")
        heard = seam.open(ask(provider), on={event: lambda: heard.abort()})  # noqa: PLW0108 - not bound yet
        await heard.until(lambda: heard.aborted)
        await provider.wait_closed()
        assert heard.told[-1] == event

    @on_sockets
    async def test_after_the_end_is_harmless(self, seam: TransportSeam, provider: ScriptedUpstream) -> None:
        """The connection is already another's."""
        provider.default = (ReadBody(), Send(response(200, [], b"ok")))
        heard = await seam.get(ask(provider))
        heard.abort()
        heard.exchange.pause()
        heard.exchange.resume()
        assert (await seam.get(ask(provider))).body == b"ok"
        self.check_kept(provider)

    @on_sockets
    async def test_one_of_many_leaves_the_others(self, seam: TransportSeam, provider: ScriptedUpstream) -> None:
        """Exchanges do not share their ends."""
        go = asyncio.Event()
        provider.default = (
            ReadBody(),
            Send(chunked_head() + chunk(b"one")),
            Until(go),
            Send(chunk(b"two") + b"0\r\n\r\n"),
        )
        all_heard = [seam.open(ask(provider)) for _ in range(6)]
        await asyncio.gather(*(_heard_one(heard) for heard in all_heard))
        for heard in all_heard[::2]:
            heard.abort()
        go.set()
        for heard in all_heard[1::2]:
            await heard.ended()
            assert heard.body == b"onetwo"

    @on_sockets
    async def test_closing_the_transport_closes_everything(
        self, seam: TransportSeam, provider: ScriptedUpstream
    ) -> None:
        """Idle connections, and what is open."""
        transport = seam.make()
        provider.answer(response(200, [], b"ok"))
        provider.play(ReadBody(), Send(chunked_head() + chunk(b"one")), Until(asyncio.Event()))
        provider.play(ReadBody(), Until(asyncio.Event()))
        streaming_first = seam.open(ask(provider), transport)
        await streaming_first.ended()
        streaming = seam.open(ask(provider), transport)
        waiting = seam.open(ask(provider), transport)
        idle_again = [streaming, waiting]
        await provider.wait_for_requests(3)
        await streaming.until(lambda: streaming.body == b"one")
        connecting = seam.open(ask(provider), transport)
        for heard in [*idle_again, connecting]:
            heard.aborted = True
        await asyncio.wait_for(transport.aclose(), BOUND)
        for number in range(len(provider.connections)):
            await provider.wait_closed(number)


async def _heard_one(heard: Heard) -> None:
    await heard.until(lambda: heard.body == b"one")
