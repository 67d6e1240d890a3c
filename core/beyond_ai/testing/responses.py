"""Answers on the OpenAI Responses wire (https://platform.openai.com/docs/api-reference/responses)."""

from beyond_ai.testing.answer import Answer, JsonObject
from beyond_ai.testing.wire import Fields, json_response, sse, sse_frame


def usage(answer: Answer) -> JsonObject:
    """The `usage` object."""
    return {
        "input_tokens": answer.input_tokens,
        "input_tokens_details": {"cached_tokens": answer.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": answer.output_tokens,
        "output_tokens_details": {"reasoning_tokens": answer.reasoning_tokens},
        "total_tokens": answer.input_tokens + answer.output_tokens,
    }


def item(answer: Answer, *, started: bool = False) -> JsonObject:
    """The one output item: a message or a function call; STARTED, as it is announced, without its content."""
    status = "in_progress" if started else "completed"
    if answer.tool_call is not None:
        call = answer.tool_call
        arguments = "" if started else call.arguments
        return {
            "type": "function_call",
            "id": "fc_scripted",
            "call_id": call.id,
            "name": call.name,
            "arguments": arguments,
            "status": status,
        }
    content = [] if started else [{"type": "output_text", "text": answer.text, "annotations": [], "logprobs": []}]
    return {"type": "message", "id": "msg_scripted", "role": "assistant", "status": status, "content": content}


def body(answer: Answer, *, started: bool = False) -> JsonObject:
    """A `response` object; STARTED, as `response.created` announces it, without output and usage."""
    return {
        "id": "resp_scripted",
        "object": "response",
        "created_at": 1760000000,
        "status": "in_progress" if started else "completed",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": answer.model,
        "output": [] if started else [item(answer)],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": None if started else usage(answer),
    }


def content_events(answer: Answer) -> list[JsonObject]:
    """The events between the item's announcement and its completion."""
    if answer.tool_call is not None:
        place: JsonObject = {"item_id": "fc_scripted", "output_index": 0}
        kind = "response.function_call_arguments"
        done = {"type": f"{kind}.done", **place, "name": answer.tool_call.name, "arguments": answer.tool_call.arguments}
        return [*({"type": f"{kind}.delta", **place, "delta": part} for part in answer.argument_pieces), done]
    place = {"item_id": "msg_scripted", "output_index": 0, "content_index": 0}
    empty = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    kind = "response.output_text"
    return [
        {"type": "response.content_part.added", **place, "part": empty},
        *({"type": f"{kind}.delta", **place, "delta": piece, "logprobs": []} for piece in answer.pieces),
        {"type": f"{kind}.done", **place, "text": answer.text, "logprobs": []},
        {"type": "response.content_part.done", **place, "part": {**empty, "text": answer.text}},
    ]


def frames(answer: Answer) -> list[bytes]:
    """The frames of a stream, each with its event name; there is no `[DONE]`."""
    events: list[JsonObject] = [
        {"type": "response.created", "response": body(answer, started=True)},
        {"type": "response.in_progress", "response": body(answer, started=True)},
        {"type": "response.output_item.added", "output_index": 0, "item": item(answer, started=True)},
        *content_events(answer),
        {"type": "response.output_item.done", "output_index": 0, "item": item(answer)},
        {"type": "response.completed", "response": body(answer)},
    ]
    return [sse_frame({**event, "sequence_number": n}, event=str(event["type"])) for n, event in enumerate(events)]


def response(answer: Answer, headers: Fields = ()) -> bytes:
    """The whole HTTP response, not streamed."""
    return json_response(body(answer), headers=headers)


def stream(answer: Answer, headers: Fields = ()) -> bytes:
    """The whole HTTP response, streamed, a chunk a frame."""
    return sse(frames(answer), headers)
