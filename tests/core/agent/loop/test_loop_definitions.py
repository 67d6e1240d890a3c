"""What the model is shown of the tools, and the record of a conversation."""

import json
from enum import Enum
from pathlib import Path
from typing import Annotated, Literal, Optional

import pytest
from pydantic import BaseModel, ConfigDict, Field
from tests.core.agent.loop.parts import FAIL, SAY, Rig, ScriptedModel, call, says, tool

from beyond_ai import ToolContext, ToolResult
from beyond_ai.agent.loop import Conversation
from beyond_ai.agent.loop.definitions import lean_schema
from beyond_ai.agent.loop.history import flaw
from beyond_ai.spec.conversation import Message, Text, TokenUsage, ToolOutput


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Edit(BaseModel):
    """One edit."""

    old: str = Field(description="as it stands")
    title: str = ""


class Everything(BaseModel):
    """Not for the model."""

    model_config = ConfigDict(extra="forbid")
    path: Path
    edits: list[Edit] = Field(min_length=1)
    limit: Annotated[int, Field(gt=0)] | None = None
    either: int | str | None = None
    mode: Literal["a", "b"] = "a"
    color: Color = Color.RED
    title: str = Field(default="x", title="A title", description="a member named as a keyword")


def test_a_schema_is_lean_and_says_all_the_same() -> None:
    edit = {
        "description": "One edit.",
        "properties": {
            "old": {"description": "as it stands", "type": "string"},
            "title": {"default": "", "type": "string"},
        },
        "required": ["old"],
        "type": "object",
    }
    assert lean_schema(Everything.model_json_schema()) == {
        "additionalProperties": False,
        "properties": {
            "path": {"format": "path", "type": "string"},
            "edits": {"items": edit, "minItems": 1, "type": "array"},
            "limit": {"exclusiveMinimum": 0, "type": "integer"},
            "either": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
            "mode": {"default": "a", "enum": ["a", "b"], "type": "string"},
            "color": {"default": "red", "enum": ["red", "blue"], "type": "string"},
            "title": {"default": "x", "description": "a member named as a keyword", "type": "string"},
        },
        "required": ["path", "edits"],
        "type": "object",
    }


class Tree(BaseModel):
    name: str
    children: list["Tree"] = []
    parent: Optional["Tree"] = None


def test_a_schema_that_refers_to_itself_still_does() -> None:
    schema = lean_schema(Tree.model_json_schema())
    assert "$ref" in json.dumps(schema)
    definitions = schema["$defs"]
    assert isinstance(definitions, dict)
    assert list(definitions) == ["Tree"]
    assert "title" not in json.dumps(schema)


async def test_tools_stand_in_the_order_of_their_names_and_the_last_of_a_name_counts() -> None:
    async def other(arguments: object, context: ToolContext) -> ToolResult:
        return ToolResult("other")

    rig = Rig(ScriptedModel(says("", call("say")), says("done")), SAY, FAIL, tool("say", other), tool("a", other))
    assert [definition.name for definition in rig.loop.definitions] == ["a", "fail", "say"]
    await rig.run()
    assert rig.result().content == "other"
    assert rig.model.requests[0].tools is rig.model.requests[1].tools, "the bytes stay the same from turn to turn"


# the record


def ask(text: str) -> Message:
    return Message(role="user", content=(Text(text=text),))


def test_a_conversation_takes_nothing_that_no_provider_would() -> None:
    conversation = Conversation(model="m")
    calls = Message(role="assistant", content=(call("say", "a"), call("say", "b")), stop_reason="tool_use")
    with pytest.raises(ValueError, match="starts with a user"):
        conversation.append(calls)
    conversation.append(ask("go"))
    with pytest.raises(ValueError, match="two messages of the user"):
        conversation.append(ask("go"))
    conversation.append(calls)
    results = [ToolOutput(tool_use_id=name, content="") for name in "bab"]
    for wrong in ((), results[:1], results[1:2], results[:2], results):
        with pytest.raises(ValueError, match="answered by"):
            conversation.append(Message(role="user", content=tuple(wrong)))
    conversation.append(Message(role="user", content=(*results[1:], Text(text="and"))))
    assert len(conversation.entries) == len(conversation.messages) == 3


def test_every_entry_has_an_id_and_the_record_makes_the_conversation_again() -> None:
    conversation = Conversation(model="m")
    conversation.append(ask("go"))
    conversation.spend(TokenUsage(input_tokens=5), "retry")
    conversation.spend(TokenUsage(), "retry")
    conversation.switch("m", None)
    conversation.switch("m2", "high")
    usage = TokenUsage(input_tokens=70, output_tokens=7)
    conversation.append(Message(role="assistant", content=(Text(text="done"),), usage=usage, stop_reason="end_turn"))
    conversation.append(ask("x" * 40))
    assert [entry.kind for entry in conversation.entries] == ["message", "spend", "model", "message", "message"]
    assert len({entry.id for entry in conversation.entries}) == 5
    again = Conversation.replay(conversation.entries, model="m")
    assert (again.model, again.thinking, again.messages) == ("m2", "high", conversation.messages)
    assert again.total_usage == TokenUsage(input_tokens=75, output_tokens=7)
    assert again.live_tokens(1_000) == 87


def test_half_a_report_is_no_measure_of_size() -> None:
    conversation = Conversation(model="m")
    conversation.append(ask("x" * 400))
    usage = TokenUsage(input_tokens=3)
    conversation.append(Message(role="assistant", content=(), usage=usage, stop_reason="aborted"))
    assert conversation.live_tokens(1_000) == 1_100


@pytest.mark.parametrize(
    ("messages", "what"),
    [
        ([], "empty"),
        ([Message(role="assistant", content=())], "where the user's is due"),
        ([ask("a"), ask("b")], "where the assistant's is due"),
        ([ask("a"), Message(role="assistant", content=())], "does not end with the user"),
        ([ask("a"), Message(role="assistant", content=(call("say"),)), ask("b")], "instead of"),
        ([Message(role="user", content=(ToolOutput(tool_use_id="a", content=""),))], "instead of"),
        ([ask("a"), "b"], "no Message"),
    ],
)
def test_a_flaw_of_a_history_is_named(messages: list[object], what: str) -> None:
    assert what in (flaw(messages) or "")
