"""`httpx` reaches providers through the proxies of the environment: HTTP, CONNECT, SOCKS5; NO_PROXY goes around."""

import asyncio
import base64
import socket
import subprocess
import sys

import pytest
from tests.plugins.transports.certificates import Authority
from tests.plugins.transports.h2_provider import H2Provider, H2Request
from tests.plugins.transports.proxy import Proxy
from tests.plugins.transports.seam import BOUND, Seam, ask

from beyond_ai import ConfigError, FailureStage
from beyond_ai.testing import ReadBody, ScriptedUpstream, Send, response

OK = (ReadBody(), Send(response(200, [], b"ok")))


async def test_plain_http_through_an_http_proxy(provider: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch) -> None:
    provider.default = OK
    async with Proxy("http", provider.authority) as proxy:
        monkeypatch.setenv("http_proxy", f"http://user:p%40ss@{proxy.authority}")
        seam = Seam("httpx")
        heard = seam.open(ask("127.0.0.1:80", b"POST", length=2, host="api.test"))
        heard.exchange.send(b"{}")
        heard.exchange.send_end()
        await heard.ended()
        await seam.aclose()
    assert proxy.heads[0].startswith(b"POST http://api.test:80/v1/things?b=2&a=1 HTTP/1.1\r\n")
    assert base64.b64encode(b"user:p@ss") in proxy.heads[0]
    assert provider.requests[0].body == b"{}"


@pytest.mark.parametrize("kind", ["http", "socks5"])
async def test_http2_through_a_tunnel(kind: str, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    authority.trust(monkeypatch)

    def answer(request: H2Request) -> None:
        request.head(200, [])
        request.data(b"ok", end=True)

    async with (
        H2Provider(authority.context("api.test", ("h2",)), answer) as provider,
        Proxy("http" if kind == "http" else "socks5", provider.authority) as proxy,
    ):
        monkeypatch.setenv("HTTPS_PROXY", f"{kind}://user:secret@{proxy.authority}")
        seam = Seam("httpx")
        for _ in range(2):
            heard = await seam.get(ask("127.0.0.1:443", tls=True, host="api.test", headers=[(b"Host", b"api.test")]))
            assert heard.body == b"ok"
        await seam.aclose()
    if kind == "http":
        (connect,) = proxy.heads
        assert connect.startswith(b"CONNECT api.test:443 HTTP/1.1\r\n")
        assert base64.b64encode(b"user:secret") in connect
    else:
        assert proxy.heads == [b"user:secret", b"api.test:443"]
    assert b"secret" not in repr(provider.requests[0].headers).encode()


async def test_plain_http_through_socks(provider: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch) -> None:
    provider.default = OK
    async with Proxy("socks5", provider.authority) as proxy:
        monkeypatch.setenv("ALL_PROXY", f"socks5://{proxy.authority}")
        seam = Seam("httpx")
        for _ in range(2):
            assert (await seam.get(ask("127.0.0.1:80", host="api.test"))).body == b"ok"
        await seam.aclose()
    assert proxy.heads == [b"api.test:80"]
    assert provider.requests[0].head.startswith(b"GET /v1/things?b=2&a=1 HTTP/1.1\r\n")


@pytest.mark.parametrize("around", ["127.0.0.1", "*", "other.test,127.0.0.1"])
async def test_no_proxy_goes_around(provider: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch, around: str) -> None:
    provider.default = OK
    async with Proxy("http", provider.authority) as proxy:
        monkeypatch.setenv("http_proxy", proxy.authority)
        monkeypatch.setenv("no_proxy", around)
        seam = Seam("httpx")
        assert (await seam.get(ask(provider))).body == b"ok"
        await seam.aclose()
    assert proxy.heads == []


async def test_proxy_that_refuses(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Proxy("http", "127.0.0.1:9", b"407 Proxy Authentication Required") as proxy:
        monkeypatch.setenv("https_proxy", f"http://user:secret@{proxy.authority}")
        seam = Seam("httpx")
        heard = seam.open(ask("127.0.0.1:443", tls=True, host="api.test"))
        failure = await heard.failed(FailureStage.CONNECT)
        await seam.aclose()
    assert heard.told == ["failed"]
    assert "407" in failure.message
    assert "secret" not in failure.message


@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_proxy_that_says_nothing(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    """The limit on connecting covers the proxy's part."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("https_proxy", f"{scheme}://127.0.0.1:{silent.getsockname()[1]}")
        seam = Seam("httpx")
        heard = seam.open(ask("127.0.0.1:443", tls=True, host="api.test"), seam.make(connect_timeout=0.1))
        await heard.failed(FailureStage.CONNECT)
        await asyncio.wait_for(seam.aclose(), BOUND)
    assert heard.told == ["connect_retry", "connect_retry", "failed"]


@pytest.mark.parametrize("value", ["ftp://proxy.test:21", "http://user:secret@proxy.test:port"])
def test_proxy_that_cannot_be_used_is_said_at_the_start(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("https_proxy", value)
    with pytest.raises(ConfigError, match="HTTPS_PROXY") as caught:
        Seam("httpx").make()
    assert "secret" not in str(caught.value)


def test_module_is_light() -> None:
    """`plugins list` imports it; the engine waits until it is chosen."""
    program = (
        "import sys, beyond_ai_plugins.transports.httpx as module; list(module.beyond_transports());"
        "sys.exit(str(sorted({'httpx', 'httpcore', 'h2'} & set(sys.modules)) or ''))"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=False).stderr.strip() == b""
