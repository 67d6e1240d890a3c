"""What goes out on Anthropic's Messages, member by member."""

from dataclasses import replace
from typing import Any

import pytest

from beyond_ai.agent.dialects.dialect import WireOptions
from beyond_ai.agent.dialects.messages import encode
from beyond_ai.agent.model import ModelRequest, ToolDefinition
from beyond_ai.agent.models import model_facts
from beyond_ai.spec.conversation import (
    Image,
    Message,
    RedactedThinking,
    Text,
    Thinking,
    ThinkingLevel,
    TokenUsage,
    ToolOutput,
    ToolUse,
)

BUDGET, ADAPTIVE, ALWAYS, OLD = "claude-sonnet-4-5", "claude-opus-4-8", "claude-fable-5", "claude-3-5-haiku-latest"
MARK = {"cache_control": {"type": "ephemeral"}}
PICTURE = Image(media_type="image/png", data="aGk=")
TOOLS = (
    ToolDefinition(name="ls", description="Lists.", schema={"type": "object"}),
    ToolDefinition(name="read", description="Reads.", schema={"type": "object", "properties": {}}),
)
HI = Message(role="user", content=(Text(text="hi"),))
CALLED = Message(
    role="assistant",
    content=(
        Thinking(thinking="hm", signature="c2ln"),
        RedactedThinking(data="d"),
        Text(text="I look."),
        ToolUse(id="toolu_1", name="read", input={"path": "x"}),
        ToolUse(id="toolu_2", name="ls", input={}),
    ),
    model_id=BUDGET,
    usage=TokenUsage(output_tokens=1),
    stop_reason="tool_use",
)
ANSWERED = Message(
    role="user",
    content=(
        ToolOutput(tool_use_id="toolu_1", content="text", images=(PICTURE,)),
        ToolOutput(tool_use_id="toolu_2", content="no such folder", is_error=True),
        Text(text="hurry"),
        PICTURE,
    ),
)


def body_of(model: str = OLD, options: WireOptions | None = None, **members: Any) -> dict[str, Any]:
    request = ModelRequest(**{"model": model, "system": "", "messages": (HI,), **members})
    return dict(encode(request, model_facts(model), options or WireOptions()).body)


def test_the_least_request() -> None:
    request = ModelRequest(model=OLD, system="", messages=(HI,))
    wire = encode(request, model_facts(OLD), WireOptions(cache=False))
    assert wire.path == "/v1/messages"
    assert wire.headers == {"anthropic-version": "2023-06-01"}
    assert wire.body == {
        "model": OLD,
        "max_tokens": 8_192,
        "stream": True,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
    }


def test_a_whole_conversation_with_tools() -> None:
    request = ModelRequest(
        model=BUDGET, system="Be brief.", messages=(HI, CALLED, ANSWERED), tools=TOOLS, max_tokens=20_000
    )
    wire = encode(request, model_facts(BUDGET), WireOptions())
    assert wire.headers["anthropic-beta"] == "interleaved-thinking-2025-05-14"
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
    result = [{"type": "text", "text": "text"}, picture]
    assert wire.body == {
        "model": BUDGET,
        "max_tokens": 20_000,
        "stream": True,
        "system": [{"type": "text", "text": "Be brief.", **MARK}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "hi"}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
                    {"type": "redacted_thinking", "data": "d"},
                    {"type": "text", "text": "I look."},
                    {"type": "tool_use", "id": "toolu_1", "name": "read", "input": {"path": "x"}},
                    {"type": "tool_use", "id": "toolu_2", "name": "ls", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "toolu_1", "content": result},
                    {"type": "tool_result", "tool_use_id": "toolu_2", "content": "no such folder", "is_error": True},
                    {"type": "text", "text": "hurry"},
                    {**picture, **MARK},
                ],
            },
        ],
        "tools": [
            {"name": "ls", "description": "Lists.", "input_schema": {"type": "object"}},
            {"name": "read", "description": "Reads.", "input_schema": {"type": "object", "properties": {}}, **MARK},
        ],
        "thinking": {"type": "enabled", "budget_tokens": 10_240},
    }


@pytest.mark.parametrize(
    ("model", "level", "thinking", "config"),
    [
        (OLD, "high", None, None),
        (BUDGET, None, {"type": "enabled", "budget_tokens": 10_240}, None),
        (BUDGET, "off", None, None),
        (BUDGET, "minimal", {"type": "enabled", "budget_tokens": 1_024}, None),
        (BUDGET, "xhigh", {"type": "enabled", "budget_tokens": 32_768}, None),
        (ADAPTIVE, None, {"type": "adaptive", "display": "summarized"}, {"effort": "medium"}),
        (ADAPTIVE, "off", None, None),
        (ADAPTIVE, "minimal", {"type": "adaptive", "display": "summarized"}, {"effort": "low"}),
        (ADAPTIVE, "xhigh", {"type": "adaptive", "display": "summarized"}, {"effort": "xhigh"}),
        ("claude-opus-4-6", "xhigh", {"type": "adaptive", "display": "summarized"}, {"effort": "high"}),
        ("claude-opus-5", "off", {"type": "disabled"}, None),
        (ALWAYS, "off", {"type": "adaptive", "display": "summarized"}, {"effort": "low"}),
    ],
)
def test_how_much_to_reason(
    model: str, level: ThinkingLevel | None, thinking: object, config: dict[str, object] | None
) -> None:
    body = body_of(model, thinking=level)
    assert body.get("thinking") == thinking
    assert body.get("output_config") == config


