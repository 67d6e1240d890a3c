"""TLS: a provider is believed when a trusted root vouches for its name, and not otherwise."""

import socket

import pytest
from tests.plugins.transports.certificates import Authority
from tests.plugins.transports.seam import Seam, ask

from beyond_ai import FailureStage
from beyond_ai.testing import Close, ReadBody, ScriptedUpstream, Send, close_delimited, response

OK = response(200, [], b"ok")


async def test_trusted(seam: Seam, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    authority.trust(monkeypatch)
    async with ScriptedUpstream(tls=authority.context(), default=(ReadBody(), Send(OK))) as secure:
        body = b"b" * 1_000_000
        heard = seam.open(ask(secure, b"POST", tls=True, length=len(body)))
        await heard.send_all(body)
        await heard.ended()
        assert heard.body == b"ok"
        assert secure.requests[0].body == body
        assert (await seam.get(ask(secure, tls=True))).body == b"ok"
        assert len(secure.connections) == 1
        await seam.aclose()


async def test_close_delimited(seam: Seam, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    authority.trust(monkeypatch)
    async with ScriptedUpstream(tls=authority.context()) as secure:
        secure.play(ReadBody(), Send(close_delimited(200, [], b"whole")), Close())
        assert (await seam.get(ask(secure, tls=True))).body == b"whole"
        await seam.aclose()


async def refused(seam: Seam, secure: ScriptedUpstream) -> str:
    """Expect that no request is made to SECURE, and no second attempt."""
    heard = seam.open(ask(secure, b"POST", tls=True, length=2))
    heard.exchange.send(b"{}")
    heard.exchange.send_end()
    failure = await heard.failed(FailureStage.CONNECT)
    assert heard.told == ["failed"]
    assert secure.requests == []
    await seam.aclose()
    return failure.message


async def test_untrusted(seam: Seam, authority: Authority) -> None:
    async with ScriptedUpstream(tls=authority.context()) as secure:
        assert "certificate" in (await refused(seam, secure)).lower()


async def test_wrong_name(seam: Seam, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    authority.trust(monkeypatch)
    async with ScriptedUpstream(tls=authority.context("elsewhere.test")) as secure:
        assert "127.0.0.1" in await refused(seam, secure)


async def test_verification_switched_off(seam: Seam, authority: Authority) -> None:
    seam.make(verify_cert=False)
    async with ScriptedUpstream(tls=authority.context("elsewhere.test"), default=(ReadBody(), Send(OK))) as secure:
        assert (await seam.get(ask(secure, tls=True))).body == b"ok"
        await seam.aclose()


async def test_provider_without_tls(seam: Seam) -> None:
    """What answers is no TLS; that may pass, so it is tried again."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        heard = seam.open(ask(f"127.0.0.1:{silent.getsockname()[1]}", tls=True), seam.make(connect_timeout=0.1))
        await heard.failed(FailureStage.CONNECT)
    assert heard.told == ["connect_retry", "connect_retry", "failed"]
