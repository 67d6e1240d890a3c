"""Writes OpenAI's Chat Completions: https://platform.openai.com/docs/api-reference/chat/create.

Those who speak it differ in what they add and what they refuse; each difference is a line that names who has it.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Final

from beyond_ai.agent.dialects.chat_stream import CONTENT, REASONING_FIELDS, ChatDecoder
from beyond_ai.agent.dialects.choice import Family, family_of
from beyond_ai.agent.dialects.dialect import Dialect, WireOptions, WireRequest
from beyond_ai.agent.dialects.history import Rules, legal_history
from beyond_ai.agent.dialects.schema import is_strict, schema_instruction
from beyond_ai.agent.model import ModelFacts, ModelRequest
from beyond_ai.agent.models import thinking_level
from beyond_ai.spec.conversation import Image, JsonObject, Message, Text, Thinking, ThinkingLevel, ToolOutput, ToolUse

IMAGES_BELOW: Final = "(see the attached image)"
BRIDGE: Final = "I have the results."

_NOT_IN_IDS: Final = re.compile(r"[^A-Za-z0-9_-]")


def encode(request: ModelRequest, facts: ModelFacts, options: WireOptions) -> WireRequest:
    """REQUEST as a body of Chat Completions."""
    family = family_of(options.provider, request.model)
    body: JsonObject = {"model": request.model, "messages": _messages(request, facts, options, family), "stream": True}
    if family != "mistral":  # reports usage unasked
        body["stream_options"] = {"include_usage": True}
    if request.max_tokens is not None:
        name = "max_completion_tokens" if family == "openai" else "max_tokens"
        body[name] = min(request.max_tokens, facts.max_output)
    if request.tools:
        body["tools"] = [
            {
                "type": "function",
                "function": {"name": tool.name, "description": tool.description, "parameters": tool.schema},
            }
            for tool in request.tools
        ]
        if request.tool_choice is not None:
            body["tool_choice"] = _tool_choice(request.tool_choice)
    elif family != "openai" and any(message.tool_uses for message in request.messages):
        body["tools"] = []  # proxies to Anthropic want it with a history that holds calls; OpenAI refuses it
    body |= _reasoning(thinking_level(request.thinking, facts), facts, family, request.model)
    if request.output_schema is not None:
        body["response_format"] = _response_format(request.output_schema, family)
    if request.temperature is not None and facts.temperature:
        body["temperature"] = request.temperature
    if family == "openai":
        body["store"] = False
        body |= cache_hints(request, options)
    return WireRequest(path="/v1/chat/completions", headers=_headers(request), body=body)


def cache_hints(request: ModelRequest, options: WireOptions) -> JsonObject:
    """What tells OpenAI which requests share a beginning."""
    if not options.cache or not request.cache_key:
        return {}
    hints: JsonObject = {"prompt_cache_key": request.cache_key[:64]}
    if request.cache_long:
        hints["prompt_cache_retention"] = "24h"
    return hints


def routing_headers(request: ModelRequest) -> dict[str, str]:
    """What keeps the requests of a session together on their way."""
    key = (request.cache_key or "")[:64]
    if not key or not key.isascii() or not key.isprintable():
        return {}
    return {"session_id": key, "x-client-request-id": key}


def _headers(request: ModelRequest) -> dict[str, str]:
    headers = routing_headers(request)
    return {**headers, "x-session-affinity": headers["session_id"]} if headers else {}


def _tool_choice(choice: str) -> object:
    return choice if choice in ("none", "required") else {"type": "function", "function": {"name": choice}}


def _response_format(schema: JsonObject, family: Family) -> JsonObject:
    if family in ("deepseek", "zai"):  # JSON, but no schema: that stands in the system prompt
        return {"type": "json_object"}
    return {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": schema, "strict": is_strict(schema)},
    }


def _reasoning(level: ThinkingLevel, facts: ModelFacts, family: Family, model: str) -> JsonObject:
    """How to reason, said on every request: some models reason without end unless told how much."""
    if facts.thinking == "none":
        return {}
    off = level == "off"
    if family == "openrouter":
        return {"reasoning": {"enabled": False} if off else {"effort": level}}
    if facts.thinking != "effort":
        return {}  # Claude behind a proxy: the words for it are Messages' own
    graded = len(facts.levels) > 2
    effort = "none" if off else effort_of(level, model)
    if family == "deepseek":
        mode: JsonObject = {"thinking": {"type": "disabled" if off else "enabled"}}
        return mode if off or not graded else {**mode, "reasoning_effort": effort}
    if family == "zai":
        return {"thinking": {"type": "disabled"} if off else {"type": "enabled", "clear_thinking": False}}
    if family == "together" and not graded:
        return {"reasoning": {"enabled": not off}}
    if family == "groq" and not graded:
        return {"reasoning_effort": "none" if off else "default"}
    if "kimi-k2" in model.lower():
        return {"thinking": {"type": "disabled" if off else "enabled"}}
    return {"reasoning_effort": effort}


def effort_of(level: ThinkingLevel, model: str) -> str:
    """LEVEL as MODEL calls it: the highest of some is `max`."""
    return "max" if level == "xhigh" and re.search(r"kimi-k3|deepseek", model.lower()) else level


def _messages(request: ModelRequest, facts: ModelFacts, options: WireOptions, family: Family) -> list[JsonObject]:
    rules = Rules(
        model=request.model,
        images=facts.images,
        thinking=_replayed,
        redacted=False,
        call_id=_mistral_id if family == "mistral" else _call_id,
    )
    written: list[JsonObject] = []
    system = request.system
    if request.output_schema is not None and family in ("deepseek", "zai"):
        system = f"{system}\n\n{schema_instruction(request.output_schema)}".strip()
    if system.strip():
        role = "developer" if family == "openai" and facts.thinking != "none" else "system"
        written.append({"role": role, "content": system})
    needs_field = family == "deepseek" and facts.thinking != "none"
    for message in legal_history(request.messages, rules):
        if message.role == "assistant":
            written.append(_assistant(message, needs_field))
        else:
            written += _user(message, family)
    if options.cache and family == "openrouter" and "claude" in request.model.lower():
        _mark_cached(written)
    return written


def _replayed(block: Thinking) -> Thinking | Text | None:
    """Reasoning goes back in the member that it came in. What came in another dialect is text."""
    return block if block.field else Text(text=block.thinking)


def _call_id(call_id: str) -> str:
    return _NOT_IN_IDS.sub("_", call_id.partition("|")[0])[-40:] or "call"


def _mistral_id(call_id: str) -> str:
    """Mistral takes exactly nine letters and digits."""
    if re.fullmatch(r"[A-Za-z0-9]{9}", call_id):
        return call_id
    return hashlib.sha256(call_id.encode("utf-8", "replace")).hexdigest()[:9]


def _assistant(message: Message, needs_field: bool) -> JsonObject:
    text = "\n\n".join(block.text for block in message.content if isinstance(block, Text))
    written: JsonObject = {"role": "assistant", "content": text or None}
    for block in message.content:
        if isinstance(block, Thinking):
            _put_back(block, written)
    if needs_field and message.tool_uses:
        written.setdefault("reasoning_content", "")
    if calls := [_call(call) for call in message.tool_uses]:
        written["tool_calls"] = calls
    return written


def _put_back(block: Thinking, written: JsonObject) -> None:
    if block.field in REASONING_FIELDS:
        before = written.get(block.field)
        written[block.field] = before + block.thinking if isinstance(before, str) else block.thinking
        if block.signature and block.signature.startswith("["):
            written["reasoning_details"] = json.loads(block.signature)
    elif block.field == CONTENT:
        thinking = {"type": "thinking", "thinking": [{"type": "text", "text": block.thinking}]}
        text = written["content"]
        written["content"] = [thinking, {"type": "text", "text": text}] if text else [thinking]


def _call(call: ToolUse) -> JsonObject:
    arguments = json.dumps(call.input, ensure_ascii=False, separators=(",", ":"))
    written: JsonObject = {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    }
    if call.signature and call.signature.startswith("{"):
        written["extra_content"] = json.loads(call.signature)
    return written


def _user(message: Message, family: Family) -> list[JsonObject]:
    """The results of MESSAGE, each a message of its own, then one with all the rest and the results' images."""
    results = [block for block in message.content if isinstance(block, ToolOutput)]
    written: list[JsonObject] = [
        {"role": "tool", "tool_call_id": result.tool_use_id, "content": result.content or IMAGES_BELOW}
        for result in results
    ]
    parts = [_part(block) for block in message.content if isinstance(block, Text | Image)]
    for result in results:
        if result.images:
            parts.append({"type": "text", "text": f"Images of the result of {result.tool_use_id}:"})
            parts += [_part(image) for image in result.images]
    if not parts:
        return written
    if results and family == "mistral":  # takes no user's message right after a result
        written.append({"role": "assistant", "content": BRIDGE})
    return [*written, {"role": "user", "content": _plain(parts)}]


def _part(block: Text | Image) -> JsonObject:
    if isinstance(block, Text):
        return {"type": "text", "text": block.text}
    return {"type": "image_url", "image_url": {"url": f"data:{block.media_type};base64,{block.data}"}}


def _plain(parts: Sequence[JsonObject]) -> object:
    """PARTS, or only the text where there is just one: that is what everybody takes."""
    return parts[0]["text"] if len(parts) == 1 and parts[0]["type"] == "text" else list(parts)


def _mark_cached(written: list[JsonObject]) -> None:
    """OpenRouter passes Anthropic's marks on: one on the system prompt, one on the end."""
    for message in (written[0], written[-1]):
        content = message["content"]
        parts: list[JsonObject] = [{"type": "text", "text": content}] if isinstance(content, str) else []
        parts = parts or [dict(part) for part in content] if isinstance(content, list) else parts
        if parts:
            parts[-1]["cache_control"] = {"type": "ephemeral"}
            message["content"] = parts


CHAT: Final = Dialect(name="chat", encode=encode, decoder=ChatDecoder)
