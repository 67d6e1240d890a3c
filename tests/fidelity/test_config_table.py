"""The configuration table, key by key: default, variable, range, and what it does to a running gateway.

What a key does is tested here where no other test has it. Keys that do not disturb each other share a gateway.
"""

import asyncio
import contextlib
import re
import socket
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Final

import httpx
import nats
import pytest
from tests.fidelity.matrix import OK, Lab
from tests.fidelity.settings import SETTINGS, Setting
from tests.gateway_process import BYO, MANAGED, POOL_KEYS, PUBLIC_KEY
from tests.integration.exchanges import get, metrics
from tests.nats_credentials import user_credentials
from tests.nats_server import NatsServer
from tests.plugins.transports.certificates import Authority

from beyond_ai import ConfigError, NatsSettings, UpstreamRequest
from beyond_ai.config import Settings, load_settings
from beyond_ai.testing import Close, GatewayProcess, ReadBody, ScriptedUpstream, Send, StopReading, Until, response
from beyond_ai_plugins.deny.nats.login import login_options
from beyond_ai_plugins.transports.http1.pool import Http1Transport

ROOT: Final = Path(__file__).parents[2]


def configured(folder: Path, text: str = "", /, **environ: str) -> Settings:
    file = folder / "gateway.toml"
    file.write_text(text)
    return load_settings(file, environ).settings


# The table


def test_every_key_has_its_row() -> None:
    assert [setting.key for setting in SETTINGS] == list(Settings.model_fields)


each = pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.key)


@each
def test_default(setting: Setting, tmp_path: Path) -> None:
    assert getattr(configured(tmp_path), setting.key) == setting.default


@each
def test_variable(setting: Setting, tmp_path: Path) -> None:
    """It wins over the file; a key without one is not touched by a variable of its name."""
    if setting.variable is None:
        environ = {f"AI_{setting.key.upper()}": "x"}
        assert getattr(configured(tmp_path, **environ), setting.key) == setting.default
        return
    variable, text, value = setting.variable
    written = "" if isinstance(setting.default, dict) else f"{setting.key} = {setting.accepted[0]}\n"
    settings = configured(tmp_path, written, **{variable: text, "AI_CIRCUIT_BREAKER_THRESHOLD": "7"})
    assert getattr(settings, setting.key) == value


@each
def test_range(setting: Setting, tmp_path: Path) -> None:
    for text in setting.accepted:
        configured(tmp_path, f"{setting.key} = {text}")
    for text in setting.refused:
        with pytest.raises(ConfigError) as raised:
            configured(tmp_path, f"{setting.key} = {text}")
        named = "signing_keys" if setting.key == "require_signing_keys" and text == "true" else setting.key
        assert re.search(rf": {named}[.:]", raised.value.message), f"{setting.key} = {text}"


@each
def test_effect_is_tested(setting: Setting) -> None:
    document = (ROOT / "docs" / "gateway.md").read_text()
    without = document.partition("\n## Accepted, and without effect")[2]
    assert (f"`{setting.key}`" in without) == (not setting.effect)
    file, separator, test = setting.effect.partition("::")
    if separator:
        assert re.search(rf"^(async )?def {test}\(", (ROOT / file).read_text(), re.MULTILINE), setting.effect


# What a key does, on gateways that share it with others


def started(
    folder: Path, upstream: str, text: str, tables: str = "", *, other: str = "", **environment: str
) -> GatewayProcess:
    """A gateway with TEXT in its configuration and its providers at UPSTREAM; `other`, without a key, at OTHER."""
    workers = "" if "workers = " in text else "workers = 1"
    config = f"""
listen = "127.0.0.1:0"
metrics_listen = "127.0.0.1:0"
{workers}
{text}
[signing_keys]
1 = "{PUBLIC_KEY}"
[provider_authorities]
acme = "{upstream}"
other = "{other or upstream}"
openai = "{upstream}"
[pool_keys]
acme = ["sk-one-fake", "sk-two-fake"]
openai = "{POOL_KEYS["openai"]}"
{tables}
"""
    return GatewayProcess(config, folder=folder, environment=environment)


@pytest.fixture(scope="module")
def changed(
    upstream_listener: socket.socket, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[GatewayProcess, str]]:
    """A gateway in which everything is not what it is by default, and its proxy, which is its provider."""
    here = f"127.0.0.1:{upstream_listener.getsockname()[1]}"
    text = """
log_level = "error"
transport = "httpx"
scanner = "python"
sinks = []
deny_store = ""
nats_url = "nats://127.0.0.1:9"
upstream_tls = false
"""
    tables = """
[provider_dialects]
acme = "anthropic"
[provider_auth_schemes]
acme = "api-key"
[plugins]
disabled = ["provider:xai"]
"""
    proxies = dict.fromkeys(("no_proxy", "NO_PROXY", "ALL_PROXY", "all_proxy"), "")
    folder = tmp_path_factory.mktemp("changed")
    proxies |= dict.fromkeys(("http_proxy", "HTTP_PROXY"), f"http://{here}")
    with started(folder, here, text, tables, **proxies) as process:
        yield process, here


