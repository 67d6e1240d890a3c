"""What goes out on OpenAI's Responses, member by member."""

import json
from typing import Any

import pytest

from beyond_ai.agent.dialects.dialect import WireOptions, WireRequest
from beyond_ai.agent.dialects.responses import encode
from beyond_ai.agent.model import ModelRequest, ToolDefinition
from beyond_ai.agent.models import model_facts
from beyond_ai.spec.conversation import Image, Message, Text, Thinking, ThinkingLevel, ToolOutput, ToolUse

MODEL = "gpt-5.4"
PICTURE = Image(media_type="image/png", data="aGk=")
TOOLS = (ToolDefinition(name="read", description="Reads.", schema={"type": "object"}),)
HI = Message(role="user", content=(Text(text="hi"),))
SAID_HI = {"role": "user", "content": [{"type": "input_text", "text": "hi"}]}
ITEM = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "xyz"}
REASONED = Thinking(thinking="hm", signature=json.dumps(ITEM))


def answer(*content: Any, model: str = MODEL) -> Message:
    return Message(role="assistant", content=content, model_id=model, stop_reason="end_turn")


def wire_of(model: str = MODEL, provider: str = "", cache: bool = True, **members: Any) -> WireRequest:
    request = ModelRequest(**{"model": model, "system": "", "messages": (HI,), **members})
    return encode(request, model_facts(model), WireOptions(provider=provider, cache=cache))


def body_of(model: str = MODEL, provider: str = "", **members: Any) -> dict[str, Any]:
    return dict(wire_of(model, provider, **members).body)


def test_the_least_request() -> None:
    wire = wire_of("gpt-4o")
    assert (wire.path, wire.headers) == ("/v1/responses", {})
    assert wire.body == {"model": "gpt-4o", "input": [SAID_HI], "stream": True, "store": False}


def test_a_whole_conversation_with_tools() -> None:
    call = ToolUse(id="call_1|fc_1", name="read", input={"path": "é"})
    results = Message(
        role="user",
        content=(ToolOutput(tool_use_id="call_1|fc_1", content="text", images=(PICTURE,)), Text(text="hurry"), PICTURE),
    )
    said = Text(text="I look.", id="msg_1", phase="commentary")
    wire = wire_of(
        system="Be brief.",
        messages=(HI, answer(REASONED, said, call), results),
        tools=TOOLS,
        tool_choice="read",
        max_tokens=1_000_000,
        temperature=0.2,
        cache_key="s1",
        cache_long=True,
    )
    picture = {"type": "input_image", "image_url": "data:image/png;base64,aGk=", "detail": "auto"}
    assert wire.headers == {"session_id": "s1", "x-client-request-id": "s1"}
    assert wire.body == {
        "model": MODEL,
        "input": [
            {"role": "developer", "content": "Be brief."},
            SAID_HI,
            ITEM,
            {
                "type": "message",
                "role": "assistant",
                "id": "msg_1",
                "status": "completed",
                "phase": "commentary",
                "content": [{"type": "output_text", "text": "I look.", "annotations": []}],
            },
            {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "read", "arguments": '{"path":"é"}'},
            {
                "type": "function_call_output",
                "call_id": "call_1",
                "output": [{"type": "input_text", "text": "text"}, picture],
            },
            {"role": "user", "content": [{"type": "input_text", "text": "hurry"}, picture]},
        ],
        "stream": True,
        "store": False,
        "max_output_tokens": 128_000,
        "tools": [
            {
                "type": "function",
                "name": "read",
                "description": "Reads.",
                "parameters": {"type": "object"},
                "strict": False,
            }
        ],
        "tool_choice": {"type": "function", "name": "read"},
        "reasoning": {"effort": "medium", "summary": "auto"},
        "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": "s1",
        "prompt_cache_retention": "24h",
    }


