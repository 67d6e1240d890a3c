"""Bodies fit the types that the providers' own SDKs have for requests."""

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, get_type_hints

import pytest
from anthropic.types.message_create_params import MessageCreateParamsStreaming
from openai.types.chat.completion_create_params import CompletionCreateParamsStreaming
from openai.types.responses.response_create_params import ResponseCreateParamsStreaming
from pydantic import TypeAdapter, ValidationError

from beyond_ai.agent.dialects.choice import dialect_of
from beyond_ai.agent.dialects.dialect import WireOptions
from beyond_ai.agent.model import ModelRequest, ToolDefinition
from beyond_ai.agent.models import model_facts
from beyond_ai.spec.conversation import Image, Message, Text, Thinking, ToolOutput, ToolUse

TYPES: dict[str, type] = {
    "messages": MessageCreateParamsStreaming,
    "chat": CompletionCreateParamsStreaming,
    "responses": ResponseCreateParamsStreaming,
}
ITEM = '{"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "xyz"}'
SIGNATURES = {"messages": "c2ln", "responses": ITEM, "chat": None}
PICTURE = Image(media_type="image/png", data="aGk=")


@cache
def adapter(name: str) -> TypeAdapter[Any]:
    return TypeAdapter(TYPES[name])


def consume(value: object) -> None:
    """Look at all of VALUE: what pydantic knows as an iterable it checks when it is asked for."""
    if isinstance(value, dict):
        for inner in value.values():
            consume(inner)
    elif isinstance(value, Iterable) and not isinstance(value, str | bytes):
        for inner in value:
            consume(inner)


def check(name: str, body: dict[str, Any]) -> None:
    consume(adapter(name).validate_python(body))
    assert set(body) <= set(get_type_hints(TYPES[name]))


def whole(name: str, model: str, tool_choice: str | None = None) -> dict[str, Any]:
    thinking = Thinking(thinking="hm", signature=SIGNATURES[name])
    call = ToolUse(id="call_1|fc_1", name="read", input={"path": "x"})
    result = ToolOutput(tool_use_id="call_1|fc_1", content="text", images=(PICTURE,))
    request = ModelRequest(
        model=model,
        system="Be brief.",
        messages=(
            Message(role="user", content=(Text(text="hi"), PICTURE)),
            Message(
                role="assistant",
                content=(thinking, Text(text="I look.", id="msg_1", phase="commentary"), call),
                model_id=model,
            ),
            Message(role="user", content=(result, Text(text="hurry"))),
        ),
        tools=(ToolDefinition(name="read", description="Reads.", schema={"type": "object"}),),
        tool_choice=tool_choice,
        max_tokens=30_000,
        temperature=0.5,
        cache_key="s1",
        cache_long=True,
        output_schema={"type": "object", "properties": {"age": {"type": "integer", "minimum": 0}}},
    )
    return dict(dialect_of(name).encode(request, model_facts(model), WireOptions()).body)


@pytest.mark.parametrize("tool_choice", [None, "none", "required", "read"])
@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("messages", "claude-sonnet-4-5"),
        ("messages", "claude-opus-4-8"),
        ("chat", "gpt-5.4"),
        ("chat", "gpt-4o"),
        ("responses", "gpt-5.4"),
        ("responses", "gpt-4o"),
    ],
)
def test_a_body_fits_the_sdks_type(name: str, model: str, tool_choice: str | None) -> None:
    check(name, whole(name, model, tool_choice))


def spoil_role(body: dict[str, Any]) -> None:
    body["messages" if "messages" in body else "input"][-1]["role"] = "nobody"


def spoil_tools(body: dict[str, Any]) -> None:
    body["tools"][0].update(name=7, function=7)


@pytest.mark.parametrize("spoil", [spoil_role, spoil_tools])
@pytest.mark.parametrize(("name", "model"), [("messages", "claude-opus-4-8"), ("chat", "gpt-4o"), ("responses", "o3")])
def test_the_types_find_what_does_not_fit(name: str, model: str, spoil: Callable[[dict[str, Any]], None]) -> None:
    body = whole(name, model)
    spoil(body)
    with pytest.raises(ValidationError):
        check(name, body)
