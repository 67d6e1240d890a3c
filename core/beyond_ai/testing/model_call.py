"""What an agent asked a scripted model, in one form whatever the wire was."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal, TypeAlias

import orjson

from beyond_ai.spec.conversation import Block, Image, Message, Text, Thinking, ToolOutput, ToolUse
from beyond_ai.testing.answer import JsonObject
from beyond_ai.testing.message import ReceivedRequest

Wire: TypeAlias = Literal["chat", "responses", "messages"]

PATHS: Final[Mapping[bytes, Wire]] = {
    b"/chat/completions": "chat",
    b"/responses": "responses",
    b"/messages": "messages",
}
"""How the path of a request ends."""
DATA_URI: Final = re.compile(r"data:([^;,]+);base64,(.*)", re.DOTALL)


@dataclass(frozen=True, eq=False)
class ModelCall:
    """One request to the model. `number` counts from 1; `received` is the request as it came.

    `messages` are decoded from the wire: the roles are `user` and `assistant`, and results of tools are blocks of a
    user message. Only the Messages wire says that a result is an error; `is_error` is False on the others.
    """

    number: int
    wire: Wire
    received: ReceivedRequest

    @cached_property
    def body(self) -> JsonObject:
        """The JSON of the request."""
        return _object(self.received.json())

    @property
    def model(self) -> str:
        """The model's id."""
        return str(self.body.get("model"))

    @property
    def streamed(self) -> bool:
        """Whether a stream was asked for."""
        return self.body.get("stream") is True

    @cached_property
    def system(self) -> str:
        """The system prompt."""
        match self.wire:
            case "chat":
                found = [_text(item["content"]) for item in self._items("messages") if item["role"] in SYSTEM_ROLES]
            case "responses":
                items = [item for item in self._items("input") if item.get("role") in SYSTEM_ROLES]
                found = [_text(self.body.get("instructions", "")), *(_text(item["content"]) for item in items)]
            case _:
                found = [_text(self.body.get("system", ""))]
        return "\n\n".join(part for part in found if part)

    @cached_property
    def tools(self) -> dict[str, JsonObject]:
        """The JSON schema of each tool's arguments, by its name, in the order of the request."""
        offered = {}
        for item in self._items("tools"):
            tool = _object(item["function"]) if self.wire == "chat" else item
            schema = tool.get("input_schema" if self.wire == "messages" else "parameters", {})
            offered[str(tool.get("name"))] = _object(schema)
        return offered

    @cached_property
    def messages(self) -> tuple[Message, ...]:
        """The conversation."""
        match self.wire:
            case "chat":
                parts = [part for item in self._items("messages") for part in _chat_parts(item)]
            case "responses":
                given = self.body.get("input")
                parts = [("user", Text(text=given))] if isinstance(given, str) else []
                parts += [part for item in self._items("input") for part in _responses_parts(item)]
            case _:
                parts = [part for item in self._items("messages") for part in _messages_parts(item)]
        return _joined(parts)

    @property
    def results(self) -> tuple[ToolOutput, ...]:
        """The results in the last message, in their order."""
        last = self.messages[-1].content if self.messages else ()
        return tuple(block for block in last if isinstance(block, ToolOutput))

    @property
    def said(self) -> str:
        """The text of the last message."""
        return self.messages[-1].text if self.messages else ""

    def _items(self, member: str) -> list[JsonObject]:
        return _objects(self.body.get(member))


SYSTEM_ROLES: Final = ("system", "developer")
Part: TypeAlias = tuple[Literal["user", "assistant"], Block]


def wire_of(target: bytes) -> Wire | None:
    """The wire of a request to TARGET; None when it is none of the three."""
    path = target.partition(b"?")[0]
    return next((wire for ending, wire in PATHS.items() if path.endswith(ending)), None)


def _joined(parts: Iterable[Part]) -> tuple[Message, ...]:
    """One message for each run of PARTS with one role."""
    runs: list[tuple[Literal["user", "assistant"], list[Block]]] = []
    for role, block in parts:
        if not runs or runs[-1][0] != role:
            runs.append((role, []))
        runs[-1][1].append(block)
    return tuple(Message(role=role, content=tuple(blocks)) for role, blocks in runs)


