"""Answers on the Anthropic Messages wire (https://docs.anthropic.com/en/api/messages)."""

import orjson

from beyond_ai.testing.answer import Answer, JsonObject
from beyond_ai.testing.wire import Fields, json_response, sse, sse_frame


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
    content: list[JsonObject] = [{"type": "text", "text": answer.text}] if answer.text else []
    if answer.tool_call is not None:
        call = answer.tool_call
        content.append({"type": "tool_use", "id": call.id, "name": call.name, "input": orjson.loads(call.arguments)})
    return {
        "id": "msg_scripted",
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "content": content,
        "stop_reason": "end_turn" if answer.tool_call is None else "tool_use",
        "stop_sequence": None,
        "usage": usage(answer),
    }


def block(index: int, opening: JsonObject, deltas: list[JsonObject]) -> list[JsonObject]:
    """The events of one content block."""
    return [
        {"type": "content_block_start", "index": index, "content_block": opening},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def frames(answer: Answer) -> list[bytes]:
    """The frames of a stream, each with its event name, a `ping` among them."""
    whole = body(answer)
    opening = {**whole, "content": [], "stop_reason": None, "usage": usage(answer, output_tokens=1)}
    events: list[JsonObject] = [{"type": "message_start", "message": opening}, {"type": "ping"}]
    index = 0
    if answer.text:
        deltas: list[JsonObject] = [{"type": "text_delta", "text": piece} for piece in answer.pieces]
        events += block(index, {"type": "text", "text": ""}, deltas)
        index += 1
    if answer.tool_call is not None:
        call = answer.tool_call
        start: JsonObject = {"type": "tool_use", "id": call.id, "name": call.name, "input": {}}
        events += block(
            index, start, [{"type": "input_json_delta", "partial_json": part} for part in answer.argument_pieces]
        )
    events += [
        {
            "type": "message_delta",
            "delta": {"stop_reason": whole["stop_reason"], "stop_sequence": None},
            "usage": {"output_tokens": answer.output_tokens},
        },
        {"type": "message_stop"},
    ]
    return [sse_frame(event, event=str(event["type"])) for event in events]


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