@pytest.mark.parametrize(
    ("model", "provider", "level", "reasoning"),
    [
        ("gpt-4o", "", "high", None),
        ("gpt-5.4", "", "off", {"effort": "none"}),
        ("gpt-5.4", "", "xhigh", {"effort": "xhigh", "summary": "auto"}),
        ("gpt-5", "", "off", {"effort": "minimal", "summary": "auto"}),
        ("o3", "", None, {"effort": "medium", "summary": "auto"}),
        ("grok-3-mini", "xai", "high", {"effort": "high"}),
    ],
)
def test_how_much_to_reason(model: str, provider: str, level: ThinkingLevel | None, reasoning: object) -> None:
    body = body_of(model, provider, thinking=level)
    assert body.get("reasoning") == reasoning
    reasons = isinstance(reasoning, dict) and reasoning["effort"] != "none"
    assert body.get("include") == (["reasoning.encrypted_content"] if reasons else None)


def test_only_openai_is_told_what_only_openai_knows() -> None:
    body = body_of("grok-4", "xai", system="Be brief.", cache_key="s1")
    assert "prompt_cache_key" not in body
    assert body["input"][0] == {"role": "system", "content": "Be brief."}
    assert "prompt_cache_key" not in body_of(cache=False, cache_key="s1")


def test_a_temperature_goes_where_it_is_taken() -> None:
    assert body_of("gpt-4o", temperature=0.2)["temperature"] == 0.2
    assert "temperature" not in body_of(temperature=0.2)


@pytest.mark.parametrize(("wanted", "sent"), [(1, 16), (500, 500), (1_000_000, 128_000)])
def test_how_long_an_answer_may_be(wanted: int, sent: int) -> None:
    assert body_of(max_tokens=wanted)["max_output_tokens"] == sent


def test_reasoning_goes_back_only_with_what_follows_it() -> None:
    sent = body_of(messages=(HI, answer(REASONED, Text(text="x"), REASONED), HI))["input"]
    assert [item.get("type", item.get("role")) for item in sent] == ["user", "reasoning", "message", "user"]


def test_reasoning_that_nobody_kept_is_left_out() -> None:
    sent = body_of(messages=(HI, answer(Thinking(thinking="hm"), Text(text="x")), HI))["input"]
    assert [item.get("type", item.get("role")) for item in sent] == ["user", "message", "user"]


def test_what_another_model_said_is_plain() -> None:
    call = ToolUse(id="call_1|fc_1", name="read", input={})
    said = Text(text="x", id="msg_1", phase="commentary")
    result = Message(role="user", content=(ToolOutput(tool_use_id="call_1|fc_1", content="y"),))
    sent = body_of(messages=(HI, answer(REASONED, said, call, model="gpt-5"), result))["input"]
    assert [item["content"][0]["text"] for item in sent[1:3]] == ["hm", "x"]
    assert [item["id"] for item in sent[1:3]] == ["msg_1_0", "msg_1_1"]
    assert "phase" not in sent[2]
    assert sent[3] == {"type": "function_call", "call_id": "call_1", "name": "read", "arguments": "{}"}
    assert sent[4] == {"type": "function_call_output", "call_id": "call_1", "output": "y"}


@pytest.mark.parametrize(
    ("call_id", "called", "own"),
    [
        ("toolu_1", "toolu_1", None),
        ("call_1|item", "call_1", None),
        ("a.b|fc_1", "a_b", "fc_1"),
        ("", "call", None),
    ],
)
def test_ids_of_other_dialects_are_made_to_fit(call_id: str, called: str, own: str | None) -> None:
    call = answer(ToolUse(id=call_id, name="read", input={}))
    result = Message(role="user", content=(ToolOutput(tool_use_id=call_id, content="x"),))
    sent = body_of(messages=(HI, call, result))["input"]
    assert (sent[1]["call_id"], sent[1].get("id"), sent[2]["call_id"]) == (called, own, called)


def test_ids_that_are_too_long_are_shortened_and_stay_apart() -> None:
    calls = [ToolUse(id=f"call_1{number}|fc_{'x' * 80}{number}", name="read", input={}) for number in (1, 2)]
    items = [item for item in body_of(messages=(HI, answer(*calls)))["input"] if item.get("type") == "function_call"]
    ids = [item["id"] for item in items]
    assert len(set(ids)) == 2
    assert all(len(own) <= 64 and own.startswith("fc_") for own in ids)


def test_a_structured_answer() -> None:
    schema = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    assert body_of(output_schema=schema)["text"] == {
        "format": {"type": "json_schema", "name": "answer", "schema": schema, "strict": True}
    }
