"""OpenAI's Responses as they are streamed."""

import json
from typing import Any

import pytest
from tests.core.agent.dialects.answers import Answer, answer_of, decoded, frames

from beyond_ai.agent.dialects.responses_stream import ResponsesDecoder
from beyond_ai.agent.failure import ModelFailure
from beyond_ai.spec.conversation import Text, Thinking, TokenUsage, ToolUse

CREATED = {"type": "response.created", "response": {"model": "gpt-x", "output": []}}
USAGE = {
    "input_tokens": 10,
    "input_tokens_details": {"cached_tokens": 4},
    "output_tokens": 9,
    "output_tokens_details": {"reasoning_tokens": 2},
}


def message(text: str, **members: object) -> dict[str, Any]:
    return {"type": "message", "id": "msg_1", "content": [{"type": "output_text", "text": text}], **members}


def call(arguments: str, **members: object) -> dict[str, Any]:
    made = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "read", "arguments": arguments}
    return {**made, "status": "completed", **members}


def added(index: int, item: dict[str, Any]) -> dict[str, Any]:
    empty = {"content": [], "arguments": "", "summary": [], "status": "in_progress"}
    return {"type": "response.output_item.added", "output_index": index, "item": {**item, **empty}}


def done(index: int, item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "response.output_item.done", "output_index": index, "item": item}


def delta(kind: str, index: int, piece: str) -> dict[str, Any]:
    return {"type": f"response.{kind}.delta", "output_index": index, "delta": piece}


def completed(*items: dict[str, Any], kind: str = "completed", **members: object) -> dict[str, Any]:
    return {"type": f"response.{kind}", "response": {"model": "gpt-x", "output": [*items], "usage": USAGE, **members}}


def read(*values: object, corrected: bool = False) -> Answer:
    return answer_of(decoded(ResponsesDecoder(), [frames(values)]), corrected=corrected)


def failure_of(*values: object) -> ModelFailure:
    with pytest.raises(ModelFailure) as failure:
        read(*values)
    return failure.value


def test_text_and_usage() -> None:
    item = message("Hello", phase="final_answer")
    answer = read(
        CREATED,
        added(0, item),
        delta("output_text", 0, "Hel"),
        delta("output_text", 0, "lo"),
        done(0, item),
        completed(item),
    )
    assert answer.content == [Text(text="Hello", id="msg_1", phase="final_answer")]
    assert (answer.model, answer.stop_reason) == ("gpt-x", "end_turn")
    assert answer.usage == TokenUsage(input_tokens=6, cache_read_tokens=4, output_tokens=9, reasoning_tokens=2)


def test_reasoning_is_kept_as_a_whole_item() -> None:
    item = {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": "one"}, {"type": "summary_text", "text": "two"}],
        "encrypted_content": "xyz",
    }
    answer = read(
        CREATED,
        added(0, item),
        delta("reasoning_summary_text", 0, "one"),
        {"type": "response.reasoning_summary_part.added", "output_index": 0, "summary_index": 1},
        delta("reasoning_summary_text", 0, "two"),
        done(0, item),
        completed(item),
    )
    [block] = answer.content
    assert isinstance(block, Thinking)
    assert block.thinking == "one\n\ntwo"
    assert json.loads(block.signature or "") == item


