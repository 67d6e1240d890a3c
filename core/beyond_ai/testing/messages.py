"""Answers on the Anthropic Messages wire (https://docs.anthropic.com/en/api/messages)."""

from typing import Final

import orjson

from beyond_ai.testing.answer import Answer, JsonObject
from beyond_ai.testing.wire import Fields, json_response, sse, sse_frame

FINISH: Final = {"end": "end_turn"}
SIGNATURE: Final = "c2NyaXB0ZWQ="


def usage(answer: Answer, *, output_tokens: int | None = None) -> JsonObject:
    """The `usage` object; OUTPUT_TOKENS where fewer are counted than at the end."""
    return {
        "input_tokens": answer.input_tokens - answer.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": answer.cached_tokens,
        "output_tokens": answer.output_tokens if output_tokens is None else output_tokens,
        "service_tier": "standard",
    }


def body(answer: Answer) -> JsonObject:
    """A `message` object."""
    content: list[JsonObject] = []
    if answer.thinking:
        content.append({"type": "thinking", "thinking": answer.thinking, "signature": SIGNATURE})
    if answer.text:
        content.append({"type": "text", "text": answer.text})
    content += [
        {"type": "tool_use", "id": call.id, "name": call.name, "input": orjson.loads(call.arguments)}
        for call in answer.calls
    ]
    return {**envelope(answer), "content": content, "usage": usage(answer)}


def envelope(answer: Answer) -> JsonObject:
    """A `message` object without its content and usage."""
    return {
        "id": "msg_scripted",
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "stop_reason": FINISH.get(answer.reason, answer.reason),
        "stop_sequence": None,
    }


def block(index: int, opening: JsonObject, deltas: list[JsonObject]) -> list[JsonObject]:
    """The events of one content block."""
    return [
        {"type": "content_block_start", "index": index, "content_block": opening},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def blocks(answer: Answer) -> list[tuple[JsonObject, list[JsonObject]]]:
    """What opens each content block, and its deltas."""
    parts: list[tuple[JsonObject, list[JsonObject]]] = []
    if answer.thinking:
        thoughts: list[JsonObject] = [{"type": "thinking_delta", "thinking": piece} for piece in answer.thinking_pieces]
        thoughts.append({"type": "signature_delta", "signature": SIGNATURE})
        parts.append(({"type": "thinking", "thinking": "", "signature": ""}, thoughts))
    if answer.text:
        parts.append(({"type": "text", "text": ""}, [{"type": "text_delta", "text": piece} for piece in answer.pieces]))
    for call in answer.calls:
        arguments: list[JsonObject] = [{"type": "input_json_delta", "partial_json": piece} for piece in call.pieces]
        parts.append(({"type": "tool_use", "id": call.id, "name": call.name, "input": {}}, arguments))
    return parts


def frames(answer: Answer) -> list[bytes]:
    """The frames of a stream, each with its event name, a `ping` among them."""
    whole = envelope(answer)
    opening = {**whole, "content": [], "stop_reason": None, "usage": usage(answer, output_tokens=1)}
    events: list[JsonObject] = [{"type": "message_start", "message": opening}, {"type": "ping"}]
    for index, (start, deltas) in enumerate(blocks(answer)):
        events += block(index, start, deltas)
    events += [
        {
            "type": "message_delta",
            "delta": {"stop_reason": whole["stop_reason"], "stop_sequence": None},
            "usage": {"output_tokens": answer.output_tokens},
        },
        {"type": "message_stop"},
    ]
    return [sse_frame(event, event=str(event["type"])) for event in events]


def error_event(message: str, *, kind: str = "overloaded_error") -> bytes:
    """The frame of an error that breaks a stream off."""
    return sse_frame({"type": "error", "error": {"type": kind, "message": message}}, event="error")


def response(answer: Answer, headers: Fields = ()) -> bytes:
    """The whole HTTP response, not streamed."""
    return json_response(body(answer), headers=headers)


def stream(answer: Answer, headers: Fields = ()) -> bytes:
    """The whole HTTP response, streamed, a chunk a frame."""
    return sse(frames(answer), headers)


def error(status: int, message: str, *, kind: str = "invalid_request_error", headers: Fields = ()) -> bytes:
    """An error response; KIND is the inner `type`."""
    return json_response(
        {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_scripted"},
        status=status,
        headers=headers,
    )
