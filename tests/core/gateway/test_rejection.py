"""Refusals: exact bytes on both wires, and where their pieces stand in the contract."""

import orjson
import pytest

from beyond_ai.gateway import rejection
from beyond_ai.gateway.metrics import REASONS
from beyond_ai.gateway.rejection import Rejection
from beyond_ai.spec.provider import Dialect

ALL = {name: value for name, value in vars(rejection).items() if isinstance(value, Rejection)}
CONTRACT = {
    "BAD_REQUEST": (400, "invalid_request_error", "malformed HTTP request"),
    "REQUEST_TIMEOUT": (408, "invalid_request_error", "request not received in time"),
    "HEAD_TOO_LARGE": (431, "invalid_request_error", "request head too large"),
    "UPGRADE": (400, "invalid_request_error", "protocol upgrades are not supported"),
    "UNKNOWN_PROVIDER": (404, "invalid_request_error", "unknown provider"),
    "MISSING_KEY": (401, "authentication_error", "missing API key"),
    "BODY_MEMORY": (503, "api_error", "too many request bodies are being received"),
    "BODY_TOO_LARGE": (413, "invalid_request_error", "request body too large"),
    "INVALID_KEY": (401, "authentication_error", "invalid API key"),
    "CANNOT_VERIFY": (503, "api_error", "API keys cannot be verified now"),
    "NO_POOL_KEY": (503, "api_error", "no provider key available"),
    "TENANT_BUSY": (429, "rate_limit_error", "too many concurrent requests"),
    "UPSTREAM_FAILED": (502, "api_error", "upstream failed after receiving the request"),
    "UPSTREAM_TIMEOUT": (504, "api_error", "upstream timed out after receiving the request"),
}
LABELS = {
    "BODY_MEMORY": "body_memory",
    "BODY_TOO_LARGE": "body_too_large",
    "INVALID_KEY": "auth",
    "CANNOT_VERIFY": "auth",
    "NO_POOL_KEY": "no_pool_key",
    "TENANT_BUSY": "tenant_concurrency",
}


@pytest.mark.parametrize("name", CONTRACT)
def test_status_type_and_message(name: str) -> None:
    assert (ALL[name].status, ALL[name].type, ALL[name].message) == CONTRACT[name]


def test_the_exact_bytes_on_the_openai_wire() -> None:
    assert rejection.MISSING_KEY.body(Dialect.OPENAI) == (
        b'{"error":{"message":"missing API key","type":"authentication_error"}}'
    )


def test_the_exact_bytes_on_the_anthropic_wire() -> None:
    assert rejection.MISSING_KEY.body(Dialect.ANTHROPIC) == (
        b'{"type":"error","error":{"message":"missing API key","type":"authentication_error"}}'
    )


@pytest.mark.parametrize("name", ALL)
def test_every_refusal_is_json_with_the_two_members_that_sdks_read(name: str) -> None:
    for dialect in Dialect:
        error = orjson.loads(ALL[name].body(dialect))["error"]
        assert list(error) == ["message", "type"]
        assert all(error.values())


@pytest.mark.parametrize("name", ALL)
def test_reasons_are_labels_of_the_counter(name: str) -> None:
    assert ALL[name].reason == LABELS.get(name, "")
    assert not ALL[name].reason or ALL[name].reason in REASONS


@pytest.mark.parametrize("name", ALL)
def test_who_is_told_when_to_come_back(name: str) -> None:
    assert (ALL[name].retry_after is not None) == (ALL[name].status in (429, 503))


def test_a_managed_endpoint_refusal_names_method_and_path() -> None:
    refused = rejection.managed_endpoint(405, b"GET", b"/v1/embeddings")
    assert (refused.status, refused.type, refused.reason) == (405, "invalid_request_error", "managed_endpoint")
    assert refused.message == (
        "GET /v1/embeddings is not available with a managed key: "
        "POST to a generation endpoint, or use your own provider key"
    )


def test_a_strange_path_is_shown_cut_and_readable() -> None:
    refused = rejection.managed_endpoint(404, b"POST", b'/v1/"\xff' + b"x" * 1000)
    shown = orjson.loads(refused.body(Dialect.OPENAI))["error"]["message"]
    assert shown.startswith('POST /v1/"\N{REPLACEMENT CHARACTER}xxx')
    assert len(shown) < 400
