"""The admin application, for a gateway that is made up: what it answers whom, and that its schema says so."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import get_args

import httpx
import pytest
from fastapi.openapi.models import OpenAPI
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families

from beyond_ai.gateway.admin import admin
from beyond_ai.gateway.admin_answers import PluginState
from beyond_ai.gateway.admin_page import admin_page
from beyond_ai.gateway.admin_view import ProviderStatus
from beyond_ai.registry import State

TOKEN = "fake-admin-token"
OPEN = ["/livez", "/readyz", "/metrics"]
PROTECTED = ["/plugins", "/providers", "/openapi.json", "/docs"]
PLUGIN: dict[str, object] = {
    "kind": "sink",
    "name": "ledger",
    "provides": ["ledger"],
    "active": [],
    "distribution": "acme-dist",
    "version": "1.2",
    "built_in": False,
    "state": "failed",
    "reason": "ImportError: <no module>",
    "load_ms": 1.5,
    "target": "acme.ledger",
}
PROVIDER = ProviderStatus(
    name="acme", authority="acme.test:443", dialect="openai", transport="http1", breaker="half_open", pool_key=True
)


class View:
    """A gateway that says what it is told to."""

    def __init__(self, reason: str | None = None) -> None:
        self.reason = reason

    def not_ready(self) -> str | None:
        return self.reason

    def plugins(self) -> Sequence[Mapping[str, object]]:
        return [PLUGIN]

    def providers(self) -> Sequence[ProviderStatus]:
        return [PROVIDER]

    def collect(self) -> Iterable[Metric]:
        yield CounterMetricFamily("ai_requests", "Requests.", 7)


def client(
    view: View | None = None,
    *,
    token: str | None = None,
    peer: str = "127.0.0.1",
    name: str = "localhost:9090",
    bearer: str | None = None,
) -> httpx.AsyncClient:
    """Somebody at PEER who asks for NAME, with the token BEARER, a gateway whose token is TOKEN."""
    headers = {} if bearer is None else {"authorization": f"Bearer {bearer}"}
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(admin("1.2.3", view or View(), lambda: token), client=(peer, 50000)),
        base_url=f"http://{name}",
        headers=headers,
    )


# Health and metrics


async def test_live_and_ready() -> None:
    async with client() as operator:
        for path in ("/livez", "/readyz"):
            answer = await operator.get(path)
            assert (answer.status_code, answer.json()) == (200, {"status": "ok", "version": "1.2.3"})


async def test_not_ready_is_still_alive() -> None:
    async with client(View("circuit_open")) as operator:
        answer = await operator.get("/readyz")
        assert (answer.status_code, answer.json()) == (503, {"status": "not_ready", "reason": "circuit_open"})
        assert (await operator.get("/livez")).status_code == 200


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (None, "text/plain; version=0.0.4; charset=utf-8"),
        ("*/*", "text/plain; version=0.0.4; charset=utf-8"),
        ("text/plain;version=0.0.4", "text/plain; version=0.0.4; charset=utf-8"),
        ("text/plain;version=no-number", "text/plain; version=0.0.4; charset=utf-8"),
        ("application/openmetrics-text;version=no-number", "text/plain; version=0.0.4; charset=utf-8"),
    ],
)
async def test_metrics_are_prometheus_text(accept: str | None, content_type: str) -> None:
    async with client() as operator:
        answer = await operator.get("/metrics", headers={} if accept is None else {"accept": accept})
    assert (answer.status_code, answer.headers["content-type"]) == (200, content_type)
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    assert families["ai_requests"].samples[0].value == 7
    assert {"process_open_fds", "python_info", "python_gc_collections"} <= set(families)


@pytest.mark.parametrize(
    "accept",
    [
        "application/openmetrics-text",
        "application/openmetrics-text; version=1.0.0",
        "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1",
    ],
)
async def test_metrics_are_openmetrics_for_who_asks(accept: str) -> None:
    async with client() as operator:
        answer = await operator.get("/metrics", headers={"accept": accept})
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    families = {family.name: family for family in openmetrics_families(answer.text)}  # type: ignore[no-untyped-call]
    assert families["ai_requests"].samples[0].value == 7


# Who may see what


@pytest.mark.parametrize("path", OPEN)
@pytest.mark.parametrize("token", [None, TOKEN])
async def test_health_and_metrics_are_for_everyone(path: str, token: str | None) -> None:
    async with client(token=token, peer="192.0.2.7", name="gateway.internal:9090") as stranger:
        assert (await stranger.get(path)).status_code == 200


@pytest.mark.parametrize("path", PROTECTED)
async def test_the_rest_is_for_loopback(path: str) -> None:
    for peer in ("127.0.0.1", "::1", "::ffff:127.0.0.1"):
        async with client(peer=peer) as operator:
            assert (await operator.get(path)).status_code == 200


@pytest.mark.parametrize("path", PROTECTED)
@pytest.mark.parametrize(
    ("peer", "name", "says"),
    [
        ("192.0.2.7", "localhost:9090", "on the gateway's own machine only"),
        ("::ffff:192.0.2.7", "localhost:9090", "on the gateway's own machine only"),
        ("127.0.0.1", "attacker.test:9090", "under a name of loopback only"),
    ],
)
async def test_others_are_told_what_to_set(path: str, peer: str, name: str, says: str) -> None:
    async with client(peer=peer, name=name, bearer=TOKEN) as stranger:
        answer = await stranger.get(path, headers={"x-forwarded-for": "127.0.0.1"})
    body = answer.json()
    assert (answer.status_code, body["status"], body["version"]) == (403, "forbidden", "1.2.3")
    assert says in body["message"]
    assert "set admin_token (AI_ADMIN_TOKEN)" in body["message"]
    assert "www-authenticate" not in answer.headers


@pytest.mark.parametrize("path", PROTECTED)
@pytest.mark.parametrize("peer", ["127.0.0.1", "192.0.2.7"])
async def test_where_there_is_a_token_it_is_asked_of_everyone(path: str, peer: str) -> None:
    async with client(token=TOKEN, peer=peer, name="gateway.internal", bearer=TOKEN) as operator:
        assert (await operator.get(path)).status_code == 200
    for bearer in (None, "wrong", f"{TOKEN}x"):
        async with client(token=TOKEN, peer=peer, bearer=bearer) as stranger:
            answer = await stranger.get(path)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert answer.json() == {
            "status": "unauthorized",
            "version": "1.2.3",
            "message": "send the gateway's admin_token as `Authorization: Bearer TOKEN`",
        }


@pytest.mark.parametrize("authorization", [f"Basic {TOKEN}", TOKEN, "Bearer", "Bearer  ", f"Bearer {TOKEN} {TOKEN}"])
async def test_the_token_in_another_form_is_not_the_token(authorization: str) -> None:
    async with client(token=TOKEN) as operator:
        assert (await operator.get("/plugins", headers={"authorization": authorization})).status_code == 401


async def test_unknown_paths_and_methods_have_the_shape_of_health() -> None:
    async with client(peer="192.0.2.7") as stranger:
        for path in ("/", "/livez/", "/livez/x", "/redoc", "/docs/oauth2-redirect", "/plugins/"):
            for method in ("GET", "POST"):
                answer = await stranger.request(method, path)
                assert (answer.status_code, answer.json()) == (404, {"status": "not_found", "version": "1.2.3"})
        for path in (*OPEN, *PROTECTED):
            for method in ("POST", "PUT", "DELETE", "OPTIONS"):
                answer = await stranger.request(method, path)
                assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
                assert answer.json() == {"status": "method_not_allowed", "version": "1.2.3"}


# What is shown


async def test_plugins_and_providers() -> None:
    async with client() as operator:
        assert (await operator.get("/plugins")).json() == [PLUGIN]
        assert (await operator.get("/providers")).json() == [asdict(PROVIDER)]


async def test_the_schema_describes_every_path_and_every_field() -> None:
    async with client() as operator:
        document = (await operator.get("/openapi.json")).json()
    OpenAPI.model_validate(document)
    assert list(document["paths"]) == [*OPEN, *PROTECTED]
    for path, operations in document["paths"].items():
        assert list(operations) == ["get"]
        operation = operations["get"]
        assert operation["summary"]
        assert operation["description"]
        assert ("security" in operation) == (path in PROTECTED)
        refusals = {"401", "403"} if path in PROTECTED else {"503"} if path == "/readyz" else set()
        assert set(operation["responses"]) == {"200"} | refusals
    for name, shape in document["components"]["schemas"].items():
        for field, facts in shape.get("properties", {}).items():
            assert facts.get("description") or "const" in facts, (name, field)
    for path, fields in (("/plugins", PLUGIN), ("/providers", asdict(PROVIDER))):
        content = document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        name = content["items"]["$ref"].rpartition("/")[2]
        assert set(document["components"]["schemas"][name]["properties"]) == set(fields)


def test_the_operators_page_names_every_path() -> None:
    text = (Path(__file__).parents[3] / "docs" / "gateway.md").read_text().partition("## The admin listener")[2]
    assert [path for path in (*OPEN, *PROTECTED) if f"`{path}`" not in text] == []


async def test_the_page_needs_no_other_host_and_no_script() -> None:
    async with client() as operator:
        answer = await operator.get("/docs")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src 'unsafe-inline'")
    assert not re.search(r"<script|<link|<img|src=|url\(|@import|//", answer.text)
    ids = set(re.findall(r'id="([^"]+)"', answer.text))
    links = set(re.findall(r'href="([^"]+)"', answer.text))
    assert {link for link in links if not link.startswith("#")} == {*OPEN, *PROTECTED}
    assert {link[1:] for link in links if link.startswith("#")} <= ids
    for text in ("1.2.3", "half_open", "circuit_open", "list of", "own machine, or token"):
        assert text in answer.text


def test_the_page_shows_a_schema_as_text() -> None:
    evil = "<b>&\"'"
    schema = {
        "openapi": "3.1.0",
        "info": {"title": evil, "version": evil, "summary": evil},
        "paths": {
            f"/{evil}": {
                "get": {
                    "summary": evil,
                    "description": f"{evil} `{evil}`",
                    "responses": {
                        "200": {"description": evil, "content": {evil: {}}},
                        "404": {"description": evil},
                    },
                }
            }
        },
        "components": {
            "schemas": {
                evil: {
                    "description": evil,
                    "properties": {
                        evil: {"description": evil, "enum": [evil]},
                        "other": {"const": evil},
                        "either": {"anyOf": [{"type": "null"}, {"items": {"$ref": f"#/components/schemas/{evil}"}}]},
                    },
                }
            }
        },
    }
    page = admin_page(json.loads(json.dumps(schema)))
    assert "<b>" not in page
    assert page.count("&lt;b&gt;&amp;&quot;&#x27;") >= 14
    assert "null" in page


def test_the_states_of_plugins_are_the_registrys() -> None:
    assert get_args(PluginState) == tuple(state.value for state in State)
