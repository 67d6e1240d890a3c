"""HTTP/2 over TLS, by `httpx`: the same promises as over HTTP/1.1."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.plugins.transports.certificates import Authority
from tests.plugins.transports.h2_provider import H2Provider, H2Request
from tests.plugins.transports.seam import BOUND, Seam, ask

from beyond_ai import FailureStage
from beyond_ai.testing import ReadBody, ScriptedUpstream, Send, response


@pytest.fixture
async def h2_seam(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Seam]:
    authority.trust(monkeypatch)
    seam = Seam("httpx")
    yield seam
    await seam.aclose()


@pytest.fixture
async def h2_provider(h2_seam: Seam, authority: Authority) -> AsyncIterator[H2Provider]:
    async with H2Provider(authority.context(protocols=("h2", "http/1.1")), answer_ok) as running:
        yield running
        await h2_seam.aclose()


def answer_ok(request: H2Request) -> None:
    request.head(200, [(b"x-first", b"1"), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")])
    request.data(b"hello ")
    request.data(b"again", end=True)


async def test_answer(h2_seam: Seam, h2_provider: H2Provider) -> None:
    heard = await h2_seam.get(ask(h2_provider, tls=True, headers=[(b"Host", b"api.example"), (b"X-Plain", b"1")]))
    assert heard.told == ["head", "body", "end"]
    assert (heard.status, heard.reason, heard.body) == (200, b"", b"hello again")
    assert heard.headers == [(b"x-first", b"1"), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]
    assert sorted(h2_provider.requests[0].headers) == [
        (b":authority", b"api.example"),
        (b":method", b"GET"),
        (b":path", b"/v1/things?b=2&a=1"),
        (b":scheme", b"https"),
        (b"x-plain", b"1"),
    ]


async def test_connection_is_used_again(h2_seam: Seam, h2_provider: H2Provider) -> None:
    for _ in range(4):
        await h2_seam.get(ask(h2_provider, tls=True))
    assert len(h2_provider.connections) == 1


async def test_exchanges_at_a_time_have_a_connection_each(h2_seam: Seam, h2_provider: H2Provider) -> None:
    all_heard = [h2_seam.open(ask(h2_provider, tls=True)) for _ in range(5)]
    for heard in all_heard:
        await heard.ended()
    assert len(h2_provider.connections) == 5


@pytest.mark.parametrize("chunked", [False, True], ids=["content-length", "chunked"])
async def test_request_body(h2_seam: Seam, h2_provider: H2Provider, chunked: bool) -> None:
    body = bytes(range(256)) * 2000
    heard = h2_seam.open(ask(h2_provider, b"POST", tls=True, length=None if chunked else len(body), chunked=chunked))
    await heard.send_all(body, 30_000)
    await heard.ended()
    assert h2_provider.requests[0].body == body
    assert b"transfer-encoding" not in dict(h2_provider.requests[0].headers)


@pytest.mark.parametrize(("method", "status"), [(b"HEAD", 200), (b"GET", 204), (b"GET", 304)])
async def test_answer_without_a_body(h2_seam: Seam, h2_provider: H2Provider, method: bytes, status: int) -> None:
    h2_provider.respond = lambda request: request.head(status, [(b"etag", b'"1"')], end=True)
    heard = await h2_seam.get(ask(h2_provider, method, tls=True))
    assert heard.told == ["head", "end"]
    assert heard.status == status


def half(request: H2Request) -> None:
    request.head(200, [])
    request.data(b"half")


@pytest.mark.parametrize("how", ["stream reset", "connection lost"])
async def test_answer_that_breaks_off(h2_seam: Seam, h2_provider: H2Provider, how: str) -> None:
    h2_provider.respond = half
    heard = h2_seam.open(ask(h2_provider, tls=True))
    await heard.until(lambda: heard.body == b"half")
    if how == "stream reset":
        h2_provider.requests[0].reset()
    else:
        h2_provider.connections[0].transport.abort()
    await heard.failed(FailureStage.BODY)


async def test_answer_shorter_than_it_said(h2_seam: Seam, h2_provider: H2Provider) -> None:
    def lie(request: H2Request) -> None:
        request.head(200, [(b"content-length", b"9")])
        request.data(b"half", end=True)

    h2_provider.respond = lie
    await h2_seam.open(ask(h2_provider, tls=True)).failed(FailureStage.BODY)


async def test_no_answer(h2_seam: Seam, h2_provider: H2Provider) -> None:
    h2_provider.respond = H2Request.reset
    await h2_seam.open(ask(h2_provider, tls=True)).failed(FailureStage.SEND)
    assert len(h2_provider.requests) == 1


async def test_giving_up_closes_the_connection(h2_seam: Seam, h2_provider: H2Provider) -> None:
    """Nothing else runs on it, and the provider sees at once that nobody listens."""
    h2_provider.respond = half
    heard = h2_seam.open(ask(h2_provider, tls=True))
    await heard.until(lambda: heard.body == b"half")
    heard.abort()
    await asyncio.wait_for(h2_provider.connections[0].lost.wait(), BOUND)


async def test_paused_answer_holds_the_provider(h2_seam: Seam, h2_provider: H2Provider) -> None:
    size = 24 << 20

    def much(request: H2Request) -> None:
        request.head(200, [])
        request.data(b"z" * size, end=True)

    h2_provider.respond = much
    heard = h2_seam.open(ask(h2_provider, tls=True), on={"head": lambda: heard.exchange.pause()})
    await heard.until(lambda: heard.status == 200)
    with pytest.raises(TimeoutError):
        await heard.until(lambda: heard.over, within=0.5)
    assert h2_provider.connections[0].sent < size
    assert len(heard.body) < 1 << 20
    heard.exchange.resume()
    await heard.ended()
    assert len(heard.body) == size


async def test_idle_connection_that_the_provider_closed(h2_seam: Seam, h2_provider: H2Provider) -> None:
    await h2_seam.get(ask(h2_provider, tls=True))
    h2_provider.connections[0].h2.close_connection()
    h2_provider.connections[0].flush()
    h2_provider.connections[0].transport.abort()
    await asyncio.wait_for(h2_provider.connections[0].lost.wait(), BOUND)
    assert (await h2_seam.get(ask(h2_provider, tls=True))).body == b"hello again"


@pytest.mark.parametrize("offered", [True, False], ids=["provider has only HTTP/1.1", "switched off"])
async def test_http_1_1_where_http2_is_not_wanted(h2_seam: Seam, authority: Authority, offered: bool) -> None:
    h2_seam.make(http2=offered)
    protocols = ("http/1.1",) if offered else ("h2", "http/1.1")
    async with ScriptedUpstream(tls=authority.context(protocols=protocols)) as secure:
        secure.play(ReadBody(), Send(response(200, [], b"old")))
        assert (await h2_seam.get(ask(secure, tls=True))).body == b"old"
        await h2_seam.aclose()
