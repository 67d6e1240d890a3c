"""The admin listener of a running gateway."""

import asyncio

import httpx
import pytest
from tests.fidelity.matrix import Lab
from tests.integration.exchanges import metrics

from beyond_ai.testing import Answer, GatewayProcess, chat
from beyond_ai.version import VERSION


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_health(gateway: GatewayProcess, path: str) -> None:
    answer = httpx.get(gateway.admin_url + path)
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "version": VERSION})


@pytest.mark.parametrize("path", ["/", "/nothing", "/v1/chat/completions", "/livez/x"])
def test_anything_else_is_a_404_of_the_same_shape(gateway: GatewayProcess, path: str) -> None:
    answer = httpx.get(gateway.admin_url + path)
    assert (answer.status_code, answer.json()) == (404, {"status": "not_found", "version": VERSION})


def test_the_admin_pages_are_not_on_the_clients_listener(gateway: GatewayProcess) -> None:
    assert {httpx.get(gateway.url + path).status_code for path in ("/livez", "/readyz", "/metrics", "/plugins")} == {
        404
    }


def test_plugins(gateway: GatewayProcess) -> None:
    rows = {(row["kind"], row["name"]): row for row in httpx.get(f"{gateway.admin_url}/plugins").json()}
    for kind, name in (("provider", "openai"), ("auth", "bai"), ("sink", "stdout"), ("transport", "http1")):
        assert (rows[kind, name]["state"], rows[kind, name]["distribution"]) == ("loaded", "beyond-ai")
    assert {kind for kind, _ in rows} == {"provider", "auth", "scanner", "sink", "transport", "deny_store", "observer"}


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