def _chat_parts(item: JsonObject) -> list[Part]:
    match item["role"]:
        case "tool":
            return [("user", ToolOutput(tool_use_id=str(item["tool_call_id"]), content=_text(item["content"])))]
        case "user":
            return [("user", block) for block in _content(item["content"])]
        case "assistant":
            thought = item.get("reasoning_content") or item.get("reasoning") or ""
            blocks: list[Block] = [Thinking(thinking=str(thought))] if thought else []
            blocks += _content(item.get("content"))
            for call in _objects(item.get("tool_calls")):
                function = _object(call["function"])
                blocks.append(_call(call["id"], function["name"], function["arguments"]))
            return [("assistant", block) for block in blocks]
    return []


def _responses_parts(item: JsonObject) -> list[Part]:
    match item.get("type", "message"):
        case "function_call":
            return [("assistant", _call(item["call_id"], item["name"], item["arguments"]))]
        case "function_call_output":
            return [("user", _output(item["call_id"], item["output"]))]
        case "reasoning":
            return [("assistant", Thinking(thinking=_text(item.get("summary"))))]
        case "message" if item["role"] in ("user", "assistant"):
            role: Literal["user", "assistant"] = "user" if item["role"] == "user" else "assistant"
            return [(role, block) for block in _content(item["content"])]
    return []


def _messages_parts(item: JsonObject) -> list[Part]:
    role: Literal["user", "assistant"] = "user" if item["role"] == "user" else "assistant"
    return [(role, block) for block in _content(item["content"])]


def _content(content: object) -> list[Block]:
    """The blocks of a message's CONTENT, as text or as a list of parts, on any wire."""
    if isinstance(content, str):
        return [Text(text=content)] if content else []
    blocks: list[Block] = []
    for part in _objects(content):
        match part["type"]:
            case "text" | "input_text" | "output_text":
                blocks.append(Text(text=str(part["text"])))
            case "thinking":
                blocks.append(Thinking(thinking=str(part["thinking"]), signature=str(part.get("signature"))))
            case "tool_use":
                blocks.append(ToolUse(id=str(part["id"]), name=str(part["name"]), input=_object(part["input"])))
            case "tool_result":
                is_error = part.get("is_error") is True
                blocks.append(_output(part["tool_use_id"], part.get("content", ""), is_error=is_error))
            case "image" | "image_url" | "input_image":
                blocks.append(_image(part))
    return blocks


def _call(call_id: object, name: object, arguments: object) -> ToolUse:
    try:
        return ToolUse(id=str(call_id), name=str(name), input=_object(orjson.loads(str(arguments))))
    except (orjson.JSONDecodeError, TypeError):
        return ToolUse(id=str(call_id), name=str(name), input={}, malformed=str(arguments))


def _output(call_id: object, content: object, *, is_error: bool = False) -> ToolOutput:
    images = tuple(block for block in _content(content) if isinstance(block, Image))
    return ToolOutput(tool_use_id=str(call_id), content=_text(content), is_error=is_error, images=images)


def _image(part: JsonObject) -> Image:
    if part["type"] == "image":
        source = _object(part["source"])
        return Image(media_type=str(source["media_type"]), data=str(source["data"]))
    url = part["image_url"]
    found = DATA_URI.fullmatch(str(url if isinstance(url, str) else _object(url)["url"]))
    return Image(media_type=found[1], data=found[2]) if found else Image(media_type="", data="")


def _text(content: object) -> str:
    """All text in CONTENT: text itself, or a list of parts."""
    if isinstance(content, str):
        return content
    return "".join(str(part.get("text", "")) for part in _objects(content))


def _object(value: object) -> JsonObject:
    if not isinstance(value, dict):
        raise TypeError(f"a JSON object was expected, not {value!r}")
    return value


def _objects(value: object) -> list[JsonObject]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        return []
    return [item for item in value if isinstance(item, dict)]