@pytest.fixture
async def lab(changed: tuple[GatewayProcess, str], upstream: ScriptedUpstream) -> Lab:
    answer = response(200, [(b"connection", b"close")], b"{}")  # a connection that is kept would outlive its provider
    upstream.default = (ReadBody(), Send(answer), Close())
    return Lab(changed[0], upstream, MANAGED)


@pytest.fixture(scope="module")
def impatient(upstream_listener: socket.socket, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """A gateway that waits a second for everything, and trusts a provider until it has failed twice in one."""
    text = """
upstream_tls = false
deny_store = ""
write_timeout_secs = 1
idle_timeout_secs = 1
circuit_breaker_threshold = 2
circuit_breaker_window_secs = 1
circuit_breaker_reset_secs = 60
"""
    here = f"127.0.0.1:{upstream_listener.getsockname()[1]}"
    with started(tmp_path_factory.mktemp("impatient"), here, text) as process:
        yield process


async def ask(lab: Lab, target: bytes = b"/acme/v1/responses") -> int:
    """The status of a request."""
    async with lab.client() as client:
        return (await client.exchange(lab.ask(target=target))).status


async def test_log_level(lab: Lab) -> None:
    """A refusal is a warning; what the program says of its start is no log."""
    assert await ask(lab, b"/nobody") == 404
    assert "request rejected" not in lab.gateway.stderr
    assert "listening on" in lab.gateway.stderr


async def test_transport(lab: Lab, changed: tuple[GatewayProcess, str]) -> None:
    """`httpx` is the one that knows proxies."""
    assert await ask(lab) == 200
    assert lab.upstream.requests[0].target == f"http://{changed[1]}/v1/responses".encode()


async def test_scanner(lab: Lab) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        rows = (await client.get(f"{lab.gateway.admin_url}/plugins")).json()
    assert {row["name"]: row["active"] for row in rows if row["kind"] == "scanner"}["python"] == ["python"]


async def test_sinks(lab: Lab) -> None:
    assert await ask(lab) == 200
    ended = 'ai_upstream_latency_seconds_count{provider="acme"}'
    await until(lambda: at_least(lab.gateway, ended, 1))
    assert lab.gateway.stdout == ""


async def test_deny_store(lab: Lab) -> None:
    """Nobody looks for the server that `nats_url` names; `test_without_nats...` has what is said otherwise."""
    assert await ask(lab) == 200
    assert "127.0.0.1:9" not in lab.gateway.stderr


async def test_pool_keys(lab: Lab) -> None:
    assert [await ask(lab), await ask(lab, b"/other/v1/responses")] == [200, 503]
    assert b"sk-one-fake" in [value for _, value in lab.upstream.requests[0].headers]


async def test_provider_authorities(lab: Lab, changed: tuple[GatewayProcess, str]) -> None:
    """One that is known is moved, another is added."""
    assert [await ask(lab), await ask(lab, b"/openai/v1/responses")] == [200, 200]
    host = changed[1].rpartition(":")[0].encode()
    assert [asked.header(b"host") for asked in lab.upstream.requests] == [host, host]


async def test_provider_dialects(lab: Lab) -> None:
    async with lab.client() as client:
        for provider, outer in ((b"other", b'{"error":'), (b"acme", b'{"type":"error","error":')):
            answer = await client.exchange(get(b"/%b/v1/models" % provider))
            assert (answer.status, bytes(answer.body).startswith(outer)) == (401, True)


async def test_provider_auth_schemes(lab: Lab) -> None:
    assert [await ask(lab), await ask(lab, b"/openai/v1/responses")] == [200, 200]
    keys = [(asked.header(b"api-key"), asked.header(b"authorization")) for asked in lab.upstream.requests]
    assert keys == [(b"sk-one-fake", None), (None, f"Bearer {POOL_KEYS['openai']}".encode())]


async def test_plugins(lab: Lab) -> None:
    assert [await ask(lab, b"/xai/v1/responses"), await ask(lab, b"/groq/openai/v1/responses")] == [404, 503]


async def test_write_timeout_secs(impatient: GatewayProcess, upstream: ScriptedUpstream) -> None:
    upstream.play(StopReading(), Until(asyncio.Event()))
    asked = Lab(impatient, upstream, MANAGED).ask(target=b"/openai/v1/responses", body=bytes(32 << 20))
    reader, writer = await asyncio.open_connection(impatient.host, impatient.port)
    writer.write(asked)
    async with asyncio.timeout(10):
        assert await reader.readline() == b"HTTP/1.1 504 Gateway Timeout\r\n"
    writer.transport.abort()


async def test_idle_timeout_secs(impatient: GatewayProcess, upstream: ScriptedUpstream) -> None:
    lab = Lab(impatient, upstream, BYO)
    upstream.default = (ReadBody(), Send(OK))
    assert [await ask(lab), await ask(lab)] == [200, 200]
    assert len(upstream.connections) == 1, "it is kept in between"
    await upstream.wait_closed(within=8)


async def test_circuit_breaker_window_secs(impatient: GatewayProcess, upstream: ScriptedUpstream) -> None:
    """The second failure falls in a new window, and the one after it into that same one."""
    lab = Lab(impatient, upstream, BYO)
    upstream.default = (ReadBody(), Send(response(500, [], b"")))
    path = b"/other/v1/responses"
    assert await ask(lab, path) == 500
    await asyncio.sleep(1.1)  # what is tested is that time passes
    assert [await ask(lab, path) for _ in range(3)] == [500, 500, 503]


# What a key does, on a gateway of its own


async def test_providers_behind_tls(tmp_path: Path) -> None:
    """`upstream_tls`, `upstream_verify_cert`, `upstream_http2` and `connect_timeout_secs`.

    Nobody vouches for the certificate. The provider would choose HTTP/2 if it were offered, and does not speak it. One
    that is silent gets three tries of a fifth of a second, by default half a minute.
    """
    context = Authority(tmp_path).context(protocols=("h2", "http/1.1"))
    text = 'transport = "httpx"\nupstream_verify_cert = false\nupstream_http2 = false\nconnect_timeout_secs = 0.2'
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.setblocking(False)
        async with ScriptedUpstream(tls=context, default=(ReadBody(), Send(OK))) as secure:
            process = started(
                tmp_path, secure.authority, f'deny_store = ""\n{text}', other=f"127.0.0.1:{silent.getsockname()[1]}"
            )
            async with running(process):
                lab = Lab(process, secure, BYO)
                assert await ask(lab) == 200
                assert await ask(lab, b"/other/v1/responses") == 502
                connection, _ = await asyncio.get_running_loop().sock_accept(silent)
                with connection:
                    assert connection.recv(1) == b"\x16", "which begins a handshake"
                retries = 'ai_connect_retries_total{provider="other"}'
                assert (await asyncio.to_thread(metrics, process))[retries] == 2


@contextlib.asynccontextmanager
async def running(process: GatewayProcess) -> AsyncIterator[None]:
    await asyncio.to_thread(process.start)
    try:
        yield
    finally:
        await asyncio.to_thread(process.stop)


async def at_least(gateway: GatewayProcess, name: str, value: float) -> bool:
    return (await asyncio.to_thread(metrics, gateway))[name] >= value


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await condition():  # noqa: ASYNC110 - a process tells nobody
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("setting", ["nats_creds", "nats_creds_file"])
async def test_nats_login_and_bucket(setting: str, upstream: ScriptedUpstream, tmp_path: Path) -> None:
    """`nats_creds`, `nats_creds_file`, and `config_bucket`: what stands in another bucket counts."""
    options, text = user_credentials(tmp_path)
    file = tmp_path / "user.creds"
    file.write_text(text)
    upstream.default = (ReadBody(), Send(OK))
    with NatsServer(tmp_path, *options) as server:
        client = await nats.connect(server.url, **login_options(NatsSettings(creds_file=file)))
        bucket = await client.jetstream().create_key_value(bucket="another")
        await bucket.put("blackhole.42", b"spend")
        await client.close()
        value = b64encode(text.encode()).decode() if setting == "nats_creds" else file
        login = f'upstream_tls = false\nnats_url = "{server.url}"\n{setting} = "{value}"\nconfig_bucket = "another"'
        process = started(tmp_path, upstream.authority, login)
        async with running(process):
            await until(lambda: at_least(process, "ai_nats_connected", 1))
            assert await ask(Lab(process, upstream, MANAGED)) == 402


async def test_tcp_keepalive(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    """No other process sees a socket's options: this is the transport, with the settings that a gateway gives it."""
    keys = ("tcp_keepalive_idle_secs", "tcp_keepalive_interval_secs", "tcp_keepalive_count")
    names = ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT")
    for values, longest in (((41, 7, 9), 1000 * (41 + 7 * 9)), ((32767, 32767, 127), 2**31 - 1)):
        text = "\n".join(f"{key} = {value}" for key, value in zip(keys, values, strict=True))
        made = Http1Transport(configured(tmp_path, text).upstream())
        asked = UpstreamRequest("acme", b"GET", b"/", [], upstream.host, upstream.port, False, None, False)
        connection = await made.connect(asked)
        sock = connection.transport.get_extra_info("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        options = [getattr(socket, name) for name in names]
        assert [sock.getsockopt(socket.IPPROTO_TCP, option) for option in options] == [*values, longest]
        connection.close()
        await made.aclose()


async def test_a_gateway_serves_at_the_far_end_of_every_range(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    most = [
        f"{setting.key} = {setting.accepted[-1]}"
        for setting in SETTINGS
        if isinstance(setting.default, int | float)
        and not isinstance(setting.default, bool)
        and setting.key != "workers"  # that many processes are for another machine
    ]
    assert len(most) >= 20
    upstream.default = (ReadBody(), Send(OK))
    process = started(tmp_path, upstream.authority, "\n".join([*most, "upstream_tls = false", 'deny_store = ""']))
    async with running(process):
        lab, own = Lab(process, upstream, MANAGED), Lab(process, upstream, BYO)
        assert [await ask(lab), await ask(own), await ask(lab)] == [200, 200, 200]
        assert (await process.usage_events(2))[0]["outcome"] == "ok"
    assert "Traceback" not in process.stderr
