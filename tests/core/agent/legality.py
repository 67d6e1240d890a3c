"""What each wire takes: a checker of the bodies that dialects write.

Each function raises AssertionError for a body that a provider would refuse: roles that do not alternate, a call without
its result, empty content, ids out of shape, members that are the agent's own.
"""

import json
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

Body = Mapping[str, Any]

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
INTERNAL = ("model_id", "stop_reason", "error_message", "malformed", "aborted", "tool_use_ids", "media_types")


def assert_legal(dialect: str, body: Body) -> None:
    """Raise AssertionError for a BODY that the wire of DIALECT does not take."""
    {"messages": legal_messages, "chat": legal_chat, "responses": legal_responses}[dialect](body)
    json.dumps(body).encode()
    assert not _members(body) & set(INTERNAL), "a member of the agent's own is on the wire"


def legal_messages(body: Body) -> None:
    """Anthropic's Messages."""
    messages = body["messages"]
    _alternate([message["role"] for message in messages])
    used: set[str] = set()
    waiting: list[str] = []
    for message in messages:
        blocks = message["content"]
        assert blocks, "a message is empty"
        assert set(message) == {"role", "content"}
        answered = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        assert answered == waiting, "every call has its result in the next message, in order, and nothing else has one"
        assert all(block["type"] == "tool_result" for block in blocks[: len(answered)]), "results come first"
        waiting = []
        for block in blocks:
            _anthropic_block(block, message["role"])
            if block["type"] == "tool_use":
                assert block["id"] not in used, "an id is used twice"
                used.add(block["id"])
                waiting.append(block["id"])
    assert not waiting
    tools = body.get("tools")
    assert tools is None or tools, "no tools at all, rather than an empty list"
    assert body["max_tokens"] > 0
    thinking = body.get("thinking", {})
    if thinking.get("type") == "enabled":
        assert 1024 <= thinking["budget_tokens"] < body["max_tokens"]
    if thinking.get("type") in ("enabled", "adaptive"):
        assert "temperature" not in body
        assert body.get("tool_choice", {"type": "auto"})["type"] in ("auto", "none")


def _anthropic_block(block: Body, role: str) -> None:
    kind = block["type"]
    allowed = {
        "user": ("text", "image", "tool_result"),
        "assistant": ("text", "thinking", "redacted_thinking", "tool_use"),
    }
    assert kind in allowed[role], f"{kind} in a message of {role}"
    if kind == "text":
        assert block["text"].strip(), "a blank text"
    elif kind == "thinking":
        assert block["signature"], "reasoning without a signature"
    elif kind == "redacted_thinking":
        assert block["data"]
    elif kind == "tool_use":
        assert NAME.fullmatch(block["id"])
        assert NAME.fullmatch(block["name"])
        assert isinstance(block["input"], dict)
    elif kind == "tool_result":
        parts = block["content"] if isinstance(block["content"], list) else []
        assert block["content"], "an empty result"
        assert not (block.get("is_error") and parts), "a result that is an error holds only text"


def legal_chat(body: Body) -> None:
    """OpenAI's Chat Completions, and the stricter among those who speak it."""
    messages = list(body["messages"])
    assert all(message["role"] not in ("system", "developer") for message in messages[1:])
    if messages[0]["role"] in ("system", "developer"):
        assert messages.pop(0)["content"].strip()
    roles = [message["role"] for message in messages if message["role"] != "tool"]
    assert messages[0]["role"] == "user", "the user begins"
    assert messages[-1]["role"] in ("user", "tool"), "the assistant is to answer"
    waiting: list[str] = []
    before = ""
    for message in messages:
        role = message["role"]
        if role == "tool":
            assert message["tool_call_id"] in waiting, "a result without a call"
            waiting.remove(message["tool_call_id"])
            parts = message["content"]
            assert parts, "an empty result"
            assert isinstance(parts, str) or all(part["type"] == "text" for part in parts), "a result holds only text"
            before = role
            continue
        assert not waiting, "a call without a result"
        assert role != before, "two messages of one role in a row"
        before = role
        if role == "user":
            _chat_content(message["content"])
            continue
        calls = message.get("tool_calls")
        assert calls is None or calls, "no calls at all, rather than an empty list"
        assert message["content"] or calls, "an empty answer"
        for call in calls or ():
            assert NAME.fullmatch(call["id"])
            assert len(call["id"]) <= 40
            assert NAME.fullmatch(call["function"]["name"])
            assert isinstance(json.loads(call["function"]["arguments"]), dict)
            assert call["id"] not in waiting, "an id is used twice"
            waiting.append(call["id"])
    assert not waiting
    assert roles


def _chat_content(content: object) -> None:
    assert content
    if isinstance(content, str):
        assert content.strip()
        return
    assert isinstance(content, list)
    for part in content:
        assert part["type"] in ("text", "image_url")
        assert part["type"] != "text" or part["text"].strip()
        assert part["type"] != "image_url" or part["image_url"]["url"].startswith("data:")


def legal_responses(body: Body) -> None:
    """OpenAI's Responses."""
    items = [item for item in body["input"] if item.get("role") not in ("system", "developer")]
    assert items
    assert items[0].get("role") == "user", "the user begins"
    waiting: list[str] = []
    ids: list[str] = []
    for position, item in enumerate(items):
        kind = item.get("type", "message")
        if kind == "reasoning":
            following = items[position + 1] if position + 1 < len(items) else {}
            ours = following.get("type") in ("reasoning", "function_call") or following.get("role") == "assistant"
            assert ours, "reasoning that nothing follows"
            assert item["encrypted_content"]
        elif kind == "function_call":
            assert len(item["call_id"]) <= 64
            assert item["call_id"] not in ids, "an id is used twice"
            ids.append(item["call_id"])
            waiting.append(item["call_id"])
            assert NAME.fullmatch(item["name"])
            assert isinstance(json.loads(item["arguments"]), dict)
            assert len(item.get("id", "fc_")) <= 64
            assert item.get("id", "fc_").startswith("fc_")
        elif kind == "function_call_output":
            assert item["call_id"] in waiting, "a result without a call"
            waiting.remove(item["call_id"])
            assert item["output"]
        else:
            _responses_message(item)
            assert item["role"] == "assistant" or not waiting, "a call without a result"
    assert not waiting
    last = items[-1]
    assert last.get("role") == "user" or last.get("type") == "function_call_output", "the assistant is to answer"
    assert body["store"] is False


def _responses_message(item: Body) -> None:
    assert item["role"] in ("user", "assistant")
    assert item["content"]
    assert isinstance(item["content"], list)
    for part in item["content"]:
        if item["role"] == "assistant":
            assert part["type"] == "output_text"
            assert len(item["id"]) <= 64
        else:
            assert part["type"] in ("input_text", "input_image")
        assert part["type"] == "input_image" or part["text"].strip()


def _alternate(roles: Sequence[str]) -> None:
    assert roles
    assert roles[0] == "user", "the user begins"
    assert roles[-1] == "user", "the assistant is to answer"
    assert all(one != other for one, other in pairwise(roles)), "two of one role in a row"


def _members(value: object) -> set[str]:
    """The names of all members within VALUE, except in what models and tools said, which may hold any."""
    if isinstance(value, Mapping):
        names = set(value)
        for name, inner in value.items():
            if name not in ("input", "parameters", "input_schema", "schema") or isinstance(inner, list):
                names |= _members(inner)
        return names
    if isinstance(value, list):
        return set().union(*map(_members, value)) if value else set()
    return set()
