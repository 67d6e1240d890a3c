"""What goes wrong has one of our codes, whatever words a provider has for it."""

import json
from datetime import UTC, datetime

import pytest

from beyond_ai.agent.dialects.failures import error_of, http_failure, is_overflow, retry_after, stream_failure
from beyond_ai.agent.failure import FailureCode

NOW = datetime(2026, 11, 25, 9, 0, 0, tzinfo=UTC)


def error(message: str, **members: object) -> bytes:
    return json.dumps({"error": {"message": message, **members}}).encode()


@pytest.mark.parametrize(
    ("status", "body", "code", "retryable"),
    [
        (401, error("Incorrect API key provided", code="invalid_api_key"), "auth", False),
        (400, b'{"code":"invalid-argument","error":"Incorrect API key provided. See the console."}', "auth", False),
        (403, error("You are not allowed to sample from this model"), "auth", False),
        (403, error("tenant is over limit or suspended", type="access_denied"), "auth", False),
        (402, error("tenant is over limit or suspended", type="access_denied"), "quota", False),
        (402, b'{"error":{"message":"This request requires more credits","code":402}}', "quota", False),
        (429, error("You exceeded your current quota", code="insufficient_quota"), "quota", False),
        (400, error("Your credit balance is too low to access the API"), "quota", False),
        (429, error("Rate limit reached for requests", code="rate_limit_exceeded"), "rate_limit", True),
        (429, error("Request too large on tokens per min (TPM): Limit 30000, Requested 40000"), "rate_limit", True),
        (429, error("Rate limit reached. Visit https://platform.example/account/billing"), "rate_limit", True),
        (429, b"", "rate_limit", True),
        (400, error("prompt is too long: 210000 tokens > 200000 maximum"), "context_overflow", False),
        (413, b'{"type":"error","error":{"type":"request_too_large"}}', "context_overflow", False),
        (413, error("request body too large"), "context_overflow", False),
        (400, b"", "context_overflow", False),
        (404, error("No endpoints found that support the context length"), "bad_request", False),
        (404, error("model: claude-does-not-exist", type="not_found_error"), "bad_request", False),
        (400, error("Missing required parameter: 'tools[0].name'."), "bad_request", False),
        (400, error("tool call validation failed", code="tool_use_failed"), "bad_request", True),
        (400, error("Invalid prompt", code="content_policy_violation"), "refused", False),
        (529, b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}', "overloaded", True),
        (503, error("provider temporarily unavailable", type="api_error"), "overloaded", True),
        (500, b"<html><head><title>Oops</title></head></html>", "overloaded", True),
        (502, b"bad gateway", "overloaded", True),
        (501, error("only the transfer coding `chunked` is supported"), "overloaded", False),
        (504, error("upstream timed out"), "timeout", True),
        (524, b"", "timeout", True),
        (408, error("request not received in time"), "timeout", True),
        (409, error("Conflict"), "bad_request", True),
        (302, b"", "bad_request", False),
    ],
)
def test_an_http_answer_has_a_code(status: int, body: bytes, code: FailureCode, retryable: bool) -> None:
    failure = http_failure(status, body, {})
    assert (failure.code, failure.retryable, failure.status) == (code, retryable, status)
    assert str(status) in failure.message


@pytest.mark.parametrize(
    ("thrown", "code", "retryable"),
    [
        ({"type": "overloaded_error", "message": "Overloaded"}, "overloaded", True),
        ({"type": "api_error", "message": "Internal server error"}, "overloaded", True),
        ({"type": "server_error", "code": "server_error", "message": "Sorry"}, "overloaded", True),
        ({"type": "rate_limit_error", "message": "slow down"}, "rate_limit", True),
        ({"code": "rate_limit_exceeded", "message": "slow down"}, "rate_limit", True),
        ({"type": "timeout_error", "message": "slow"}, "timeout", True),
        ({"type": "insufficient_quota", "message": "You exceeded your current quota"}, "quota", False),
        ({"type": "authentication_error", "message": "invalid x-api-key"}, "auth", False),
        ({"type": "invalid_request_error", "message": "prompt is too long: 9 tokens > 8"}, "context_overflow", False),
        ({"type": "invalid_request_error", "message": "no such tool"}, "bad_request", False),
        ({"code": 502, "message": "Upstream error from Venice"}, "overloaded", True),
        ({"code": "502", "message": "Upstream error"}, "overloaded", True),
        ({"code": 400, "message": "Token limit reached"}, "bad_request", False),
        ({"status_code": 400, "code": "tool_use_failed", "message": "no"}, "bad_request", True),
        ({"code": 429, "message": "Rate limit exceeded"}, "rate_limit", True),
        ({"message": "something odd on line 429"}, "network", True),
        ("something odd", "network", True),
        ({"unheard": "of"}, "network", True),
    ],
)
def test_an_error_within_a_stream_has_a_code(thrown: object, code: FailureCode, retryable: bool) -> None:
    failure = stream_failure(thrown)
    assert (failure.code, failure.retryable) == (code, retryable)
    assert failure.message.startswith("the model's stream carries an error")


