"""Writes OpenAI's Responses: https://platform.openai.com/docs/api-reference/responses/create."""

import hashlib
import json
import re
from typing import Final

from beyond_ai.agent.dialects.chat import cache_hints, effort_of, routing_headers
from beyond_ai.agent.dialects.choice import family_of
from beyond_ai.agent.dialects.dialect import Dialect, WireOptions, WireRequest
from beyond_ai.agent.dialects.history import NO_ANSWER, Rules, legal_history
from beyond_ai.agent.dialects.responses_stream import ResponsesDecoder
from beyond_ai.agent.dialects.schema import is_strict
from beyond_ai.agent.model import ModelFacts, ModelRequest
from beyond_ai.agent.models import thinking_level
from beyond_ai.spec.conversation import Block, Image, JsonObject, Message, Text, Thinking, ToolOutput, ToolUse

MIN_OUTPUT: Final = 16
"""Below this OpenAI refuses the request."""

_NOT_IN_IDS: Final = re.compile(r"[^A-Za-z0-9_-]")


def encode(request: ModelRequest, facts: ModelFacts, options: WireOptions) -> WireRequest:
    """REQUEST as a body of Responses."""
    native = family_of(options.provider, request.model) == "openai"
    body: JsonObject = {"model": request.model, "input": _input(request, facts, native), "stream": True, "store": False}
    if request.max_tokens is not None:
        body["max_output_tokens"] = max(MIN_OUTPUT, min(request.max_tokens, facts.max_output))
    if request.tools:
        body["tools"] = [
            {
                "type": "function",
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.schema,
                "strict": False,  # it is the default, and would make every argument required
            }
            for tool in request.tools
        ]
        if request.tool_choice is not None:
            choice = request.tool_choice
            body["tool_choice"] = choice if choice in ("none", "required") else {"type": "function", "name": choice}
    if facts.thinking == "effort":
        body |= _reasoning(request, facts, native)
    if request.output_schema is not None:
        shape = {"type": "json_schema", "name": "answer", "schema": request.output_schema}
        body["text"] = {"format": {**shape, "strict": is_strict(request.output_schema)}}
    if request.temperature is not None and facts.temperature:
        body["temperature"] = request.temperature
    if native:
        body |= cache_hints(request, options)
    return WireRequest(path="/v1/responses", headers=routing_headers(request), body=body)


def _reasoning(request: ModelRequest, facts: ModelFacts, native: bool) -> JsonObject:
    """How to reason, and that it comes back as a whole: nothing is stored at the provider's."""
    level = thinking_level(request.thinking, facts)
    if level == "off":
        return {"reasoning": {"effort": "none"}}
    reasoning: JsonObject = {"effort": effort_of(level, request.model)}
    if native:
        reasoning["summary"] = "auto"
    return {"reasoning": reasoning, "include": ["reasoning.encrypted_content"]}


def _input(request: ModelRequest, facts: ModelFacts, native: bool) -> list[JsonObject]:
    rules = Rules(
        model=request.model,
        images=facts.images,
        thinking=_replayed,
        redacted=False,
        call_id=_call_id,
    )
    items: list[JsonObject] = []
    if request.system.strip():
        role = "developer" if native and facts.thinking != "none" else "system"
        items.append({"role": role, "content": request.system})
    for position, message in enumerate(legal_history(request.messages, rules)):
        items += _assistant(message, position) if message.role == "assistant" else _user(message)
    return items


def _replayed(block: Thinking) -> Thinking | Text | None:
    """Whole items go back. Reasoning without one was kept by nobody, and a summary of it is no answer."""
    if block.signature and block.signature.startswith("{"):
        return block
    return None if block.signature is None and block.field is None else Text(text=block.thinking)


def _call_id(call_id: str) -> str:
    """The two halves of an id, each as it is taken; the item's own only where it is one."""
    called, _, own = call_id.partition("|")
    called = _short(_NOT_IN_IDS.sub("_", called) or "call")
    return f"{called}|{_short(_NOT_IN_IDS.sub('_', own))}" if own.startswith("fc_") else called


def _short(name: str) -> str:
    if len(name) <= 64:
        return name
    return f"{name[:3]}{hashlib.sha256(name.encode()).hexdigest()[:40]}"


def _assistant(message: Message, position: int) -> list[JsonObject]:
    items: list[JsonObject] = []
    reasoning: list[JsonObject] = []
    for number, block in enumerate(message.content):
        if isinstance(block, Thinking):
            reasoning.append(json.loads(block.signature or "{}"))
            continue
        # An item of reasoning must be followed by what was reasoned about: one at the end is left out.
        items += reasoning
        reasoning = []
        items.append(_said(block, f"msg_{position}_{number}") if isinstance(block, Text) else _called(block))
    if not items:
        items.append(_said(Text(text=NO_ANSWER), f"msg_{position}_0"))
    return items


def _said(text: Text, name: str) -> JsonObject:
    item: JsonObject = {
        "type": "message",
        "role": "assistant",
        "id": _short(text.id or name),
        "status": "completed",
        "content": [{"type": "output_text", "text": text.text, "annotations": []}],
    }
    return {**item, "phase": text.phase} if text.phase else item


def _called(block: Block) -> JsonObject:
    assert isinstance(block, ToolUse)
    called, _, own = block.id.partition("|")
    item: JsonObject = {"type": "function_call", "call_id": called, "name": block.name}
    item["arguments"] = json.dumps(block.input, ensure_ascii=False, separators=(",", ":"))
    return {**item, "id": own} if own else item


def _user(message: Message) -> list[JsonObject]:
    items = [_result(block) for block in message.content if isinstance(block, ToolOutput)]
    parts = [_part(block) for block in message.content if isinstance(block, Text | Image)]
    return [*items, {"role": "user", "content": parts}] if parts else items


def _result(result: ToolOutput) -> JsonObject:
    output: object = result.content
    if result.images:
        text = [_part(Text(text=result.content))] if result.content else []
        output = [*text, *map(_part, result.images)]
    called = result.tool_use_id.partition("|")[0]
    return {"type": "function_call_output", "call_id": called, "output": output}


def _part(block: Text | Image) -> JsonObject:
    if isinstance(block, Text):
        return {"type": "input_text", "text": block.text}
    return {"type": "input_image", "image_url": f"data:{block.media_type};base64,{block.data}", "detail": "auto"}


RESPONSES: Final = Dialect(name="responses", encode=encode, decoder=ResponsesDecoder)
