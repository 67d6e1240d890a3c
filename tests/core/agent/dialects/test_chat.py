"""What goes out on Chat Completions, member by member, to OpenAI and to those who speak it in their own way."""

import json
from dataclasses import replace
from typing import Any

import pytest

from beyond_ai.agent.dialects.chat import encode
from beyond_ai.agent.dialects.dialect import WireOptions, WireRequest
from beyond_ai.agent.model import ModelRequest, ToolDefinition
from beyond_ai.agent.models import model_facts
from beyond_ai.spec.conversation import Image, Message, Text, Thinking, ThinkingLevel, ToolOutput, ToolUse

PICTURE = Image(media_type="image/png", data="aGk=")
TOOLS = (ToolDefinition(name="read", description="Reads.", schema={"type": "object"}),)
HI = Message(role="user", content=(Text(text="hi"),))


def called(*content: Any, model: str = "llama-3.3-70b") -> Message:
    return Message(role="assistant", content=content, model_id=model, stop_reason="tool_use")


def call(call_id: str = "call_1", **members: Any) -> ToolUse:
    return ToolUse(id=call_id, name="read", input={"path": "é"}, **members)


def result(call_id: str = "call_1", **members: Any) -> ToolOutput:
    return ToolOutput(tool_use_id=call_id, **{"content": "text", **members})


def wire_of(model: str = "llama-3.3-70b", provider: str = "", cache: bool = True, **members: Any) -> WireRequest:
    request = ModelRequest(**{"model": model, "system": "", "messages": (HI,), **members})
    return encode(request, model_facts(model), WireOptions(provider=provider, cache=cache))


def body_of(model: str = "llama-3.3-70b", provider: str = "", **members: Any) -> dict[str, Any]:
    return dict(wire_of(model, provider, **members).body)


def test_the_least_request() -> None:
    wire = wire_of()
    assert (wire.path, wire.headers) == ("/v1/chat/completions", {})
    assert wire.body == {
        "model": "llama-3.3-70b",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_a_whole_conversation_with_tools() -> None:
    """The images of results stand in one message behind them, with what the user said besides."""
    answered = Message(
        role="user", content=(result("b", images=(PICTURE,), content=""), result("a"), Text(text="hurry"), PICTURE)
    )
    body = body_of(
        "gpt-4o",
        system="Be brief.",
        messages=(HI, called(Text(text="I look."), call("a"), call("b")), answered),
        tools=TOOLS,
        max_tokens=100_000,
        temperature=0.2,
        cache_key="s" * 80,
        cache_long=True,
        tool_choice="read",
    )
    url = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
    function = {"name": "read", "arguments": '{"path":"é"}'}
    assert body == {
        "model": "gpt-4o",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "hi"},
            {
                "role": "assistant",
                "content": "I look.",
                "tool_calls": [
                    {"id": "a", "type": "function", "function": function},
                    {"id": "b", "type": "function", "function": function},
                ],
            },
            {"role": "tool", "tool_call_id": "a", "content": "text"},
            {"role": "tool", "tool_call_id": "b", "content": "(see the attached image)"},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "hurry"},
                    url,
                    {"type": "text", "text": "Images of the result of b:"},
                    url,
                ],
            },
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_completion_tokens": 16_384,
        "tools": [
            {
                "type": "function",
                "function": {"name": "read", "description": "Reads.", "parameters": {"type": "object"}},
            }
        ],
        "tool_choice": {"type": "function", "function": {"name": "read"}},
        "temperature": 0.2,
        "store": False,
        "prompt_cache_key": "s" * 64,
        "prompt_cache_retention": "24h",
    }


def test_only_openai_is_told_what_only_openai_knows() -> None:
    body = body_of("grok-4", cache_key="s1", cache_long=True, max_tokens=10)
    assert not {"store", "prompt_cache_key", "prompt_cache_retention", "max_completion_tokens"} & set(body)
    assert body["max_tokens"] == 10
    assert body_of("weird", "openai", cache_key="s1")["prompt_cache_key"] == "s1"
    assert "prompt_cache_key" not in body_of("gpt-4o", cache=False, cache_key="s1")


