"""What the doctor finds, on real servers: NATS, providers with certificates good and bad, a store of a stranger's."""

import socket
import ssl
import threading
import time
from email.utils import formatdate
from pathlib import Path

import pytest
from tests.core.doctor.conftest import SIGNING_KEY, Examine, configured
from tests.core.registry.conftest import Install
from tests.nats_server import NatsServer
from tests.plugins.transports.certificates import Authority

from beyond_ai.doctor import deny_store, machine, providers
from beyond_ai.doctor.clock import check_clock
from beyond_ai.doctor.examination import examine
from beyond_ai.doctor.finding import Finding, Health
from beyond_ai.testing import GatewayProcess, ReadBody, Send, ThreadedUpstream, response

OK, NOTE, FAIL = Health.OK, Health.NOTE, Health.FAIL


def provider_at(authority: str, *settings: str, name: str = "acme", pool_key: bool = True) -> str:
    """A configuration with one provider at AUTHORITY."""
    keys = f'[pool_keys]\n{name} = "sk-pool-fake"\n{SIGNING_KEY}' if pool_key else ""
    return configured("\n".join([*settings, f'[provider_authorities]\n{name} = "{authority}"\n{keys}']))


def serving(tls: ssl.SSLContext | None, *, ahead: float = 0.0) -> ThreadedUpstream:
    """A provider that refuses everything, and whose clock is AHEAD seconds before ours."""
    date = formatdate(time.time() + ahead, usegmt=True).encode()
    return ThreadedUpstream(tls=tls, default=(ReadBody(), Send(response(404, [(b"Date", date)], b""))))


# Providers


