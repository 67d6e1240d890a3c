"""What echo refuses and how, and that no request makes it raise."""

import json
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from beyond_ai_providers.echo.reply import Call, Reply
from beyond_ai_providers.echo.service import serve

Body = dict[str, Any]

CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
WIRES = [CHAT, RESPONSES, MESSAGES]
HI = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def ask(path: str, body: object, *, method: str = "POST") -> Reply:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    return serve(method, path, [], Call(body=raw, id="0123456789abcdef", time=1_700_000_000, limit=4096))


def whole(reply: Reply) -> Body:
    loaded = orjson.loads(b"".join(reply.pieces))
    assert isinstance(loaded, dict)
    return loaded


BROKEN: list[tuple[object, str]] = [
    (b"{", "JSON"),
    (b"\xff\xfe", "JSON"),
    (b"", "JSON"),
    ([], "object"),
    ({}, "model"),
    ({"model": "", "messages": [], "input": "x", "max_tokens": 1}, "model"),
    ({"model": 7, "messages": [{"role": "user", "content": "x"}], "input": "x", "max_tokens": 1}, "model"),
    ({"model": "m", "max_tokens": 1}, "messages|input"),
]


@pytest.mark.parametrize("path", WIRES)
@pytest.mark.parametrize(("body", "names"), BROKEN)
def test_a_broken_request_is_refused_in_the_wires_own_shape(path: str, body: object, names: str) -> None:
    reply = ask(path, body)
    assert reply.status == 400
    refused = whole(reply)
    if path == MESSAGES:
        assert refused["type"] == "error"
        assert refused["request_id"].encode() == dict(reply.headers)[b"request-id"]
    assert refused["error"]["type"] == "invalid_request_error"
    assert any(name in refused["error"]["message"] for name in names.split("|"))


def test_what_echo_cannot_do_it_refuses() -> None:
    assert ask(CHAT, {**HI, "n": 2}).status == 400
    refused = whole(ask(RESPONSES, {"model": "m", "input": "x", "previous_response_id": "resp_1"}))
    assert refused["error"]["code"] == "previous_response_not_found"
    assert whole(ask(MESSAGES, HI))["error"]["message"] == ("max_tokens: Field required")


@pytest.mark.parametrize(
    ("method", "path", "anthropic"),
    [
        ("GET", CHAT, False),
        ("POST", "/v1/images/generations", False),
        ("POST", "/v1/xchat", False),
        ("DELETE", "/v1/models", False),
        ("POST", "/", False),
        ("GET", MESSAGES, True),
        ("POST", "/v1/messages/batches", True),
    ],
)
def test_everything_else_is_a_404_in_the_paths_shape(method: str, path: str, anthropic: bool) -> None:
    reply = ask(path, b"", method=method)
    assert reply.status == 404
    error = whole(reply)["error"]
    assert path in error["message"]
    assert error["type"] == ("not_found_error" if anthropic else "invalid_request_error")


JSON: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**63),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=5),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=8,
)
MEMBERS = st.sampled_from(
    [
        *("model", "messages", "input", "role", "content", "type", "text", "tools", "tool_calls", "function"),
        *("name", "parameters", "input_schema", "tool_choice", "stream", "max_tokens", "system", "instructions"),
        *("output", "arguments", "prompt", "stream_options", "include_usage", "dimensions"),
    ]
)
WORDS = st.sampled_from(["user", "assistant", "tool", "text", "tool_use", "tool_result", "function_call", "function"])
REQUEST = st.recursive(
    st.one_of(JSON, WORDS, st.just(True)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(MEMBERS, inner, max_size=5)),
    max_leaves=15,
)
PATHS = st.sampled_from(
    [CHAT, RESPONSES, MESSAGES, "/v1/completions", "/v1/embeddings", "/v1/messages/count_tokens", "/v1/models"]
)
METHODS = st.sampled_from(["POST", "GET", "HEAD"])


def well_formed(reply: Reply) -> None:
    """The reply can be read to its end, and is a success or a refusal that the client can act on."""
    if reply.status == 200 and b"transfer-encoding" in dict(reply.headers):
        assert b"".join(reply.pieces).endswith(b"\n\n")
        return
    body = b"".join(reply.pieces)
    assert reply.status in {200, 400, 404}
    assert not body or isinstance(orjson.loads(body), dict)


def never_raises(strategy: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=300)
    return lambda test: relaxed(given(strategy, PATHS, METHODS)(test))


@never_raises(st.binary())
def test_no_bytes_make_echo_raise(body: bytes, path: str, method: str) -> None:
    well_formed(ask(path, body, method=method))


@never_raises(st.dictionaries(MEMBERS, REQUEST))
def test_no_json_makes_echo_raise(body: Body, path: str, method: str) -> None:
    seeded = {"model": "m", "messages": [{"role": "user", "content": "x"}], "input": "x", "max_tokens": 9, **body}
    try:
        raw = orjson.dumps(seeded)
    except TypeError:  # a number beyond what orjson writes; the wire may still bring it
        raw = json.dumps(seeded).encode("utf-8", "replace")
    well_formed(ask(path, raw, method=method))


@pytest.mark.parametrize("path", WIRES)
def test_deep_nesting_is_refused_or_served(path: str) -> None:
    for depth in (100, 500, 1000, 100_000):
        deep = b'{"a":' * depth + b"1" + b"}" * depth
        schema = b'{"model":"m","input":"x","max_tokens":1,"messages":[{"role":"user","content":"x"}],"tools":['
        schema += b'{"type":"function","name":"ls","input_schema":%b,"parameters":%b,' % (deep, deep)
        schema += b'"function":{"name":"ls","parameters":%b}}]}' % deep
        well_formed(ask(path, schema))