@pytest.mark.parametrize(
    ("max_tokens", "budget"), [(None, 32_768), (64_000, 32_768), (8_000, 6_976), (2_048, 1_024), (2_047, None)]
)
def test_a_budget_leaves_room_for_the_answer(max_tokens: int | None, budget: int | None) -> None:
    body = body_of(BUDGET, thinking="high", max_tokens=max_tokens)
    assert body.get("thinking", {}).get("budget_tokens") == budget
    assert body["max_tokens"] > (budget or 0)


@pytest.mark.parametrize(("wanted", "sent"), [(None, 32_000), (500_000, 128_000), (500, 500)])
def test_no_more_tokens_than_the_model_gives(wanted: int | None, sent: int) -> None:
    assert body_of(ADAPTIVE, max_tokens=wanted)["max_tokens"] == sent


@pytest.mark.parametrize(
    ("model", "level", "sent"),
    [(OLD, None, 0.2), (BUDGET, "off", 0.2), (BUDGET, "low", None), (ADAPTIVE, "off", None), (ADAPTIVE, "low", None)],
)
def test_no_temperature_where_it_is_refused(model: str, level: ThinkingLevel | None, sent: float | None) -> None:
    assert body_of(model, thinking=level, temperature=0.2).get("temperature") == sent


@pytest.mark.parametrize(
    ("choice", "level", "sent"),
    [
        (None, "off", None),
        ("none", "low", {"type": "none"}),
        ("required", "off", {"type": "any"}),
        ("read", "off", {"type": "tool", "name": "read"}),
        ("required", "low", {"type": "auto"}),
        ("read", "low", {"type": "auto"}),
    ],
)
def test_which_tool_to_call(choice: str | None, level: ThinkingLevel, sent: object) -> None:
    assert body_of(BUDGET, tools=TOOLS, tool_choice=choice, thinking=level).get("tool_choice") == sent
    assert "tool_choice" not in body_of(BUDGET, tool_choice=choice, thinking=level)


@pytest.mark.parametrize(
    ("model", "long", "mark"),
    [
        (BUDGET, False, {"type": "ephemeral"}),
        (BUDGET, True, {"type": "ephemeral", "ttl": "1h"}),
        (OLD, True, {"type": "ephemeral"}),
    ],
)
def test_three_marks_for_the_cache(model: str, long: bool, mark: object) -> None:
    body = body_of(model, system="Be brief.", tools=TOOLS, cache_long=long)
    assert [tool.get("cache_control") for tool in body["tools"]] == [None, mark]
    assert body["system"][0]["cache_control"] == mark
    assert body["messages"][-1]["content"][-1]["cache_control"] == mark
    assert "cache_control" not in str(
        body_of(model, WireOptions(cache=False), system="Be brief.", tools=TOOLS, cache_long=long)
    )


def test_a_structured_answer() -> None:
    schema = {
        "type": "object",
        "properties": {"age": {"type": "integer", "minimum": 0, "description": "In years."}},
        "required": ["age"],
    }
    sent = body_of(ADAPTIVE, output_schema=schema)["output_config"]
    assert sent == {
        "effort": "medium",
        "format": {
            "type": "json_schema",
            "schema": {
                "type": "object",
                "properties": {"age": {"type": "integer", "description": "In years. (minimum: 0)"}},
                "required": ["age"],
                "additionalProperties": False,
            },
        },
    }
    old = body_of(OLD, system="Be brief.", output_schema=schema)
    assert "output_config" not in old
    assert old["system"][0]["text"].startswith("Be brief.\n\nYour final answer must be one JSON object")


def test_signatures_of_other_dialects_are_not_sent() -> None:
    said = (
        Thinking(thinking="one", signature='{"type":"reasoning"}'),
        Thinking(thinking="two", signature='[{"type":"reasoning.text"}]', field="reasoning"),
        Thinking(thinking="three", field="reasoning_content"),
        Thinking(thinking=" "),
    )
    answer = Message(role="assistant", content=said, model_id=BUDGET)
    sent = body_of(BUDGET, messages=(HI, answer, HI))["messages"][1]["content"]
    assert sent == [{"type": "text", "text": word} for word in ("one", "two", "three")]


@pytest.mark.parametrize(
    ("call_id", "sent"),
    [
        ("call_1|fc_2", "call_1"),
        ("a.b:c", "a_b_c"),
        ("x" * 80, "x" * 64),
        ("", "call"),
        ("functions.read:0", "functions_read_0"),
    ],
)
def test_ids_of_other_dialects_are_made_to_fit(call_id: str, sent: str) -> None:
    call = Message(role="assistant", content=(ToolUse(id=call_id, name="read", input={}),), model_id="gpt-5")
    result = Message(role="user", content=(ToolOutput(tool_use_id=call_id, content="x"),))
    messages = body_of(messages=(HI, call, result))["messages"]
    assert messages[1]["content"][0]["id"] == messages[2]["content"][0]["tool_use_id"] == sent


def test_images_of_a_result_that_is_an_error_stand_beside_it() -> None:
    failed = ToolOutput(tool_use_id="toolu_1", content="", is_error=True, images=(PICTURE,))
    call = replace(CALLED, content=CALLED.content[3:4])
    sent = body_of(messages=(HI, call, Message(role="user", content=(failed,))))["messages"][-1]["content"]
    assert [block["type"] for block in sent] == ["tool_result", "image"]
    assert sent[0]["content"] == "(see the image)"
