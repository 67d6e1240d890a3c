"""The admin listener of a running gateway."""

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from tests.fidelity.matrix import Lab
from tests.gateway_process import POOL_KEYS, PUBLIC_KEY, VIRTUAL_KEY, gateway_config
from tests.integration.exchanges import metrics

from beyond_ai.testing import Answer, GatewayProcess, chat
from beyond_ai.version import VERSION

NOBODY = "127.0.0.1:9"
TOKEN = "fake-admin-token"
PAGES = ("/livez", "/readyz", "/metrics", "/plugins", "/providers", "/openapi.json", "/docs")
PROTECTED = PAGES[3:]

TTFT = ["0.05", "0.1", "0.25", "0.5", "1.0", "2.5", "5.0", "10.0", "30.0", "+Inf"]
LATENCY = ["0.1", "0.5", "1.0", "2.5", "5.0", "10.0", "30.0", "60.0", "120.0", "300.0", "600.0", "+Inf"]
REASONS = [
    *("auth", "deny_spend", "deny_fraud", "deny_unknown"),
    *("circuit_open", "body_too_large", "rate_limit", "rate_limit_byo_global"),
]


def own_address() -> str | None:
    """An address of this machine that is not loopback; None where it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing, finds a route
        except OSError:
            return None
        address: str = probe.getsockname()[0]
    return None if address.startswith("127.") else address


def listens_on_ipv6() -> bool:
    try:
        with socket.create_server(("::", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """A gateway with a token and breakers, on every interface, and a provider that cannot be reached."""
    everywhere = "[::]:0" if listens_on_ipv6() else "0.0.0.0:0"
    config = f"""
listen = "127.0.0.1:0"
metrics_listen = "{everywhere}"
deny_store = ""
upstream_tls = false
circuit_breaker_threshold = 1
circuit_breaker_reset_secs = 600

[signing_keys]
1 = "{PUBLIC_KEY}"

[pool_keys]
openai = "{POOL_KEYS["openai"]}"

