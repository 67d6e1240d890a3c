"""Kept connections: used again when they are clean, never when anything came that nobody asked for."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.plugins.transports.seam import Heard, Seam, ask

from beyond_ai import FailureStage
from beyond_ai.testing import (
    Close,
    ReadBody,
    Reset,
    ScriptedUpstream,
    Send,
    Step,
    ThreadedUpstream,
    Until,
    chunked,
    response,
    response_head,
)

FORGED = response(200, [(b"x-forged", b"1")], b"forged")
OK = response(200, [], b"ok")


async def test_connection_is_used_again(seam: Seam, provider: ScriptedUpstream) -> None:
    provider.default = lambda request: (ReadBody(), Send(chunked(200, [], [request.target])))
    for number in range(5):
        target = b"/%d" % number
        assert (await seam.get(ask(provider, target=target))).body == target
    assert len(provider.connections) == 1


async def test_exchanges_at_a_time_share_nothing(seam: Seam, provider: ScriptedUpstream) -> None:
    provider.default = lambda request: (ReadBody(), Send(response(200, [], request.target)))
    heard = [seam.open(ask(provider, b"POST", b"/%d" % number, length=1)) for number in range(20)]
    for number, each in enumerate(heard):
        each.exchange.send(b"%d" % (number % 10))
        each.exchange.send_end()
    for number, each in enumerate(heard):
        await each.ended()
        assert each.body == b"/%d" % number
    assert all(request.body == request.target[-1:] for request in provider.requests)
    assert len(provider.connections) == 20
    await seam.get(ask(provider))
    assert len(provider.connections) == 20


async def test_connection_is_closed_when_the_answer_says_so(seam: Seam, provider: ScriptedUpstream) -> None:
    provider.default = (ReadBody(), Send(response(200, [(b"Connection", b"close")], b"ok")))
    await seam.get(ask(provider))
    await provider.wait_closed(0)
    await seam.get(ask(provider))
    assert len(provider.connections) == 2


async def test_no_idle_time_keeps_no_connection(seam: Seam, provider: ScriptedUpstream) -> None:
    seam.make(idle_timeout=0)
    provider.default = (ReadBody(), Send(OK))
    await seam.get(ask(provider))
    await provider.wait_closed(0)
    await seam.get(ask(provider))
    assert len(provider.connections) == 2


async def test_idle_connection_is_closed_in_time(seam: Seam, provider: ScriptedUpstream) -> None:
    seam.make(idle_timeout=0.1)
    provider.answer(OK)
    await seam.get(ask(provider))
    await provider.wait_closed(0)


@pytest.mark.parametrize(
    "first",
    [OK, chunked(200, [], [b"ok"]), response_head(204), response(200, [], b"")],
    ids=["content-length", "chunked", "204", "empty"],
)
@pytest.mark.parametrize("surplus", [FORGED, b"\0garbage", b"H"], ids=["an answer", "garbage", "one byte"])
async def test_bytes_behind_an_answer_are_not_the_next(
    seam: Seam, provider: ScriptedUpstream, first: bytes, surplus: bytes
) -> None:
    provider.answer(first + surplus)
    provider.answer(response(200, [], b"mine"))
    assert (await seam.get(ask(provider))).body in (b"ok", b"")
    heard = await seam.get(ask(provider))
    assert heard.body == b"mine"
    assert len(provider.connections) == 2


async def test_body_in_answer_to_head_is_not_the_next(seam: Seam, provider: ScriptedUpstream) -> None:
    provider.answer(response(200, [], FORGED))
    provider.answer(response(200, [], b"mine"))
    heard = await seam.get(ask(provider, b"HEAD"))
    assert heard.told == ["head", "end"]
    assert (await seam.get(ask(provider))).body == b"mine"
    assert len(provider.connections) == 2


async def test_bytes_on_an_idle_connection_are_not_the_next(seam: Seam, provider: ScriptedUpstream) -> None:
    go = asyncio.Event()
    provider.play(ReadBody(), Send(OK), Until(go), Send(FORGED))
    provider.answer(response(200, [], b"mine"))
    await seam.get(ask(provider))
    go.set()
    await provider.wait_answered(0)
    if seam.name == "http1":  # it hears of them at once; httpx looks before it uses a connection again
        await provider.wait_closed(0)
    assert (await seam.get(ask(provider))).body == b"mine"
    assert len(provider.connections) == 2


async def test_idle_connection_that_the_provider_closed(seam: Seam, provider: ScriptedUpstream) -> None:
    provider.play(ReadBody(), Send(OK), Close())
    provider.answer(response(200, [], b"mine"))
    await seam.get(ask(provider))
    await provider.wait_closed(0)
    heard = await seam.get(ask(provider))
    assert heard.body == b"mine"


@pytest.fixture
async def beside(seam: Seam) -> AsyncIterator[ThreadedUpstream]:
    """A provider in a thread of its own, which goes on while this loop stands still."""
    with ThreadedUpstream() as running:
        yield running
        await seam.aclose()


def close_kept(beside: ThreadedUpstream, go: asyncio.Event) -> None:
    """Let the provider close its kept connection while this loop does not run."""
    beside.set(go)
    beside.wait_closed(0)


@pytest.fixture(params=[Close(), Reset()], ids=["close", "reset"])
def ending(request: pytest.FixtureRequest) -> Step:
    assert isinstance(request.param, Close | Reset)
    return request.param


async def keep_one(seam: Seam, beside: ThreadedUpstream, ending: Step) -> asyncio.Event:
    """Make an exchange whose connection is kept until the event is set."""
    go = asyncio.Event()
    beside.play(ReadBody(), Send(OK), Until(go), ending)
    await seam.get(ask(beside))
    return go


def post(seam: Seam, beside: ThreadedUpstream, body: bytes) -> Heard:
    heard = seam.open(ask(beside, b"POST", length=len(body)))
    heard.exchange.send(body)
    heard.exchange.send_end()
    return heard


async def test_request_that_meets_the_close_goes_out_once_on_a_new_connection(
    seam: Seam, beside: ThreadedUpstream
) -> None:
    go = await keep_one(seam, beside, Close())
    beside.answer(response(200, [], b"mine"))
    close_kept(beside, go)
    heard = post(seam, beside, b"payload")  # this loop has not seen the end of the connection
    await heard.ended()
    assert heard.body == b"mine"
    assert len(beside.connections) == 2
    assert [bytes(request.body) for request in beside.requests] == [b"", b"payload"]


async def test_request_that_meets_a_reset_goes_out_once_or_fails(seam: Seam, beside: ThreadedUpstream) -> None:
    """A reset does not prove that the request was not read, so failing is right too."""
    go = await keep_one(seam, beside, Reset())
    beside.answer(response(200, [], b"mine"))
    close_kept(beside, go)
    heard = post(seam, beside, b"payload")
    await heard.until(lambda: heard.over)
    if heard.events[-1] == "failed":
        await heard.failed(FailureStage.SEND)
        assert [bytes(request.body) for request in beside.requests] == [b""]
    else:
        assert [bytes(request.body) for request in beside.requests] == [b"", b"payload"]


async def test_large_request_that_meets_the_close_is_not_sent_in_part(
    seam: Seam, beside: ThreadedUpstream, ending: Step
) -> None:
    """More than is held to be sent again: either it goes out whole on a new connection, or it fails."""
    go = await keep_one(seam, beside, ending)
    beside.answer(response(200, [], b"mine"))
    close_kept(beside, go)
    body = b"p" * 300_000
    heard = post(seam, beside, body)
    await heard.until(lambda: heard.over)
    if heard.events[-1] == "failed":
        await heard.failed(FailureStage.SEND)
        assert len(beside.requests) == 1
    else:
        assert bytes(beside.requests[1].body) == body


async def test_request_that_the_provider_read_is_never_sent_again(
    seam: Seam, provider: ScriptedUpstream, ending: Step
) -> None:
    provider.answer(OK)
    provider.play(ReadBody(), ending)
    await seam.get(ask(provider))
    heard = seam.open(ask(provider, b"POST", length=2))
    heard.exchange.send(b"{}")
    heard.exchange.send_end()
    await heard.failed(FailureStage.SEND)
    assert len(provider.requests) == 2
    assert len(provider.connections) == 1