def test_a_provider_that_answers(examined: Examine, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    authority.trust(monkeypatch)
    with serving(authority.context()) as provider:
        found = examined(provider_at(provider.authority))
        [request] = provider.requests
    assert found["provider acme"].health is OK
    assert found["provider acme"].message.startswith(f"{provider.authority}: answers in 0.")
    assert found["provider acme"].message.endswith(" more days")
    assert (request.method, request.target, b"authorization" in request.names) == (b"HEAD", b"/", False)
    assert found["clock"] == Finding("clock", OK, "within 1 s of 1 other clock")
    assert "providers" not in found


@pytest.mark.parametrize("transport", ["http1", "httpx"])
@pytest.mark.parametrize(
    ("name", "days", "reason"),
    [("elsewhere.test", 90, "127.0.0.1"), ("127.0.0.1", -1, "certificate has expired")],
    ids=["wrong name", "expired"],
)
def test_a_certificate_that_is_not_believed(
    examined: Examine,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
    transport: str,
    name: str,
    days: int,
    reason: str,
) -> None:
    authority.trust(monkeypatch)
    with serving(authority.context(name, days=days)) as provider:
        found = examined(provider_at(provider.authority, f'transport = "{transport}"'))["provider acme"]
        assert provider.requests == ()
    assert found.health is FAIL
    assert reason in found.message
    assert "provider_authorities.acme" in found.hint


def test_a_certificate_that_ends_soon(examined: Examine, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    authority.trust(monkeypatch)
    with serving(authority.context(days=13)) as provider:
        found = examined(provider_at(provider.authority))["provider acme"]
    assert (found.health, found.message.partition(", ")[2]) == (
        NOTE,
        "certificate for 12 more days: it should be renewed",
    )


def test_a_name_that_is_not_found(examined: Examine) -> None:
    found = examined(provider_at("nowhere.invalid:443"))
    assert found["provider acme"].health is FAIL
    assert found["provider acme"].message.startswith("nowhere.invalid:443: the name nowhere.invalid is not found: ")
    assert found["clock"].health is NOTE


@pytest.mark.parametrize("tls", [True, False])
def test_one_that_accepts_and_never_answers(examined: Examine, monkeypatch: pytest.MonkeyPatch, tls: bool) -> None:
    monkeypatch.setattr(providers, "ANSWER_TIMEOUT", 0.5)
    monkeypatch.setattr(providers, "LOOKUP_TIMEOUT", 0.25)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        authority = f"127.0.0.1:{silent.getsockname()[1]}"
        started = time.monotonic()
        found = examined(provider_at(authority, f"upstream_tls = {str(tls).lower()}"))
        assert time.monotonic() - started < 10
    assert (found["provider acme"].health, found["provider acme"].message) == (FAIL, f"{authority}: no answer in 0.5 s")
    assert ("upstream_tls" in found) is not tls


def test_a_resolver_that_hangs(examined: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty names, each in a thread of its own, and nobody waits for those threads."""
    monkeypatch.setattr(providers, "ANSWER_TIMEOUT", 0.5)
    monkeypatch.setattr(providers, "LOOKUP_TIMEOUT", 0.25)
    awake, ask = threading.Event(), socket.getaddrinfo

    def hang(host: str, *arguments: int, **options: int) -> object:
        if host.endswith(".invalid"):
            awake.wait(30)
            raise socket.gaierror(socket.EAI_NONAME, "too late")
        return ask(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    names = [f"p{number}" for number in range(20)]
    authorities = "\n".join(f'{name} = "{name}.invalid:443"' for name in names)
    started = time.monotonic()
    found = examined(configured(f"[provider_authorities]\n{authorities}\n"))
    assert time.monotonic() - started < 15
    awake.set()
    for name in names:
        assert found[f"provider {name}"].message == (
            f"{name}.invalid:443: the name {name}.invalid was not looked up within 0.25 s"
        )


FAR = """
    from beyond_ai import Provider, hookimpl

    @hookimpl
    def beyond_providers():
        yield Provider(name="far", authority="far.invalid:443")
"""


def test_one_without_a_pool_key_is_a_note_while_another_answers(examined: Examine, install: Install) -> None:
    install("far-dist", {"providers": {"far": "far_provider"}}, {"far_provider": FAR})
    with serving(None) as provider:
        found = examined(provider_at(provider.authority, "upstream_tls = false"))
        assert (found["provider acme"].health, found["provider far"].health) == (OK, NOTE)
        assert found["provider far"].message.endswith("; it has no pool key: only clients' own keys would miss it")
        used = examined(f"{provider_at(provider.authority, 'upstream_tls = false', name='far')}")
        assert used["provider far"].health is OK, "the configuration has moved it"
    alone = examined(configured())
    assert (alone["provider far"].health, alone["providers"]) == (
        NOTE,
        Finding("providers", FAIL, "none of 1 answers", providers.OFFLINE),
    )
    with_key = examined(configured(f'{SIGNING_KEY}[pool_keys]\nfar = "sk-pool-fake"\n'))
    assert with_key["provider far"].health is FAIL
    assert "providers" not in with_key


def test_a_proxy_is_the_way_out_where_names_are_not_known(examined: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    """What counts is what the transport reaches."""
    with serving(None) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://{proxy.authority}")
        config = provider_at("nowhere.invalid:80", "upstream_tls = false", 'transport = "httpx"')
        assert examined(config)["provider acme"].health is OK
        assert proxy.requests[0].target == b"http://nowhere.invalid:80/"


def test_a_transport_that_cannot_be_made(examined: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "ftp://proxy.invalid")
    found = examined(provider_at("127.0.0.1:9", 'transport = "httpx"'))
    assert found["transport httpx"].health is FAIL
    assert "provider acme" not in found


# The clock


@pytest.mark.parametrize(("ahead", "way"), [(3600, "behind"), (-3600, "ahead of")])
def test_a_clock_that_is_off(examined: Examine, ahead: float, way: str) -> None:
    with serving(None, ahead=ahead) as provider:
        found = examined(provider_at(provider.authority, "upstream_tls = false"))["clock"]
    assert found.health is FAIL
    assert f" s {way} 1 other clock" in found.message
    assert 3590 < float(found.message.partition(" ")[0]) < 3610


def test_one_wrong_clock_of_several_is_outvoted() -> None:
    assert check_clock([0.2, -7200.0, 1.1]).health is OK
    assert check_clock([31.0]).health is FAIL
    assert check_clock([-29.0]).health is OK
    assert check_clock([]).health is NOTE


# The deny store


def at(server_url: str, text: str = "") -> str:
    return configured(f'nats_url = "{server_url}"\n{text}', store="nats")


def test_nats_up_down_and_without_jetstream(examined: Examine, tmp_path: Path) -> None:
    server = NatsServer(tmp_path)
    with server:
        found = examined(at(server.url))
        fresh = found["deny_store nats"]
        assert (fresh.health, fresh.message) == (
            OK,
            f"NATS at {server.url}, bucket ai-gateway: not there yet, the gateway makes it when it starts",
        )
    down = examined(at(server.url))["deny_store nats"]
    assert down.health is FAIL
    assert down.message.startswith(f"NATS at {server.url}: ")
    assert 'deny_store = ""' in down.hint
    with NatsServer(tmp_path, jetstream=False) as plain:
        without = examined(at(plain.url))["deny_store nats"]
    assert (without.health, "JetStream" in without.message) == (FAIL, True)


def test_a_bucket_that_is_there_tells_the_time_too(examined: Examine, tmp_path: Path) -> None:
    with NatsServer(tmp_path) as server:
        with GatewayProcess(at(server.url), folder=tmp_path) as gateway:
            gateway.wait_until(lambda: "following NATS" in gateway.stderr)
        found = examined(at(server.url))
    assert found["deny_store nats"].message == f"NATS at {server.url}, bucket ai-gateway: can be watched"
    assert found["clock"].message == "within 1 s of 1 other clock"


def test_the_wrong_password(examined: Examine, tmp_path: Path) -> None:
    with NatsServer(tmp_path, "--user", "me", "--pass", "right-fake") as server:
        right = server.url.replace("//", "//me:right-fake@")
        assert examined(at(right))["deny_store nats"].health is OK
        wrong = examined(at(server.url.replace("//", "//me:wrong-fake@")))["deny_store nats"]
    assert wrong.health is FAIL
    assert "authorization violation" in wrong.message.lower()
    assert "wrong-fake" not in wrong.message + wrong.hint


def test_a_server_that_stands_still(examined: Examine, tmp_path: Path) -> None:
    with NatsServer(tmp_path) as server:
        server.pause()
        started = time.monotonic()
        found = examined(at(server.url))["deny_store nats"]
        assert time.monotonic() - started < 20
        server.resume()
    assert found.health is FAIL


def test_credentials_that_cannot_be_used(examined: Examine) -> None:
    found = examined(at("nats://127.0.0.1:9", 'nats_creds = "fake secret!"'))["deny_store nats"]
    assert (found.health, found.message) == (FAIL, "nats_creds is not base64 of a .creds file")
    assert "base64 -w0" in found.hint


STORES = """
    import asyncio
    from beyond_ai import BeyondError, Component, DenySource, hookimpl

    class Store:
        connected = ready = True
        async def start(self, updater): raise AssertionError("a check starts nothing")
        async def aclose(self): pass

    class Sound(Store):
        async def check(self): return DenySource("redis at r1, 12 entries", 0.0)

    class Broken(Store):
        async def check(self): raise BeyondError("redis at r1: no such database", "set db")

    class Buggy(Store):
        async def check(self): return {}["missing"]

    class Endless(Store):
        async def check(self): await asyncio.Event().wait()

    @hookimpl
    def beyond_deny_stores():
        for kind in (Store, Sound, Broken, Buggy, Endless):
            yield Component(name=kind.__name__.lower(), summary="", create=lambda context, kind=kind: kind())
"""


@pytest.mark.parametrize(
    ("name", "health", "message"),
    [
        ("store", NOTE, "not checked: it offers no check"),
        ("sound", OK, "redis at r1, 12 entries"),
        ("broken", FAIL, "redis at r1: no such database"),
        ("buggy", FAIL, "its check failed: KeyError: 'missing' (acme_stores, line "),
        ("endless", FAIL, "no result after 0.2 s"),
    ],
)
def test_a_strangers_store_brings_its_own(
    examined: Examine, install: Install, monkeypatch: pytest.MonkeyPatch, name: str, health: Health, message: str
) -> None:
    monkeypatch.setattr(deny_store, "CHECK_TIMEOUT", 0.2)
    install("acme-dist", {"deny_stores": {"acme": "acme_stores"}}, {"acme_stores": STORES})
    found = examined(configured(store=name))
    assert found[f"deny_store {name}"].health is health
    assert found[f"deny_store {name}"].message.startswith(message)
    if name == "broken":
        assert found["deny_store broken"].hint.startswith("set db; ")
    assert (found["clock"].health is FAIL) == (name == "sound"), "its clock stands at 1970"


def test_none(examined: Examine) -> None:
    assert examined(configured())["deny_store"].health is NOTE


# Configuration, plugins, keys


def test_a_broken_configuration_hides_nothing_else(examined: Examine) -> None:
    with serving(None) as provider:
        text = provider_at(provider.authority, "upstream_tls = false", 'read_timeout_secs = "sk-fake"', "lisen = 1")
        found = examined(text)
    assert found["config"].health is FAIL
    assert [line.partition(": ")[2] for line in found["config"].message.splitlines()] == [
        "lisen: unknown key; did you mean `listen`?",
        "read_timeout_secs: should be a valid number, unable to parse string as a number",
    ]
    assert {name: found[name].health for name in ("provider acme", "pool_keys", "signing_keys", "listen", "clock")} == {
        "provider acme": OK,
        "pool_keys": OK,
        "signing_keys": OK,
        "listen": OK,
        "clock": OK,
    }


def test_keys_that_contradict_each_other(examined: Examine) -> None:
    found = examined(configured("require_signing_keys = true"))
    assert found["config"].health is FAIL
    assert found["signing_keys"].health is NOTE


@pytest.mark.parametrize("text", ["listen = [", None], ids=["malformed", "missing"])
def test_a_file_that_cannot_be_read(tmp_path: Path, examined: Examine, text: str | None) -> None:
    found = examined(text) if text is not None else {each.name: each for each in examine(tmp_path / "nowhere.toml")}
    assert found["config"].health is FAIL
    assert (found["plugins"].health, found["open files"].name) == (OK, "open files")
    for name in ("signing_keys", "pool_keys", "deny_store", "providers", "clock"):
        assert (found[name].health, "not checked" in found[name].message) == (NOTE, True)


def test_names_that_no_plugin_has(examined: Examine) -> None:
    found = examined(configured('sinks = ["stdot"]\n[provider_dialects]\nnobody = "openai"\n', store="nast"))
    assert found["config"].message.splitlines() == [
        "deny_store: no plugin in use offers nast; did you mean `nats`?",
        "sinks: no plugin in use offers stdot; did you mean `stdout`?",
        "provider_dialects.nobody: no such provider",
        "provider_dialects.nobody: no such provider",
    ]
    assert found["deny_store nast"].message == "not checked: no plugin in use offers it"


def test_a_plugin_that_fails_and_two_in_conflict(examined: Examine, install: Install) -> None:
    install("acme-dist", {"sinks": {"broken": "acme_nowhere"}, "tools": {"hammer": "acme_tool"}}, {"acme_tool": ""})
    install("other-dist", {"tools": {"hammer": "acme_tool"}})
    found = examined(configured())
    assert found["plugin sink:broken"].health is FAIL
    assert "acme-dist 1.0: " in found["plugin sink:broken"].message
    assert 'AI_PLUGINS_DISABLED="sink:broken"' in found["plugin sink:broken"].hint
    assert "both called `hammer`" in found["plugin tool:hammer"].message
    assert "plugins" not in found


def test_an_auth_plugin_that_is_off(examined: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AI_PLUGINS_DISABLED", "auth:bai")
    found = examined(configured())
    assert (found["plugin auth:bai"].health, found["plugins"].health) == (NOTE, OK)


POOL = '[pool_keys]\nopenai = ["sk-one-fake", "sk-two-fake"]\n'


@pytest.mark.parametrize(
    ("text", "signing", "pool"),
    [
        ("", (OK, "none: virtual"), (OK, "none")),
        (SIGNING_KEY, (OK, "1, key id 1"), (FAIL, "none: every virtual key")),
        (POOL, (FAIL, "none: every virtual key"), (OK, "2 for openai")),
        (SIGNING_KEY + POOL, (OK, "1, key id 1"), (OK, "2 for openai")),
    ],
)
def test_keys(examined: Examine, text: str, signing: tuple[Health, str], pool: tuple[Health, str]) -> None:
    found = examined(f'{configured("", used=("openai",))}[provider_authorities]\nopenai = "127.0.0.1:9"\n{text}')
    for name, (health, message) in (("signing_keys", signing), ("pool_keys", pool)):
        assert (found[name].health, found[name].message[: len(message)]) == (health, message)


def test_a_signing_key_that_is_no_point(examined: Examine) -> None:
    found = examined(configured(f'[signing_keys]\n7 = "{"A" * 43}"\n'))
    assert found["auth bai"].health is FAIL
    assert "signing key 7" in found["auth bai"].message


# The machine


def test_addresses_that_a_gateway_holds(examined: Examine, gateway: GatewayProcess) -> None:
    host, port, admin = gateway.host, gateway.port, gateway.admin_url.removeprefix("http://")
    config = configured().replace('listen = "127.0.0.1:0"', f'listen = "{host}:{port}"', 1)
    found = examined(config.replace('metrics_listen = "127.0.0.1:0"', f'metrics_listen = "{admin}"', 1))
    for name in ("listen", "metrics_listen"):
        assert found[name].health is OK
        assert found[name].message.endswith(": in use by a gateway that runs already")


def test_an_address_that_another_program_holds(examined: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "ANSWER_WAIT", 0.2)
    with serving(None) as other, socket.create_server(("127.0.0.1", 0)) as silent:
        config = configured().replace('listen = "127.0.0.1:0"', f'listen = "{other.authority}"', 1)
        held = f"127.0.0.1:{silent.getsockname()[1]}"
        found = examined(config.replace('metrics_listen = "127.0.0.1:0"', f'metrics_listen = "{held}"', 1))
    for name in ("listen", "metrics_listen"):
        assert found[name].health is FAIL
        assert found[name].message.endswith(": Address already in use")


def test_an_address_that_cannot_be_had(examined: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = examined(configured().replace('listen = "127.0.0.1:0"', 'listen = "192.0.2.1:80"', 1))
    assert elsewhere["listen"].message == "cannot listen on 192.0.2.1:80: Cannot assign requested address"
    unknown = examined(configured().replace('listen = "127.0.0.1:0"', 'listen = "nowhere.invalid:80"', 1))
    assert unknown["listen"].health is FAIL
    awake = threading.Event()
    monkeypatch.setattr(machine, "BIND_WAIT", 0.2)
    monkeypatch.setattr(machine, "bind", lambda address: awake.wait(30))
    hung = examined(configured())["listen"]
    awake.set()
    assert (hung.health, hung.message) == (FAIL, "127.0.0.1:0: the name was not looked up within 0.2 s")