[provider_authorities]
openai = "{NOBODY}"
"""
    environment = {"AI_ADMIN_TOKEN": f"{TOKEN}\n"}
    with GatewayProcess(config, folder=tmp_path_factory.mktemp("guarded"), environment=environment) as process:
        process.admin_url = f"http://127.0.0.1:{urlsplit(process.admin_url).port}"
        yield process


@pytest.fixture
def operator(guarded: GatewayProcess) -> Iterator[httpx.Client]:
    """Who knows the token."""
    with httpx.Client(base_url=guarded.admin_url, headers={"authorization": f"Bearer {TOKEN}"}) as client:
        yield client


def test_every_metric_is_there_at_boot_with_its_labels(guarded: GatewayProcess, operator: httpx.Client) -> None:
    providers = [row["name"] for row in operator.get("/providers").json()]
    assert len(providers) == 10
    expected = {
        *("ai_requests_total", "ai_active_streams", "ai_requests_in_flight", "ai_deny_set_size", "ai_nats_connected"),
        *("ai_usage_parse_errors_total", "ai_usage_estimated_total", "ai_usage_write_errors_total"),
        *(f'ai_rejections_total{{reason="{reason}"}}' for reason in REASONS),
        *(f'ai_tokens_total{{kind="{kind}"}}' for kind in ("input", "output", "cache_read", "cache_write")),
    }
    for name in providers:
        label = f'provider="{name}"'
        expected.add(f"ai_connect_retries_total{{{label}}}")
        expected.update(f'ai_upstream_responses_total{{{label},status="{digit}xx"}}' for digit in range(1, 6))
        for histogram, bounds in (("ai_ttft_seconds", TTFT), ("ai_upstream_latency_seconds", LATENCY)):
            expected.update(f'{histogram}_bucket{{le="{bound}",{label}}}' for bound in bounds)
            expected.update(f"{histogram}_{part}{{{label}}}" for part in ("count", "sum"))
    samples = metrics(guarded)
    assert expected - set(samples) == set()
    assert {samples[name] for name in expected} == {0.0}


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_health(gateway: GatewayProcess, path: str) -> None:
    answer = httpx.get(gateway.admin_url + path)
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "version": VERSION})


def test_head_is_get_without_its_body(gateway: GatewayProcess) -> None:
    with httpx.Client(base_url=gateway.admin_url) as kept:  # one connection: a body would be read as the next answer
        for path in PAGES:
            if path != "/metrics":
                head, whole = kept.head(path), kept.get(path)
                assert (head.status_code, head.content) == (200, b"")
                assert head.headers["content-type"] == whole.headers["content-type"]
                assert head.headers["content-length"] == str(len(whole.content))
        assert kept.head("/metrics").status_code == 200
        assert kept.head("/nothing").status_code == 404


@pytest.mark.parametrize("path", ["/", "/nothing", "/v1/chat/completions", "/livez/x"])
def test_anything_else_is_a_404_of_the_same_shape(gateway: GatewayProcess, path: str) -> None:
    answer = httpx.get(gateway.admin_url + path)
    assert (answer.status_code, answer.json()) == (404, {"status": "not_found", "version": VERSION})


def test_the_admin_pages_are_not_on_the_clients_listener(gateway: GatewayProcess) -> None:
    assert {httpx.get(gateway.url + path).status_code for path in PAGES} == {404}


def test_plugins(gateway: GatewayProcess) -> None:
    rows = {(row["kind"], row["name"]): row for row in httpx.get(f"{gateway.admin_url}/plugins").json()}
    for kind, name in (("provider", "openai"), ("auth", "bai"), ("sink", "stdout"), ("transport", "http1")):
        assert (rows[kind, name]["state"], rows[kind, name]["distribution"]) == ("loaded", "beyond-ai")
    assert {kind for kind, _ in rows} == {"provider", "auth", "scanner", "sink", "transport", "deny_store", "observer"}


def test_plugins_are_the_rows_that_the_command_prints(gateway: GatewayProcess, tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("beyond-ai")), "plugins", "list", "--json"]
    printed = json.loads(subprocess.run(command, capture_output=True, check=True, cwd=tmp_path).stdout)
    shown = httpx.get(f"{gateway.admin_url}/plugins").json()
    kinds = {row["kind"] for row in shown}
    without_times = [
        [{key: value for key, value in row.items() if key != "load_ms"} for row in rows if row["kind"] in kinds]
        for rows in (shown, printed)
    ]
    assert without_times[0] == without_times[1]


def test_providers(gateway: GatewayProcess) -> None:
    rows = {row.pop("name"): row for row in httpx.get(f"{gateway.admin_url}/providers").json()}
    assert {name for name, row in rows.items() if row["pool_key"]} == set(POOL_KEYS)
    assert {row["breaker"] for row in rows.values()} == {"off"}
    assert rows["anthropic"]["dialect"] == "anthropic"
    assert rows["groq"] == {
        "authority": rows["openai"]["authority"],
        "dialect": "openai",
        "transport": "http1",
        "breaker": "off",
        "pool_key": True,
    }


# Who may see it


def test_with_a_token_loopback_needs_it_too(guarded: GatewayProcess, operator: httpx.Client) -> None:
    for path in PROTECTED:
        assert operator.get(path).status_code == 200
        for headers in ({}, {"authorization": "Bearer wrong"}):
            refused = httpx.get(guarded.admin_url + path, headers=headers)
            assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    for path in ("/livez", "/readyz", "/metrics"):
        assert httpx.get(guarded.admin_url + path).status_code in (200, 503)


def test_a_page_that_had_its_name_resolve_to_loopback_is_refused(gateway: GatewayProcess) -> None:
    for path in PROTECTED:
        refused = httpx.get(gateway.admin_url + path, headers={"host": f"attacker.test:{gateway.port}"})
        assert (refused.status_code, refused.json()["status"]) == (403, "forbidden")
    assert httpx.get(f"{gateway.admin_url}/livez", headers={"host": "attacker.test"}).status_code == 200


def test_another_machine_is_refused_without_a_token_and_served_with_one(
    guarded: GatewayProcess, tmp_path: Path
) -> None:
    address = own_address()
    if address is None:
        pytest.skip("this machine has no address but loopback")
    port = urlsplit(guarded.admin_url).port
    url = f"http://{address}:{port}/plugins"
    assert httpx.get(url, headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
    config = gateway_config(NOBODY, NOBODY).replace('metrics_listen = "127.0.0.1:0"', 'metrics_listen = "0.0.0.0:0"')
    # What uvicorn would believe an X-Forwarded-For by, were it asked to look at one.
    environment = {"FORWARDED_ALLOW_IPS": "*"}
    with GatewayProcess(config, folder=tmp_path, environment=environment) as tokenless:
        port = urlsplit(tokenless.admin_url).port
        for path in PROTECTED:
            refused = httpx.get(
                f"http://{address}:{port}{path}", headers={"host": "localhost", "x-forwarded-for": "127.0.0.1"}
            )
            assert refused.status_code == 403
            assert "AI_ADMIN_TOKEN" in refused.json()["message"]
        assert httpx.get(f"http://{address}:{port}/readyz").status_code == 200


@pytest.mark.skipif(not listens_on_ipv6(), reason="this machine has no IPv6")
def test_loopback_as_an_ipv6_socket_sees_it_is_loopback(tmp_path: Path) -> None:
    config = gateway_config(NOBODY, NOBODY).replace('metrics_listen = "127.0.0.1:0"', 'metrics_listen = "[::]:0"')
    with GatewayProcess(config, folder=tmp_path) as gateway:
        port = urlsplit(gateway.admin_url).port
        for host in ("127.0.0.1", "127.0.0.2", "[::1]"):
            assert httpx.get(f"http://{host}:{port}/providers").status_code == 200
        if address := own_address():
            assert httpx.get(f"http://{address}:{port}/providers").status_code == 403


def test_no_page_shows_a_secret(gateway: GatewayProcess, guarded: GatewayProcess, operator: httpx.Client) -> None:
    secrets = [*POOL_KEYS.values(), TOKEN, VIRTUAL_KEY]
    for path in (*PAGES, "/nothing"):
        answers = [httpx.get(gateway.admin_url + path), operator.get(path), httpx.get(guarded.admin_url + path)]
        for answer in answers:
            shown = f"{answer.headers}{answer.text}"
            assert not [secret for secret in secrets if secret in shown], path
    assert not [secret for secret in secrets if secret in gateway.stderr + guarded.stderr]


# Readiness


def test_ready_until_the_only_provider_with_a_pool_key_fails(guarded: GatewayProcess, operator: httpx.Client) -> None:
    assert httpx.get(f"{guarded.admin_url}/readyz").status_code == 200
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
    answer = httpx.post(
        f"{guarded.url}/openai/v1/chat/completions", json=body, headers={"authorization": f"Bearer {VIRTUAL_KEY}"}
    )
    assert answer.status_code == 502
    breakers = {row["name"]: row["breaker"] for row in operator.get("/providers").json()}
    assert {name for name, breaker in breakers.items() if breaker == "open"} == {"openai"}
    refused = httpx.get(f"{guarded.admin_url}/readyz")
    assert (refused.status_code, refused.json()) == (503, {"status": "not_ready", "reason": "circuit_open"})
    head = httpx.head(f"{guarded.admin_url}/readyz")
    assert (head.status_code, head.content) == (503, b"")
    assert httpx.get(f"{guarded.admin_url}/livez").status_code == 200


# Metrics


def test_the_metrics_page_is_prometheus_text(gateway: GatewayProcess) -> None:
    page = httpx.get(f"{gateway.admin_url}/metrics")
    assert page.headers["content-type"].startswith("text/plain; version=")
    for line in (
        "# TYPE ai_requests_total counter",
        "# TYPE ai_ttft_seconds histogram",
        "# TYPE ai_requests_in_flight gauge",
        "# TYPE process_resident_memory_bytes gauge",
    ):
        assert line in page.text
    assert "tenant" not in page.text.replace('reason="tenant_concurrency"', "")


async def test_metrics_move_with_the_traffic(managed: Lab) -> None:
    before = await asyncio.to_thread(metrics, managed.gateway)
    await managed.relay(managed.ask(), chat.stream(Answer()))
    await managed.relay(managed.ask(), chat.error(500, "no"))
    async with managed.client() as client:
        await client.exchange(managed.ask(target=b"/openai/v1/files"))
    after = await asyncio.to_thread(metrics, managed.gateway)
    moved = {name: after[name] - before[name] for name in after if after[name] != before.get(name, 0)}
    openai = 'provider="openai"'
    expected = {
        "ai_requests_total": 3,
        'ai_rejections_total{reason="managed_endpoint"}': 1,
        f'ai_upstream_responses_total{{{openai},status="2xx"}}': 1,
        f'ai_upstream_responses_total{{{openai},status="5xx"}}': 1,
        'ai_tokens_total{kind="input"}': 21,
        'ai_tokens_total{kind="output"}': 7,
        f"ai_ttft_seconds_count{{{openai}}}": 2,
        f"ai_upstream_latency_seconds_count{{{openai}}}": 2,
    }
    assert {name: moved.get(name) for name in expected} == expected
    assert not {"ai_requests_in_flight", "ai_active_streams", "ai_usage_parse_errors_total"} & set(moved)