@pytest.mark.parametrize(
    ("key", "headers"),
    [
        (None, {}),
        ("s1", {"session_id": "s1", "x-client-request-id": "s1", "x-session-affinity": "s1"}),
        ("é", {}),
        ("a\r\nb: c", {}),
    ],
)
def test_what_keeps_a_session_together(key: str | None, headers: dict[str, str]) -> None:
    assert wire_of(cache_key=key).headers == headers


@pytest.mark.parametrize(
    ("model", "provider", "role"),
    [
        ("gpt-5", "", "developer"),
        ("gpt-4o", "", "system"),
        ("grok-3-mini", "", "system"),
        ("openai/gpt-5", "", "system"),
    ],
)
def test_who_speaks_the_system_prompt(model: str, provider: str, role: str) -> None:
    assert body_of(model, provider, system="Be brief.")["messages"][0] == {"role": role, "content": "Be brief."}


@pytest.mark.parametrize(
    ("model", "provider", "level", "sent"),
    [
        ("llama-3.3-70b", "", "high", {}),
        ("gpt-5", "", None, {"reasoning_effort": "medium"}),
        ("gpt-5", "", "off", {"reasoning_effort": "minimal"}),
        ("gpt-5.4", "", "off", {"reasoning_effort": "none"}),
        ("gpt-5.4", "", "xhigh", {"reasoning_effort": "xhigh"}),
        ("o3", "", "minimal", {"reasoning_effort": "low"}),
        ("grok-3-mini", "xai", None, {"reasoning_effort": "low"}),
        ("openai/gpt-oss-120b", "groq", "xhigh", {"reasoning_effort": "high"}),
        ("qwen/qwen3-32b", "groq", "low", {"reasoning_effort": "default"}),
        ("qwen/qwen3-32b", "groq", "off", {"reasoning_effort": "none"}),
        ("openai/gpt-5.4", "openrouter", "off", {"reasoning": {"enabled": False}}),
        ("openai/gpt-5.4", "openrouter", "high", {"reasoning": {"effort": "high"}}),
        ("anthropic/claude-opus-4.8", "openrouter", None, {"reasoning": {"effort": "medium"}}),
        ("claude-opus-4-8", "", None, {}),
        ("deepseek-v4-pro", "", "off", {"thinking": {"type": "disabled"}}),
        ("deepseek-v4-pro", "deepseek", None, {"thinking": {"type": "enabled"}, "reasoning_effort": "high"}),
        ("deepseek-v4-pro", "deepseek", "xhigh", {"thinking": {"type": "enabled"}, "reasoning_effort": "max"}),
        ("deepseek-ai/DeepSeek-V3.1", "together", "low", {"reasoning": {"enabled": True}}),
        ("glm-4.6", "", "off", {"thinking": {"type": "disabled"}}),
        ("glm-4.6", "", None, {"thinking": {"type": "enabled", "clear_thinking": False}}),
        ("kimi-k3", "", None, {"reasoning_effort": "low"}),
        ("kimi-k3", "", "xhigh", {"reasoning_effort": "max"}),
        ("kimi-k2.5", "", "off", {"thinking": {"type": "disabled"}}),
    ],
)
def test_how_much_to_reason(model: str, provider: str, level: ThinkingLevel | None, sent: dict[str, object]) -> None:
    plain = body_of(model, provider, thinking=level)
    assert {name: plain[name] for name in ("reasoning_effort", "reasoning", "thinking") if name in plain} == sent


@pytest.mark.parametrize(
    ("model", "sent"), [("llama-3.3-70b", 0.2), ("gpt-5", None), ("kimi-k3", None), ("grok-3-mini", 0.2)]
)
def test_no_temperature_where_it_is_refused(model: str, sent: float | None) -> None:
    assert body_of(model, temperature=0.2).get("temperature") == sent


@pytest.mark.parametrize("choice", ["none", "required"])
def test_whether_to_call_a_tool(choice: str) -> None:
    assert body_of(tools=TOOLS, tool_choice=choice)["tool_choice"] == choice
    assert "tool_choice" not in body_of(tool_choice=choice)


def test_a_history_with_calls_but_no_tools() -> None:
    history = (HI, called(call()), Message(role="user", content=(result(),)))
    assert body_of(messages=history)["tools"] == []
    assert "tools" not in body_of("gpt-4o", messages=history)
    assert "tools" not in body_of()


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning", "reasoning_text"])
def test_reasoning_goes_back_in_the_member_that_it_came_in(field: str) -> None:
    answer = called(Thinking(thinking="hm", field=field), Text(text="x"))
    sent = body_of(messages=(HI, answer, HI))["messages"][1]
    assert sent == {"role": "assistant", "content": "x", field: "hm"}


