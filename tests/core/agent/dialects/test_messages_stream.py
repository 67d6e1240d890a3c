"""Anthropic's Messages as they are streamed."""

from typing import Any

import pytest
from tests.core.agent.dialects.answers import Answer, answer_of, decoded, frames

from beyond_ai.agent.dialects.messages_stream import MessagesDecoder
from beyond_ai.agent.failure import ModelFailure
from beyond_ai.agent.model import MessageStart
from beyond_ai.spec.conversation import RedactedThinking, Text, Thinking, TokenUsage, ToolUse

STOP = {"type": "message_stop"}
PING = {"type": "ping"}


def start(usage: dict[str, Any] | None = None, model: str = "claude-x") -> dict[str, Any]:
    return {"type": "message_start", "message": {"model": model, "content": [], "usage": usage or {}}}


def opened(index: int, **block: object) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: int, kind: str, **members: object) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **members}}


def closed(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def text(index: int, *pieces: str) -> list[dict[str, Any]]:
    said = [delta(index, "text_delta", text=piece) for piece in pieces]
    return [opened(index, type="text", text=""), *said, closed(index)]


def call(index: int, *pieces: str, name: str = "read") -> list[dict[str, Any]]:
    said = [delta(index, "input_json_delta", partial_json=piece) for piece in pieces]
    return [opened(index, type="tool_use", id=f"toolu_{index}", name=name, input={}), *said, closed(index)]


def ended(reason: str | None = "end_turn", usage: dict[str, Any] | None = None, **members: object) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": reason, **members}, "usage": usage or {}}


def read(*values: object) -> Answer:
    return answer_of(decoded(MessagesDecoder(), [frames(values)]))


def failure_of(*values: object) -> ModelFailure:
    with pytest.raises(ModelFailure) as failure:
        read(*values)
    return failure.value


def test_text_and_usage() -> None:
    first = {"input_tokens": 5, "cache_read_input_tokens": 7, "cache_creation_input_tokens": 9, "output_tokens": 1,
             "cache_creation": {"ephemeral_1h_input_tokens": 4}}  # fmt: skip
    last = {"output_tokens": 20, "input_tokens": 6, "cache_read_input_tokens": 0,
            "output_tokens_details": {"thinking_tokens": 3}}  # fmt: skip
    answer = read(start(first), PING, *text(0, "Hel", "lo"), ended("end_turn", last), STOP)
    assert answer.content == [Text(text="Hello")]
    assert (answer.model, answer.stop_reason) == ("claude-x", "end_turn")
    assert answer.usage == TokenUsage(
        input_tokens=6,
        output_tokens=20,
        cache_read_tokens=7,
        cache_write_tokens=9,
        cache_write_1h_tokens=4,
        reasoning_tokens=3,
    )


def test_reasoning_and_its_signature() -> None:
    answer = read(
        start(),
        opened(0, type="thinking", thinking="", signature=""),
        delta(0, "thinking_delta", thinking="hm"),
        delta(0, "signature_delta", signature="s1"),
        delta(0, "signature_delta", signature="s2"),
        closed(0),
        opened(1, type="redacted_thinking", data="xyz"),
        closed(1),
        opened(2, type="thinking", thinking=""),
        delta(2, "signature_delta", signature="s3"),
        closed(2),
        ended(),
        STOP,
    )
    assert answer.content == [
        Thinking(thinking="hm", signature="s1s2"),
        RedactedThinking(data="xyz"),
        Thinking(thinking="", signature="s3"),
    ]


def test_calls_that_interleave() -> None:
    one, two = call(0, '{"a"', ": 1}"), call(1, '{"b": ', "2}")
    mixed = [one[0], two[0], two[1], one[1], one[2], two[2], one[3], two[3]]
    answer = read(start(), *mixed, ended("tool_use"), STOP)
    assert [(c.id, c.name, c.input) for c in answer.calls] == [
        ("toolu_0", "read", {"a": 1}),
        ("toolu_1", "read", {"b": 2}),
    ]
    assert answer.stop_reason == "tool_use"


def test_a_call_that_was_cut_is_malformed() -> None:
    answer = read(start(), *call(0, '{"path": "x'), ended("max_tokens"), STOP)
    assert answer.calls == [ToolUse(id="toolu_0", name="read", input={}, malformed='{"path": "x')]
    assert answer.stop_reason == "max_tokens"


@pytest.mark.parametrize(("reason", "malformed"), [("tool_use", None), ("max_tokens", "")])
def test_no_arguments_are_none_unless_the_answer_was_cut(reason: str, malformed: str | None) -> None:
    answer = read(start(), *call(0), ended(reason), STOP)
    assert answer.calls == [ToolUse(id="toolu_0", name="read", input={}, malformed=malformed)]


def test_a_block_that_was_never_closed_is_malformed_or_kept() -> None:
    answer = read(start(), *text(0, "x")[:2], *call(1, '{"a": 1}')[:2], ended("tool_use"), STOP)
    assert answer.content[0] == Text(text="x")
    assert answer.calls[0].malformed == '{"a": 1}'


def test_arguments_may_come_at_once() -> None:
    block = opened(0, type="tool_use", id="t", name="read", input={"path": "x"})
    assert read(start(), block, closed(0), ended("tool_use"), STOP).calls[0].input == {"path": "x"}


def test_blocks_of_the_providers_own_tools_are_passed_over() -> None:
    answer = read(
        start(),
        opened(0, type="server_tool_use", id="s", name="web_search", input={}),
        delta(0, "input_json_delta", partial_json='{"q": 1}'),
        closed(0),
        opened(1, type="web_search_tool_result", content=[]),
        closed(1),
        *text(2, "found"),
        ended(),
        STOP,
    )
    assert answer.content == [Text(text="found")]


@pytest.mark.parametrize(
    ("reason", "stop"),
    [("stop_sequence", "stop_sequence"), ("refusal", "refusal"), ("sensitive", "refusal"), ("pause_turn", "other"),
     ("odd", "other"), ("model_context_window_exceeded", "max_tokens")],
)  # fmt: skip
def test_why_an_answer_ends(reason: str, stop: str) -> None:
    assert read(start(), *text(0, "x"), ended(reason), STOP).stop_reason == stop


def test_the_explanation_of_a_refusal_is_text() -> None:
    details = {"type": "refusal", "explanation": "This was blocked."}
    answer = read(start(), *text(0, "I "), ended("refusal", stop_details=details), STOP)
    assert answer.content == [Text(text="I "), Text(text="This was blocked.")]


def test_a_second_start_voids_what_came_before() -> None:
    events = decoded(
        MessagesDecoder(),
        [frames([start(), *text(0, "old"), *call(1, '{"a"')[:2], start(), *text(0, "new"), ended(), STOP])],
    )
    assert sum(isinstance(event, MessageStart) for event in events) == 2
    answer = answer_of(events)
    assert answer.content == [Text(text="new")]
    assert min(answer.blocks) == 2, "an index was used again"


def test_blocks_that_share_a_place_are_several() -> None:
    again = read(start(), *text(0, "one"), *text(0, "two"), *text(1, "cut")[:2], *call(1, "{}"), ended(), STOP)
    assert again.text == "onetwocut"
    assert len(again.calls) == 1


def test_nothing_counts_after_the_end() -> None:
    decoder = MessagesDecoder()
    stream = frames([start(), *text(0, "x"), ended(), STOP]) + b"data: nonsense\n\n" + frames([start(), *text(0, "y")])
    assert answer_of(decoded(decoder, [stream])).text == "x"
    assert decoder.ended


@pytest.mark.parametrize(
    "values",
    [
        (),
        (start(),),
        (start(), *text(0, "x")),
        (start(), *call(0, '{"a": 1}')),
        (start(), *text(0, "x"), ended()),
        (start(), *text(0, "x"), STOP),
        (start(), *text(0, "x"), ended(None), STOP),
        (start(), "nonsense", ended(), STOP),
    ],
)
def test_a_stream_that_does_not_end_properly_was_cut(values: tuple[object, ...]) -> None:
    failure = failure_of(*values)
    assert (failure.code, failure.retryable) == ("network", True)


@pytest.mark.parametrize("before", [(), (start(), *text(0, "x"))])
def test_an_error_in_the_stream_ends_it(before: tuple[object, ...]) -> None:
    failure = failure_of(*before, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
    assert (failure.code, failure.retryable) == ("overloaded", True)


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"type": "content_block_delta"},
        delta(7, "text_delta", text="x"),
        closed(7),
        {"type": "new_thing"},
        {"type": "content_block_start", "index": "x", "content_block": None},
        ended(None),
        ended(None, {"output_tokens": "x"}),
    ],
)
def test_odd_shapes_are_passed_over(value: object) -> None:
    assert read(start(), value, *text(0, "x"), ended(), STOP).text == "x"
