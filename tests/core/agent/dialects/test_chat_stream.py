"""Chat Completions as they are streamed, by OpenAI and by those who do it in their own way."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from tests.core.agent.dialects.answers import Answer, answer_of, decoded, frames

from beyond_ai.agent.dialects.chat_stream import ChatDecoder
from beyond_ai.agent.failure import ModelFailure
from beyond_ai.agent.model import MessageStart, MessageStop, ToolUseStart
from beyond_ai.spec.conversation import Text, Thinking, TokenUsage, ToolUse


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **members: object) -> dict[str, Any]:
    return {"model": "m-1", "choices": [{"index": 0, "delta": delta or {}, "finish_reason": finish}], **members}


def called(index: int | None = 0, arguments: str | None = "", **members: Any) -> dict[str, Any]:
    name = members.pop("name", None)
    function = {"arguments": arguments} | ({"name": name} if name else {})
    place = {} if index is None else {"index": index}
    return chunk({"tool_calls": [{**place, "function": function, **members}]})


def read(*values: object, done: bool = True) -> Answer:
    return answer_of(decoded(ChatDecoder(), [frames(values, done=done)]))


def failure_of(*values: object, done: bool = False) -> ModelFailure:
    with pytest.raises(ModelFailure) as failure:
        read(*values, done=done)
    return failure.value


def names_and_inputs(answer: Answer) -> Sequence[tuple[str, str, object]]:
    return [(call.id, call.name, call.input) for call in answer.calls]


STOP = chunk({}, "stop")


def test_text_and_usage() -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}}
    answer = read(
        chunk({"role": "assistant", "content": ""}), chunk({"content": "Hel"}), chunk({"content": "lo"}), STOP,
        {"choices": [], "usage": usage},
    )  # fmt: skip
    assert answer.content == [Text(text="Hello")]
    assert answer.model == "m-1"
    assert answer.stop_reason == "end_turn"
    assert answer.usage == TokenUsage(input_tokens=6, cache_read_tokens=4, output_tokens=3)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 1, "prompt_cache_hit_tokens": 4}, (5, 1, 4, 0, 0)),
        ({"prompt_tokens": 9, "completion_tokens": 1, "cached_tokens": 4}, (5, 1, 4, 0, 0)),
        (
            {"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 3}},
            (4, 0, 2, 3, 0),
        ),
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 50,
                "total_tokens": 400,
                "completion_tokens_details": {"reasoning_tokens": 340},
            },
            (10, 390, 0, 0, 340),
        ),
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 50,
                "total_tokens": 60,
                "completion_tokens_details": {"reasoning_tokens": 40},
            },
            (10, 50, 0, 0, 40),
        ),
        ({"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": 9}}, (0, 0, 9, 0, 0)),
    ],
)
@pytest.mark.parametrize("groq", [False, True])
def test_usage_is_told_in_several_ways(groq: bool, usage: object, expected: tuple[int, ...]) -> None:
    said = {"x_groq": {"usage": usage}} if groq else {"usage": usage}
    answer = read(chunk({"content": "x"}), chunk({}, "stop", **said))
    assert answer.usage is not None
    assert expected == (
        answer.usage.input_tokens,
        answer.usage.output_tokens,
        answer.usage.cache_read_tokens,
        answer.usage.cache_write_tokens,
        answer.usage.reasoning_tokens,
    )


def test_the_last_report_of_usage_stands() -> None:
    first, last = {"prompt_tokens": 1, "completion_tokens": 1}, {"prompt_tokens": 1, "completion_tokens": 7}
    answer = read(chunk({"content": "x"}, usage=first), STOP, {"choices": [], "usage": last})
    assert answer.usage == TokenUsage(input_tokens=1, output_tokens=7)


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning", "reasoning_text"])
def test_reasoning_remembers_the_member_that_it_came_in(field: str) -> None:
    answer = read(chunk({field: "hm, "}), chunk({field: "so"}), chunk({"content": "x"}), STOP)
    assert answer.content == [Thinking(thinking="hm, so", field=field), Text(text="x")]


def test_reasoning_that_comes_twice_counts_once() -> None:
    answer = read(chunk({"reasoning": "hm", "reasoning_content": "hm"}), chunk({"reasoning_content": "m"}), STOP)
    assert answer.thinking == "hmm"


def test_reasoning_as_a_part_of_the_content() -> None:
    part = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    answer = read(chunk({"content": [part]}), chunk({"content": [{"type": "text", "text": "a"}]}),
                  chunk({"content": "b"}), STOP)  # fmt: skip
    assert answer.content == [Thinking(thinking="hm", field="content"), Text(text="ab")]


def test_reasoning_details_are_kept_for_replay() -> None:
    def detail(text: str, **members: object) -> dict[str, Any]:
        kept = {"type": "reasoning.text", "index": 0, "text": text, **members}
        return chunk({"reasoning": text, "reasoning_details": [kept]})

    sealed = {"type": "reasoning.encrypted", "index": 1, "data": "xyz"}
    answer = read(
        detail("a"),
        detail("b", signature=None),
        detail("", signature="s"),
        chunk({"reasoning_details": [sealed]}),
        STOP,
    )
    [block] = answer.content
    assert isinstance(block, Thinking)
    whole = {"type": "reasoning.text", "index": 0, "text": "ab", "signature": "s"}
    assert json.loads(block.signature or "") == [whole, sealed]
    hidden = read(chunk({"content": "x", "reasoning_details": [sealed]}), STOP)
    assert hidden.content[1] == Thinking(thinking="", field="reasoning", signature=json.dumps([sealed]))


def test_calls_in_pieces_that_interleave() -> None:
    answer = read(
        called(0, "", id="a", type="function", name="read"),
        called(1, "", id="b", name="ls"),
        called(0, '{"path"'),
        called(1, '{"path": "y"'),
        called(0, ': "x"}'),
        called(1, "}"),
        chunk({}, "tool_calls"),
    )
    assert names_and_inputs(answer) == [("a", "read", {"path": "x"}), ("b", "ls", {"path": "y"})]
    assert answer.stop_reason == "tool_use"


def test_the_first_id_stands() -> None:
    """Kimi changes ids on the way; others write the word `null`."""
    answer = read(
        called(0, '{"a"', id="first", name="read"),
        called(0, ": ", id="second"),
        called(0, "1}", id="null", name="read"),
        STOP,
    )
    assert names_and_inputs(answer) == [("first", "read", {"a": 1})]


def test_an_id_that_comes_late_is_taken() -> None:
    answer = read(called(0, "{", id="null", name=None), called(0, "}", id="late", name="read"), STOP)
    assert names_and_inputs(answer) == [("late", "read", {})]


def test_calls_without_a_place_go_by_their_ids() -> None:
    answer = read(
        called(None, '{"a": 1}', id="a", name="one"), called(None, '{"b"', id="b", name="two"),
        called(None, ": 2}", id="b"), STOP,
    )  # fmt: skip
    assert names_and_inputs(answer) == [("a", "one", {"a": 1}), ("b", "two", {"b": 2})]


def test_whole_calls_that_share_a_place_are_several() -> None:
    answer = read(called(0, '{"a": 1}', id="a", name="read"), called(0, '{"a": 2}', id="b", name="read"), STOP)
    assert names_and_inputs(answer) == [("a", "read", {"a": 1}), ("b", "read", {"a": 2})]


def test_a_call_without_an_id_gets_one() -> None:
    answer = read(called(0, "{}", name="read"), called(1, "{}", name="ls"), STOP)
    assert len({call.id for call in answer.calls}) == 2
    assert all(call.id for call in answer.calls)


def test_nothing_counts_after_the_finish_reason_but_usage() -> None:
    """Some send the calls once more: they would run twice."""
    call = called(0, '{"a": 1}', id="a", name="read")
    answer = read(
        call, chunk({}, "tool_calls"), call, chunk({"content": "more"}), called(1, "{}", id="b", name="rm"),
        chunk({}, "length"), {"choices": [], "usage": {"prompt_tokens": 1}},
    )  # fmt: skip
    assert answer.content == [ToolUse(id="a", name="read", input={"a": 1})]
    assert answer.stop_reason == "tool_use"
    assert answer.usage == TokenUsage(input_tokens=1)


def test_what_comes_with_the_finish_reason_counts() -> None:
    answer = read(chunk({"content": "x"}, "stop"))
    assert answer.text == "x"


@pytest.mark.parametrize(
    "arguments",
    ['{"path": "x', '{"path"', "[1]", '"text"', "null", "1", '{"a": NaN}', "{'a': 1}", '{"a": "\n"}', '{"a": 1}}',
     '{"a": "\\ud800"}', '{"a":' * 5_000],
)  # fmt: skip
def test_arguments_that_are_no_whole_object_are_kept_as_they_are(arguments: str) -> None:
    [call] = read(called(0, arguments, id="a", name="read"), chunk({}, "tool_calls")).calls
    assert call == ToolUse(id="a", name="read", input={}, malformed=arguments)


@pytest.mark.parametrize(("finish", "malformed"), [("tool_calls", None), ("stop", None), ("length", "")])
def test_no_arguments_are_none_unless_the_answer_was_cut(finish: str, malformed: str | None) -> None:
    [call] = read(called(0, "", id="a", name="ls"), chunk({}, finish)).calls
    assert call == ToolUse(id="a", name="ls", input={}, malformed=malformed)


def test_arguments_may_come_as_an_object() -> None:
    function = {"name": "read", "arguments": {"path": "é"}}
    answer = read(chunk({"tool_calls": [{"index": 0, "id": "a", "function": function}]}), STOP)
    assert names_and_inputs(answer) == [("a", "read", {"path": "é"})]


def test_large_numbers_keep_all_their_digits() -> None:
    [call] = read(called(0, '{"n": 123456789012345678901}', id="a", name="read"), STOP).calls
    assert call.input == {"n": 123456789012345678901}


def test_what_a_provider_wants_back_with_a_call_is_kept() -> None:
    extra = {"google": {"thought_signature": "s"}}
    [call] = read(called(0, "{}", id="a", name="read", extra_content=extra), STOP).calls
    assert json.loads(call.signature or "") == extra


@pytest.mark.parametrize(
    ("finish", "stop"),
    [("stop", "end_turn"), ("eos", "end_turn"), ("length", "max_tokens"), ("content_filter", "refusal"),
     ("function_call", "tool_use"), ("odd", "other")],
)  # fmt: skip
def test_why_an_answer_ends(finish: str, stop: str) -> None:
    assert read(chunk({"content": "x"}, finish)).stop_reason == stop


def test_a_refusal_is_text_and_a_reason() -> None:
    answer = read(chunk({"refusal": "I will not."}), STOP)
    assert (answer.text, answer.stop_reason) == ("I will not.", "refusal")


def test_the_end_of_the_stream_is_enough_after_a_finish_reason() -> None:
    """Cerebras and others send no [DONE]."""
    assert read(chunk({"content": "x"}, "stop"), done=False).text == "x"


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("values", [(), (chunk({"content": "x"}),), (called(0, '{"a": 1}', id="a", name="read"),)])
def test_a_stream_without_a_finish_reason_was_cut(values: tuple[object, ...], done: bool) -> None:
    failure = failure_of(*values, done=done)
    assert (failure.code, failure.retryable) == ("network", True)


@pytest.mark.parametrize("reason", ["error", "network_error"])
def test_a_finish_reason_that_is_an_error(reason: str) -> None:
    assert failure_of(chunk({"content": "x"}, reason)).code == "network"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ({"error": {"message": "Upstream error", "code": 502}}, "overloaded"),
        ({"error": {"code": "tool_use_failed", "status_code": 400, "message": "no"}}, "bad_request"),
        ({"type": "error", "error": {"type": "rate_limit_error", "message": "slow"}}, "rate_limit"),
        ({"type": "error", "code": "insufficient_quota", "message": "no"}, "quota"),
        (chunk({}, "stop", error={"message": "Provider returned error", "code": 503}), "overloaded"),
    ],
)
@pytest.mark.parametrize("before", [(), (chunk({"content": "x"}),), (STOP,)])
def test_an_error_in_the_stream_ends_it(before: tuple[object, ...], error: object, code: str) -> None:
    assert failure_of(*before, error).code == code


@pytest.mark.parametrize("data", ["{", "nonsense", "[]", '"x"', "7", '{"a":' * 100_000])
def test_what_is_no_json_object_is_a_failure(data: str) -> None:
    failure = failure_of(chunk({"content": "x"}), data)
    assert (failure.code, failure.retryable) == ("network", True)


def test_nothing_counts_after_the_end() -> None:
    stream = frames([STOP], done=True) + b"data: nonsense\n\n" + frames([chunk({"content": "x"})])
    assert answer_of(decoded(ChatDecoder(), [stream])).content == []


@pytest.mark.parametrize(
    "value",
    [{}, {"choices": None}, {"choices": [None]}, {"choices": [{"index": 0}]}, {"choices": [{"delta": None}]},
     {"choices": [{"delta": {"tool_calls": None, "content": None}}]}, {"choices": [{"delta": {"tool_calls": [None]}}]},
     {"choices": [{"index": 1, "delta": {"content": "another"}, "finish_reason": "stop"}]}, {"usage": None},
     {"usage": {"prompt_tokens": -1, "completion_tokens": "7"}}],
)  # fmt: skip
def test_odd_shapes_are_passed_over(value: object) -> None:
    answer = read(value, chunk({"content": "x"}), STOP)
    assert answer.text == "x"
    assert answer.stop_reason == "end_turn"


def test_half_a_character_is_replaced() -> None:
    answer = read('{"choices": [{"delta": {"content": "a\\ud83d"}, "finish_reason": "stop"}]}')
    assert answer.text == "a\ufffd"
    pair = read('{"choices": [{"delta": {"content": "\\ud83d\\ude00"}, "finish_reason": "stop"}]}')
    assert pair.text == "\U0001f600"


def test_events_come_as_they_are_said() -> None:
    decoder = ChatDecoder()
    events = decoded(decoder, [frames([called(0, "{}", id="a", name="read"), STOP], done=True)])
    assert isinstance(events[0], MessageStart)
    assert events[1] == ToolUseStart(index=0, id="a", name="read")
    assert events[-1] == MessageStop(stop_reason="tool_use")
    assert decoder.ended