def test_reasoning_of_another_model_is_text() -> None:
    answer = called(Thinking(thinking="hm", field="reasoning"), Text(text="x"), model="another")
    assert body_of(messages=(HI, answer, HI))["messages"][1] == {"role": "assistant", "content": "hm\n\nx"}


def test_reasoning_details_and_signatures_go_back() -> None:
    details = [{"type": "reasoning.encrypted", "data": "xyz"}]
    answer = called(
        Thinking(thinking="hm", field="reasoning", signature=json.dumps(details)), call(signature='{"google": {}}')
    )
    sent = body_of(messages=(HI, answer, HI))["messages"][1]
    assert (sent["reasoning"], sent["reasoning_details"]) == ("hm", details)
    assert sent["tool_calls"][0]["extra_content"] == {"google": {}}


def test_deepseek_wants_reasoning_with_every_call() -> None:
    model = "deepseek-v4-pro"
    history = (HI, called(call(), model=model), Message(role="user", content=(result(),)))
    assert body_of(model, messages=history)["messages"][1]["reasoning_content"] == ""
    assert "reasoning_content" not in body_of(messages=history)["messages"][1]


def test_mistral_has_ways_of_its_own() -> None:
    model = "magistral-medium-latest"
    answer = called(
        Thinking(thinking="hm", field="content"), Text(text="x"), call("abcdefghi"), call("call_1"), model=model
    )
    results = Message(role="user", content=(result("call_1"), result("abcdefghi"), Text(text="hurry")))
    body = body_of(model, messages=(HI, answer, results), max_tokens=5)
    assert "stream_options" not in body
    sent = body["messages"]
    part = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    assert sent[1]["content"] == [part, {"type": "text", "text": "x"}]
    ids = [made["id"] for made in sent[1]["tool_calls"]]
    assert ids[0] == "abcdefghi"
    assert len(ids[1]) == 9
    assert ids[1].isalnum()
    assert [message.get("tool_call_id") for message in sent[2:4]] == ids
    assert [message["role"] for message in sent[2:]] == ["tool", "tool", "assistant", "user"]


@pytest.mark.parametrize(
    ("call_id", "sent"),
    [("call_1|fc_2", "call_1"), ("functions.read:0", "functions_read_0"), ("x" * 60, "x" * 40), ("", "call")],
)
def test_ids_of_other_dialects_are_made_to_fit(call_id: str, sent: str) -> None:
    history = (HI, called(call(call_id)), Message(role="user", content=(result(call_id),)))
    messages = body_of(messages=history)["messages"]
    assert messages[1]["tool_calls"][0]["id"] == messages[2]["tool_call_id"] == sent


def test_a_structured_answer() -> None:
    loose = {"type": "object", "properties": {"a": {"type": "string"}}}
    strict = {**loose, "required": ["a"], "additionalProperties": False}
    for schema, is_strict in ((loose, False), (strict, True)):
        assert body_of(output_schema=schema)["response_format"] == {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": schema, "strict": is_strict},
        }
    body = body_of("deepseek-v4-pro", output_schema=strict)
    assert body["response_format"] == {"type": "json_object"}
    assert "fits this JSON schema" in body["messages"][0]["content"]


def test_openrouter_passes_marks_for_the_cache_on() -> None:
    model = "anthropic/claude-sonnet-4.6"
    mark = {"cache_control": {"type": "ephemeral"}}
    body = body_of(model, "openrouter", system="Be brief.")
    assert body["messages"] == [
        {"role": "system", "content": [{"type": "text", "text": "Be brief.", **mark}]},
        {"role": "user", "content": [{"type": "text", "text": "hi", **mark}]},
    ]
    for other in (
        body_of(model, "openrouter", system="x", cache=False),
        body_of("openai/gpt-5", "openrouter", system="x"),
    ):
        assert "cache_control" not in json.dumps(other)


def test_text_in_several_blocks_is_one() -> None:
    answer = replace(called(Text(text="a"), Text(text="b")), stop_reason="end_turn")
    assert body_of(messages=(HI, answer, HI))["messages"][1] == {"role": "assistant", "content": "a\n\nb"}