def test_reasoning_that_nobody_kept_has_nothing_to_send_back() -> None:
    item = {"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]}
    answer = read(CREATED, added(0, item), delta("reasoning_text", 0, "hm"), done(0, item), completed(item))
    assert answer.content == [Thinking(thinking="hm")]


def test_calls_that_interleave() -> None:
    one, two = call('{"a": 1}'), call('{"b": 2}', id="fc_2", call_id="call_2", name="ls")
    arguments = "function_call_arguments"
    answer = read(
        CREATED, added(0, one), added(1, two), delta(arguments, 1, '{"b"'), delta(arguments, 0, '{"a": 1}'),
        delta(arguments, 1, ": 2}"), done(1, two), done(0, one), completed(one, two),
    )  # fmt: skip
    assert answer.calls == [
        ToolUse(id="call_1|fc_1", name="read", input={"a": 1}),
        ToolUse(id="call_2|fc_2", name="ls", input={"b": 2}),
    ]
    assert answer.stop_reason == "tool_use"


def test_what_is_said_at_the_end_stands() -> None:
    answer = read(
        CREATED,
        added(0, call("")),
        delta("function_call_arguments", 0, '{"a": 0}'),
        {"type": "response.function_call_arguments.done", "output_index": 0, "arguments": '{"a": 1}'},
        done(0, call("")),
        completed(message("x"), message("whole")),
        corrected=True,
    )
    assert answer.calls[0].input == {"a": 1}
    assert answer.text == "whole"


def test_an_answer_may_come_in_the_last_event_alone() -> None:
    answer = read(completed(message("x"), call("{}")))
    assert (answer.model, answer.text, len(answer.calls)) == ("gpt-x", "x", 1)


@pytest.mark.parametrize(
    ("item", "malformed"),
    [
        (call('{"a"'), '{"a"'),
        (call('{"a": 1}', status="incomplete"), '{"a": 1}'),
        (call("", status="incomplete"), ""),
        (call(""), None),
    ],
)
def test_a_call_that_was_cut_is_malformed(item: dict[str, Any], malformed: str | None) -> None:
    answer = read(
        CREATED, done(0, item), completed(kind="incomplete", incomplete_details={"reason": "max_output_tokens"})
    )
    assert answer.calls[0].malformed == malformed
    assert answer.stop_reason == "max_tokens"


def test_a_call_that_was_never_said_to_be_complete_is_malformed() -> None:
    answer = read(CREATED, added(0, call("")), delta("function_call_arguments", 0, '{"a": 1}'), completed())
    assert answer.calls[0].malformed == '{"a": 1}'


def test_text_that_was_never_said_to_be_complete_is_kept() -> None:
    answer = read(CREATED, added(0, message("")), delta("output_text", 0, "so far"), completed())
    assert answer.content == [Text(text="so far", id="msg_1")]


def test_a_refusal_is_text_and_a_reason() -> None:
    item = message("", content=[{"type": "refusal", "refusal": "I will not."}])
    answer = read(CREATED, added(0, item), delta("refusal", 0, "I will not."), done(0, item), completed(item))
    assert (answer.text, answer.stop_reason) == ("I will not.", "refusal")
    filtered = completed(message("x"), kind="incomplete", incomplete_details={"reason": "content_filter"})
    assert read(CREATED, filtered).stop_reason == "refusal"


def test_items_of_the_providers_own_tools_are_passed_over() -> None:
    item = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    custom = {"type": "custom_tool_call", "id": "ct_1", "call_id": "call_9", "name": "x", "input": "y"}
    answer = read(
        CREATED, added(0, item), done(0, item), added(1, custom), delta("custom_tool_call_input", 1, "y"),
        done(1, custom), completed(item, custom, message("x")),
    )  # fmt: skip
    assert answer.content == [Text(text="x", id="msg_1")]
    assert answer.stop_reason == "end_turn"


@pytest.mark.parametrize(
    "values",
    [(), (CREATED,), (CREATED, done(0, call("{}"))), (CREATED, "nonsense", completed()), (CREATED, "[DONE]"),
     (completed(kind="cancelled"),)],
)  # fmt: skip
def test_a_stream_without_its_last_event_was_cut(values: tuple[object, ...]) -> None:
    failure = failure_of(*values)
    assert (failure.code, failure.retryable) == ("network", True)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ({"type": "error", "error": {"type": "server_error", "message": "x"}}, "overloaded"),
        ({"type": "error", "code": "rate_limit_exceeded", "message": "x"}, "rate_limit"),
        ({"error": {"code": "context_length_exceeded", "message": "x"}}, "context_overflow"),
        (completed(kind="failed", error={"code": "insufficient_quota", "message": "x"}), "quota"),
        (completed(kind="failed", error={"code": "server_error", "message": "x"}), "overloaded"),
    ],
)
def test_an_error_in_the_stream_ends_it(error: object, code: str) -> None:
    assert failure_of(CREATED, delta("output_text", 0, "x"), error).code == code


def test_nothing_counts_after_the_end() -> None:
    decoder = ResponsesDecoder()
    stream = frames([CREATED, completed(message("x")), "nonsense", CREATED], done=True)
    assert answer_of(decoded(decoder, [stream])).text == "x"
    assert decoder.ended


@pytest.mark.parametrize(
    "value",
    [{}, {"type": "response.output_item.added"}, delta("output_text", 0, ""), {"type": "response.new_thing.delta"},
     delta("function_call_arguments", 9, "x"), {"type": "response.output_item.done", "item": None}],
)  # fmt: skip
def test_odd_shapes_are_passed_over(value: object) -> None:
    assert read(CREATED, value, completed(message("x"))).text == "x"
