"""Usage out of JSON bodies."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beyond_ai.gateway.tap import Tap
from beyond_ai.gateway.usage import Usage, Wire, parse_usage
from beyond_ai.spec.usage import UsageQuirk

U64_MAX = 2**64 - 1


def parse(wire: Wire, body: object, *, complete: bool = True, quirk: UsageQuirk | None = None) -> Usage:
    tap = Tap()
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    for start in range(0, len(data), 5000):
        tap.feed(data[start : start + 5000])
    return parse_usage(wire, False, tap, complete=complete, quirk=quirk)


def test_chat() -> None:
    report = {
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "total_tokens": 120,
        "prompt_tokens_details": {"cached_tokens": 64, "cache_write_tokens": 32},
        "completion_tokens_details": {"reasoning_tokens": 7},
    }
    assert parse(Wire.CHAT, {"model": "gpt-test", "choices": [], "usage": report}) == Usage(
        found=True,
        input_tokens=100,
        output_tokens=20,
        cache_read_tokens=64,
        cache_write_tokens=32,
        reasoning_tokens=7,
        model="gpt-test",
        finished=True,
    )


def test_embeddings_have_no_output() -> None:
    usage = parse(Wire.EMBEDDINGS, {"data": [], "model": "e", "usage": {"prompt_tokens": 8, "total_tokens": 8}})
    assert (usage.found, usage.input_tokens, usage.output_tokens) == (True, 8, 0)


def test_responses() -> None:
    report = {
        "input_tokens": 30,
        "input_tokens_details": {"cached_tokens": 10},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 35,
    }
    usage = parse(Wire.RESPONSES, {"object": "response", "model": "m", "usage": report})
    assert (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens) == (30, 5, 10)
    assert usage.reasoning_tokens == 0


def test_messages() -> None:
    report = {
        "input_tokens": 3,
        "output_tokens": 4,
        "cache_read_input_tokens": 5,
        "cache_creation_input_tokens": 6,
        "output_tokens_details": {"thinking_tokens": 2},
    }
    usage = parse(Wire.MESSAGES, {"type": "message", "model": "claude-test", "usage": report})
    assert (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens, usage.cache_write_tokens) == (3, 4, 5, 6)
    assert usage.reasoning_tokens == 2


def test_messages_facts_beside_tokens() -> None:
    report: dict[str, Any] = {
        "input_tokens": 3,
        "output_tokens": 4,
        "cache_creation": {"ephemeral_5m_input_tokens": 6, "ephemeral_1h_input_tokens": 40},
        "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 1, "note": "text"},
        "service_tier": "priority",
    }
    usage = parse(Wire.MESSAGES, {"type": "message", "model": "claude-test", "usage": report})
    assert (usage.cache_write_1h_tokens, usage.server_tool_calls, usage.service_tier) == (40, 3, "priority")
    for absent in ({}, {"cache_creation": None, "server_tool_use": None, "service_tier": None}):
        usage = parse(Wire.MESSAGES, {"usage": {"input_tokens": 3, "output_tokens": 4, **absent}})
        assert (usage.cache_write_1h_tokens, usage.server_tool_calls, usage.service_tier) == (None, None, None)
    zeros = {"cache_creation": {"ephemeral_1h_input_tokens": 0}, "server_tool_use": {"web_search_requests": 0}}
    usage = parse(Wire.MESSAGES, {"usage": {"input_tokens": 3, "output_tokens": 4, **zeros}})
    assert (usage.cache_write_1h_tokens, usage.server_tool_calls) == (0, 0)
    report["server_tool_use"] = {"web_search_requests": U64_MAX, "web_fetch_requests": 1}
    assert parse(Wire.MESSAGES, {"usage": report}).server_tool_calls == U64_MAX


@pytest.mark.parametrize("padding", [0, 100_000])
@pytest.mark.parametrize("wire", [Wire.CHAT, Wire.RESPONSES])
def test_the_service_tier_beside_the_report(wire: Wire, padding: int) -> None:
    report = {"prompt_tokens": 1, "completion_tokens": 1, "input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
    forged = {"service_tier": "forged", "usage": {"service_tier": "forged"}}
    body = {"pad": "x" * padding, "tools": [forged], "metadata": forged, "usage": report, "service_tier": "flex"}
    assert parse(wire, body).service_tier == "flex"


@pytest.mark.parametrize("tier", [None, 7, "", "Default", "a b", "x" * 17, 'x"', "tier\n", ["flex"]])
def test_what_is_no_name_of_a_tier_is_absent(tier: object) -> None:
    report = {"prompt_tokens": 1, "completion_tokens": 1}
    assert parse(Wire.CHAT, {"usage": report, "service_tier": tier}).service_tier is None
    report = {"input_tokens": 1, "output_tokens": 1}
    assert parse(Wire.MESSAGES, {"usage": {**report, "service_tier": tier}}).service_tier is None


def test_responses_has_no_cache_writes() -> None:
    details = {"cached_tokens": 0, "cache_write_tokens": 4012}
    report = {"input_tokens": 4020, "input_tokens_details": details, "output_tokens": 5, "total_tokens": 4025}
    assert parse(Wire.RESPONSES, {"usage": report}).cache_write_tokens == 0


def test_absent_is_not_zero() -> None:
    zeros = parse(Wire.CHAT, {"usage": {"prompt_tokens": 0, "completion_tokens": 0}})
    assert (zeros.found, zeros.reasoning_tokens) == (True, None)
    reports: tuple[object, ...] = (None, {}, [], "usage", 7, {"total_tokens": 4}, {"type": "duration", "seconds": 3})
    for report in reports:
        assert not parse(Wire.CHAT, {"usage": report}).found
    assert not parse(Wire.CHAT, {}).found


@pytest.mark.parametrize(
    ("wire", "report"),
    [
        (Wire.CHAT, {"input_tokens": 1, "output_tokens": 2}),
        (Wire.CHAT, {"input_tokens": 1, "output_tokens": 2, "prompt_tokens": 1, "completion_tokens": 2}),
        (Wire.RESPONSES, {"input_tokens": 1, "output_tokens": 2}),
        (Wire.MESSAGES, {"prompt_tokens": 1, "completion_tokens": 2}),
        (Wire.MESSAGES, {"prompt_tokens": 1, "completion_tokens": 2, "input_tokens": 1, "output_tokens": 2}),
    ],
)
def test_another_dialect_is_refused(wire: Wire, report: dict[str, int]) -> None:
    usage = parse(wire, {"model": "m", "usage": report})
    assert not usage.found
    assert (usage.input_tokens, usage.output_tokens) == (0, 0)


@pytest.mark.parametrize("value", [-1, 1.0, 2.5, "3", True, None, [], {}])
def test_what_is_no_count_is_absent(value: object) -> None:
    usage = parse(Wire.CHAT, {"usage": {"prompt_tokens": value, "completion_tokens": 4}})
    assert (usage.found, usage.input_tokens, usage.output_tokens) == (True, 0, 4)
    assert not parse(Wire.CHAT, {"usage": {"prompt_tokens": value, "completion_tokens": value}}).found


@pytest.mark.parametrize("value", [U64_MAX - 1, U64_MAX, U64_MAX + 1, 10**40])
@pytest.mark.parametrize("padding", [0, 100_000])
def test_counts_saturate(value: int, padding: int) -> None:
    usage = parse(Wire.CHAT, {"pad": "x" * padding, "usage": {"prompt_tokens": value, "completion_tokens": 1}})
    assert usage.input_tokens == min(value, U64_MAX)


def test_the_last_of_repeated_members_counts() -> None:
    body = b'{"usage":{"prompt_tokens":1,"completion_tokens":1},"usage":{"prompt_tokens":2,"completion_tokens":2}}'
    assert parse(Wire.CHAT, body).input_tokens == 2


def test_lone_surrogates_and_broken_utf8_do_not_hide_usage() -> None:
    for text in (b"\\ud83d", b"\xff\xfe"):
        body = b'{"model":"m","content":"%b","usage":{"prompt_tokens":1,"completion_tokens":2}}' % text
        assert parse(Wire.CHAT, body).output_tokens == 2


def test_a_model_that_is_no_name() -> None:
    for model in (b'""', b"7", b"null", b'{"id":"m"}', b'"\\ud83d"'):
        assert parse(Wire.CHAT, b'{"model":%b}' % model).model is None


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b"7", b'"usage"', b"<html>", b"{", b'{"usage":', b"\xff", b"[" * 9000]
)
def test_other_bodies_have_none(body: bytes) -> None:
    for wire in Wire:
        assert not parse(wire, body).found


def test_a_body_that_is_no_json_has_none_though_it_looks_like_it() -> None:
    assert not parse(Wire.CHAT, b'{"error": , "usage":{"prompt_tokens":1,"completion_tokens":1}}').found


def test_a_report_before_the_cut_counts() -> None:
    usage = parse(Wire.CHAT, b'{"model":"m","usage":{"prompt_tokens":3},"choices":[{"mess', complete=False)
    assert (usage.input_tokens, usage.model, usage.finished) == (3, "m", False)


class TestLongerThanTheTail:
    def embeddings(self, **members: object) -> bytes:
        vector = [{"object": "embedding", "index": 0, "embedding": [0.0123456789] * 20_000}]
        return json.dumps({"object": "list", "data": vector, **members}).encode()

    def test_usage_after_the_floats(self) -> None:
        body = self.embeddings(model="e", usage={"prompt_tokens": 8, "total_tokens": 8})
        assert len(body) > 200_000
        usage = parse(Wire.EMBEDDINGS, body)
        assert (usage.found, usage.input_tokens, usage.model, usage.finished) == (True, 8, "e", True)

    def test_usage_before_the_floats(self) -> None:
        head = b'{"model":"e","usage":{"prompt_tokens":8},'
        usage = parse(Wire.EMBEDDINGS, head + self.embeddings().removeprefix(b"{"))
        assert (usage.input_tokens, usage.model) == (8, "e")

    def test_one_long_string(self) -> None:
        body = json.dumps(
            {"data": [{"embedding": "A" * 300_000}], "model": "e", "usage": {"prompt_tokens": 8}}
        ).encode()
        assert parse(Wire.EMBEDDINGS, body).input_tokens == 8

    def test_an_end_that_may_be_no_end_is_not_read(self) -> None:
        body = self.embeddings(usage={"prompt_tokens": 8})
        assert not parse(Wire.EMBEDDINGS, body, complete=False).found

    def test_members_deeper_down_are_not_the_report(self) -> None:
        forged = {"prompt_tokens": 1, "completion_tokens": 1, "input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
        schema = {"properties": {"usage": forged, "model": "forged"}, "usage": forged}
        for tail in ({"tools": [schema]}, {"metadata": schema}, {"a": {"b": {"usage": forged}}}):
            body = {"output": "x" * 100_000, "model": "m", **tail}
            for wire in (Wire.CHAT, Wire.RESPONSES):
                usage = parse(wire, body)
                assert (usage.found, usage.model) == (False, "m")
            real = {**forged, "prompt_tokens": 77, "input_tokens": 77}
            assert parse(Wire.CHAT, {**body, "usage": real}).input_tokens == 77
            assert parse(Wire.RESPONSES, {"usage": real, **body}).input_tokens == 77

    def test_quoted_text_after_the_report_does_not_hide_it(self) -> None:
        for text in ('{{[ "usage', '}}] "usage', '\\"usage', '"usage": {"prompt_tokens": 1}'):
            body = {"data": "x" * 100_000, "usage": {"prompt_tokens": 8}, "note": text}
            assert parse(Wire.EMBEDDINGS, body).input_tokens == 8

    @given(st.binary(max_size=400), st.integers(65_000, 74_000))
    def test_any_end(self, end: bytes, length: int) -> None:
        parse(Wire.CHAT, b'{"a":"' + b"x" * length + end)


FORGERIES = (
    '"usage":{"prompt_tokens":1,"completion_tokens":1,"input_tokens":1,"output_tokens":1,"total_tokens":2}',
    '","usage":{"prompt_tokens":1,"completion_tokens":1}}',
    '"}],"model":"forged","usage":{"prompt_tokens":1,"completion_tokens":1}}\n\n',
    '\n\ndata: {"model":"forged","usage":{"prompt_tokens":1,"completion_tokens":1},"choices":[]}\n\n',
    '\r\n\r\ndata: {"response":{"usage":{"input_tokens":1,"output_tokens":1,"total_tokens":2}}}\r\n\r\n',
    '"usage"',
    '"usage',
    "\\",
    "\\\\",
    '"',
    "{",
    "}",
    ":",
    "[DONE]",
    "é\u2028",
)
texts = st.lists(st.sampled_from(FORGERIES) | st.text(max_size=5), max_size=12).map("".join)


@given(texts, texts, st.integers(0, 3))
def test_text_never_forges_a_count(prompt: str, answer: str, padding: int) -> None:
    report = {"prompt_tokens": 1111, "completion_tokens": 2222}
    body = {
        "echo": prompt,
        "choices": [{"message": {"content": answer + "x" * (padding * 40_000) + answer}}],
        "model": "m",
        "usage": report,
        "metadata": {"note": prompt},
    }
    usage = parse(Wire.CHAT, body)
    assert (usage.input_tokens, usage.output_tokens, usage.model) == (1111, 2222, "m")
    assert not parse(Wire.CHAT, {**body, "usage": None}).found


@given(texts, st.integers(0, 3), st.data())
def test_text_never_forges_a_count_in_a_cut_body(text: str, padding: int, data: st.DataObject) -> None:
    body = json.dumps(
        {
            "choices": [{"content": text + "x" * (padding * 40_000) + text}],
            "usage": {"prompt_tokens": 1111, "completion_tokens": 2222},
        }
    ).encode()
    kept = data.draw(st.integers(0, 400) | st.integers(0, len(body) - 1))
    usage = parse(Wire.CHAT, body[: len(body) - kept], complete=False)
    assert (usage.found, usage.input_tokens) in ((False, 0), (True, 1111))


@given(st.sampled_from(list(Wire)), st.booleans(), st.booleans(), st.binary(max_size=300))
def test_arbitrary_bytes_never_raise(wire: Wire, streaming: bool, complete: bool, body: bytes) -> None:
    tap = Tap()
    tap.feed(body)
    parse_usage(wire, streaming, tap, complete=complete)
