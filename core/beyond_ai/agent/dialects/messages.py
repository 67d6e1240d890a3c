"""Writes Anthropic's Messages: https://docs.anthropic.com/en/api/messages."""

import re
from typing import Final

from beyond_ai.agent.dialects.dialect import Dialect, WireOptions, WireRequest
from beyond_ai.agent.dialects.history import Rules, legal_history
from beyond_ai.agent.dialects.messages_stream import MessagesDecoder
from beyond_ai.agent.dialects.schema import closed_schema, schema_instruction
from beyond_ai.agent.model import ModelFacts, ModelRequest, ToolDefinition
from beyond_ai.agent.models import BUDGETS, MIN_BUDGET, claude_version, thinking_level
from beyond_ai.spec.conversation import (
    Block,
    Image,
    JsonObject,
    RedactedThinking,
    Text,
    Thinking,
    ToolOutput,
    ToolUse,
)

VERSION: Final = "2023-06-01"
INTERLEAVED: Final = "interleaved-thinking-2025-05-14"
DEFAULT_MAX_TOKENS: Final = 32_000
"""Of an answer, besides its budget of reasoning."""

_NOT_IN_IDS: Final = re.compile(r"[^A-Za-z0-9_-]")


def encode(request: ModelRequest, facts: ModelFacts, options: WireOptions) -> WireRequest:
    """REQUEST as a body of Messages."""
    wanted = request.max_tokens or DEFAULT_MAX_TOKENS + _budget(request, facts)
    max_tokens = min(wanted, facts.max_output)
    body: JsonObject = {"model": request.model, "max_tokens": max_tokens, "stream": True}
    mark = _cache_mark(request) if options.cache else None
    native = claude_version(request.model)[1] >= (4, 5)
    system = _system(request, native)
    if system.strip():
        body["system"] = [_marked({"type": "text", "text": system}, mark)]
    body["messages"] = _messages(request, facts, mark)
    if request.tools:
        body["tools"] = _tools(request.tools, mark)
    thinking = _thinking(request, facts, max_tokens)
    body |= thinking
    reasons = _is_on(thinking)
    if choice := _tool_choice(request, reasons):
        body["tool_choice"] = choice
    if request.output_schema is not None and native:
        config = body.get("output_config")
        shape = {"type": "json_schema", "schema": closed_schema(request.output_schema)}
        body["output_config"] = {**(config if isinstance(config, dict) else {}), "format": shape}
    if request.temperature is not None and facts.temperature and not reasons:
        body["temperature"] = request.temperature
    headers = {"anthropic-version": VERSION}
    if facts.thinking == "budget" and reasons and request.tools:
        headers["anthropic-beta"] = INTERLEAVED
    return WireRequest(path="/v1/messages", headers=headers, body=body)


def _system(request: ModelRequest, native: bool) -> str:
    if request.output_schema is None or native:
        return request.system
    return f"{request.system}\n\n{schema_instruction(request.output_schema)}".strip()


def _cache_mark(request: ModelRequest) -> JsonObject:
    long = request.cache_long and claude_version(request.model)[1] >= (4, 0)
    return {"type": "ephemeral", "ttl": "1h"} if long else {"type": "ephemeral"}


def _marked(block: JsonObject, mark: JsonObject | None) -> JsonObject:
    return block if mark is None else {**block, "cache_control": mark}


def _tools(tools: tuple[ToolDefinition, ...], mark: JsonObject | None) -> list[JsonObject]:
    written: list[JsonObject] = [
        {"name": tool.name, "description": tool.description, "input_schema": tool.schema} for tool in tools
    ]
    written[-1] = _marked(written[-1], mark)
    return written


def _budget(request: ModelRequest, facts: ModelFacts) -> int:
    return BUDGETS[thinking_level(request.thinking, facts)] if facts.thinking == "budget" else 0


def _thinking(request: ModelRequest, facts: ModelFacts, max_tokens: int) -> JsonObject:
    """How to reason. Older models take nothing; a short answer leaves no room for a budget."""
    level = thinking_level(request.thinking, facts)
    if facts.thinking == "none" or facts.thinking == "effort":
        return {}
    if facts.thinking == "budget":
        budget = min(_budget(request, facts), max_tokens - MIN_BUDGET)
        if budget < MIN_BUDGET:
            return {}
        return {"thinking": {"type": "enabled", "budget_tokens": budget}}
    if level == "off":
        # Models before 5 do not reason unless asked to, and some of them refuse to be told not to.
        return {"thinking": {"type": "disabled"}} if facts.thinks_by_default else {}
    effort = "low" if level == "minimal" else level
    return {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": effort}}


def _is_on(thinking: JsonObject) -> bool:
    mode = thinking.get("thinking")
    return isinstance(mode, dict) and mode.get("type") != "disabled"


def _tool_choice(request: ModelRequest, reasons: bool) -> JsonObject | None:
    """Whether a tool must or may be called. One that reasons cannot be made to call."""
    choice = request.tool_choice
    if choice is None or not request.tools:
        return None
    if choice == "none":
        return {"type": "none"}
    if reasons:
        return {"type": "auto"}
    return {"type": "any"} if choice == "required" else {"type": "tool", "name": choice}


def _messages(request: ModelRequest, facts: ModelFacts, mark: JsonObject | None) -> list[JsonObject]:
    rules = Rules(
        model=request.model,
        images=facts.images,
        thinking=_replayed,
        redacted=True,
        call_id=_call_id,
    )
    written: list[JsonObject] = []
    history = legal_history(request.messages, rules)
    for position, message in enumerate(history):
        blocks = [_block(block) for block in message.content]
        blocks += [_image(image) for block in message.content for image in _images_of_error(block)]
        if position == len(history) - 1:
            blocks[-1] = _marked(blocks[-1], mark)
        written.append({"role": message.role, "content": blocks})
    return written


def _replayed(block: Thinking) -> Thinking | Text | None:
    """Only signed reasoning is taken back. What another dialect calls its signature is JSON."""
    if block.signature and block.signature[0] not in "{[":
        return block
    return Text(text=block.thinking)


def _call_id(call_id: str) -> str:
    return _NOT_IN_IDS.sub("_", call_id.partition("|")[0])[-64:] or "call"


def _block(block: Block) -> JsonObject:
    if isinstance(block, Text):
        return {"type": "text", "text": block.text}
    if isinstance(block, Thinking):
        return {"type": "thinking", "thinking": block.thinking, "signature": block.signature}
    if isinstance(block, RedactedThinking):
        return {"type": "redacted_thinking", "data": block.data}
    if isinstance(block, ToolUse):
        return {"type": "tool_use", "id": block.id, "name": block.name, "input": block.input}
    if isinstance(block, Image):
        return _image(block)
    return _result(block)


def _image(image: Image) -> JsonObject:
    return {"type": "image", "source": {"type": "base64", "media_type": image.media_type, "data": image.data}}


def _result(result: ToolOutput) -> JsonObject:
    text = result.content or ("(see the image)" if result.is_error else "")
    written: JsonObject = {"type": "tool_result", "tool_use_id": result.tool_use_id, "content": text}
    if result.images and not result.is_error:
        said: list[JsonObject] = [{"type": "text", "text": text}] if text else []
        written["content"] = [*said, *map(_image, result.images)]
    if result.is_error:
        written["is_error"] = True
    return written


def _images_of_error(block: Block) -> tuple[Image, ...]:
    """Images that cannot stand in their result: one that is an error holds only text."""
    return block.images if isinstance(block, ToolOutput) and block.is_error else ()


MESSAGES: Final = Dialect(name="messages", encode=encode, decoder=MessagesDecoder)