@pytest.mark.parametrize(
    ("event", "error"),
    [
        ({"type": "error", "error": {"type": "overloaded_error"}}, {"type": "overloaded_error"}),
        ({"error": {"message": "no", "code": 502}}, {"message": "no", "code": 502}),
        ({"error": "no"}, "no"),
        ({"type": "error", "code": "x", "message": "m"}, {"type": "error", "code": "x", "message": "m"}),
        ({"type": "response.completed", "error": None}, None),
        ({"choices": []}, None),
    ],
)
def test_errors_within_a_stream_come_in_three_shapes(event: dict[str, object], error: object) -> None:
    assert error_of(event) == error


@pytest.mark.parametrize(
    "text",
    [
        "prompt is too long: 210000 tokens > 200000 maximum",
        "input length and `max_tokens` exceed context limit: 199000 + 8000 > 200000",
        "Your input exceeds the context window of this model",
        "This model's maximum context length is 8192 tokens. However, you requested 9000",
        "code: context_length_exceeded",
        "Input is too long for requested model.",
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
        "This model's maximum prompt length is 131072 but the request contains 150000 tokens.",
        "Please reduce the length of the messages or completion.",
        "Prompt contains 90000 tokens, too large for model with 32768 maximum context length",
        "prompt token count of 200000 exceeds the limit of 128000",
        "the request exceeds the available context size, try increasing it",
        "tokens to keep from the initial prompt is greater than the context length",
        "invalid params, context window exceeds limit",
        "Your request exceeded model token limit: 262144",
        "model_context_window_exceeded",
        "prompt too long; exceeded max context length by 4 tokens",
        "`inputs` tokens + `max_new_tokens` must be <= 8193",
        "The context is far too long",
    ],
)
def test_a_context_that_overflows_is_known_by_its_words(text: str) -> None:
    assert is_overflow(text)
    assert http_failure(400, error(text), {}).code == "context_overflow"


@pytest.mark.parametrize(
    "text",
    [
        "ThrottlingException: Too many tokens, please wait before trying again.",
        "Rate limit: request exceeds the maximum context tokens per min",
        "Too many requests for this context window",
        "Service unavailable: context maximum",
        "unknown parameter: context",
        "line 4096 is too long",
    ],
)
def test_throttling_is_no_overflow(text: str) -> None:
    assert not is_overflow(text)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after": "Wed, 25 Nov 2026 09:00:20 GMT"}, 20.0),
        ({"retry-after": "Wed, 25 Nov 2026 08:00:00 GMT"}, 0.0),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({}, None),
    ],
)
def test_how_long_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, NOW) == seconds
    assert http_failure(429, b"", headers, now=lambda: NOW).retry_after == seconds


def test_only_what_can_be_tried_again_says_when() -> None:
    assert http_failure(429, error("insufficient_quota"), {"retry-after": "7"}).retry_after is None


def test_a_refused_key_says_what_to_set() -> None:
    said, advice = http_failure(401, b'{"detail":"Invalid API Key"}', {}).message.split("; ")
    assert said == "the provider answered 401: Invalid API Key"
    assert advice == "set AI_AGENT_KEY, or --key, to a key that is valid at AI_GATEWAY_URL"


def test_the_gateways_own_refusal_is_not_the_providers() -> None:
    failure = http_failure(401, b'{"error":{"message":"invalid API key"}}', {"x-beyond-error-source": "gateway"})
    assert failure.message.startswith("the gateway answered 401: invalid API key")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html><head><title>502 Bad Gateway</title></head><body>x</body></html>", "502 Bad Gateway"),
        (b"upstream connect error", "upstream connect error"),
        (b'[{"error": {"message": "in a list"}}]', "in a list"),
        (b'{"code": "c", "error": "in a text"}', "in a text"),
        (b'{"message": "at the root"}', "at the root"),
        (b'{"error": {"message": "outer", "metadata": {"raw": "inner"}}}', "outer: inner"),
        (b'{"odd": 1}', '{"odd": 1}'),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"7", "7"),
        (b"", ""),
    ],
)
def test_the_providers_own_words_are_shown(body: bytes, message: str) -> None:
    said = http_failure(500, body, {}).message
    assert said == ("the provider answered 500: " + message if message else "the provider answered 500")


def test_long_words_are_cut() -> None:
    assert len(http_failure(500, error("x" * 100_000), {}).message) < 4_100
    assert len(http_failure(500, b"x" * 100_000, {}).message) < 4_100
