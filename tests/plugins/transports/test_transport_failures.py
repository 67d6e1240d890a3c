"""What goes wrong is told once, with how far the exchange had come; a broken answer never looks whole."""

import asyncio
import socket

import pytest
from tests.plugins.transports.seam import Seam, ask

from beyond_ai import FailureStage
from beyond_ai.testing import (
    Close,
    ReadBody,
    Reset,
    ScriptedUpstream,
    Send,
    StopReading,
    Tell,
    Until,
    chunk,
    chunked_head,
    response,
)

HALF_HEAD = b"HTTP/1.1 200 OK\r\ncontent-le"


async def test_endless_head(seam: Seam, provider: ScriptedUpstream) -> None:
    line = b"x-padding: " + b"p" * 1000 + b"\r\n"
    provider.play(ReadBody(), Send(b"HTTP/1.1 200 OK\r\n"), *(Send(line * 64) for _ in range(16)))
    heard = seam.open(ask(provider))
    await heard.failed(FailureStage.SEND)
    await provider.wait_closed()


async def test_provider_that_closes_while_the_request_goes_up(seam: Seam, provider: ScriptedUpstream) -> None:
    provider.play(ReadBody(3), Reset())
    heard = seam.open(ask(provider, b"POST", length=6))
    heard.exchange.send(b"abc")
    await heard.failed(FailureStage.SEND)


async def test_silence_before_the_answer(seam: Seam, provider: ScriptedUpstream) -> None:
    seam.make(read_timeout=0.1)
    provider.play(ReadBody(), Until(asyncio.Event()))
    heard = seam.open(ask(provider))
    await heard.failed(FailureStage.SEND, timed_out=True)
    await provider.wait_closed()
    assert len(provider.requests) == 1


async def test_silence_within_the_answer(seam: Seam, provider: ScriptedUpstream) -> None:
    seam.make(read_timeout=0.1)
    provider.play(ReadBody(), Send(chunked_head() + chunk(b"half")), Until(asyncio.Event()))
    heard = seam.open(ask(provider))
    await heard.failed(FailureStage.BODY, timed_out=True)
    assert heard.body == b"half"
    await provider.wait_closed()


@pytest.mark.parametrize("at_once", [True, False], ids=["within the event", "later"])
async def test_silence_of_a_paused_answer_is_no_failure(seam: Seam, provider: ScriptedUpstream, at_once: bool) -> None:
    """The client is slow, not the provider: the read limit does not run."""
    loop = asyncio.get_running_loop()

    def pausing() -> None:
        if at_once:
            heard.exchange.pause()
        else:
            loop.call_soon(heard.exchange.pause)

    seam.make(read_timeout=0.1)
    provider.play(ReadBody(), Send(chunked_head() + chunk(b"half")), Until(asyncio.Event()))
    heard = seam.open(ask(provider), on={"body": pausing})
    await heard.until(lambda: heard.body == b"half")
    with pytest.raises(TimeoutError):
        await heard.until(lambda: heard.over, within=1.5)
    heard.exchange.resume()
    await heard.failed(FailureStage.BODY, timed_out=True)


async def test_provider_that_does_not_read_in_time(seam: Seam, provider: ScriptedUpstream) -> None:
    seam.make(write_timeout=0.1)
    stopped = asyncio.Event()
    provider.play(StopReading(), Tell(stopped), Until(asyncio.Event()))
    size = 32 << 20
    heard = seam.open(ask(provider, b"POST", length=size))
    sending = asyncio.create_task(heard.send_all(b"x" * size))
    await heard.failed(FailureStage.SEND, timed_out=True)
    assert stopped.is_set()
    sending.cancel()


async def test_connection_refused(seam: Seam) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound but not listening
        heard = seam.open(ask(f"127.0.0.1:{unused.getsockname()[1]}"))
        failure = await heard.failed(FailureStage.CONNECT)
    assert heard.told == ["connect_retry", "connect_retry", "failed"]
    assert "127.0.0.1" in failure.message


async def test_name_that_does_not_exist(seam: Seam) -> None:
    heard = seam.open(ask("127.0.0.1:9", host="no-such-host.invalid"))
    await heard.failed(FailureStage.CONNECT)
    assert heard.told == ["failed"]


async def test_connection_that_comes_at_the_second_try(seam: Seam) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        authority = f"127.0.0.1:{listener.getsockname()[1]}"
        heard = seam.open(ask(authority, b"POST", length=2))
        heard.exchange.send(b"{}")
        heard.exchange.send_end()
        await heard.until(lambda: "connect_retry" in heard.events)
        listener.listen()
        async with ScriptedUpstream(listener=listener) as late:
            late.answer(response(200, [], b"ok"))
            await heard.ended()
            assert late.requests[0].body == b"{}"
            await seam.aclose()
    assert heard.told.count("connect_retry") in (1, 2)


async def test_one_address_of_several_refuses(
    seam: Seam, provider: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    def addresses(*_args: object, **_options: object) -> list[object]:
        kind = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
        return [(*kind, ("127.0.0.2", provider.port)), (*kind, ("127.0.0.1", provider.port))]

    monkeypatch.setattr(socket, "getaddrinfo", addresses)
    provider.answer(response(200, [], b"ok"))
    heard = await seam.get(ask(provider, host="provider.test"))
    assert heard.told == ["head", "body", "end"]


async def test_failure_names_no_credential_and_no_query(seam: Seam, provider: ScriptedUpstream) -> None:
    provider.play(ReadBody(), Close())
    heard = seam.open(
        ask(provider, target=b"/v1?key=sk-fake-query", headers=[(b"Host", b"a"), (b"Authorization", b"Bearer sk-fake")])
    )
    failure = await heard.failed(FailureStage.SEND)
    assert "sk-fake" not in failure.message
