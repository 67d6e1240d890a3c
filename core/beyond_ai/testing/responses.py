"""Answers on the OpenAI Responses wire (https://platform.openai.com/docs/api-reference/responses)."""

from dataclasses import dataclass
from typing import Final

from beyond_ai.testing.answer import Answer, JsonObject, ToolCall
from beyond_ai.testing.wire import Fields, json_response, sse, sse_frame

INCOMPLETE: Final = {"max_tokens": "max_output_tokens", "refusal": "content_filter"}


@dataclass(frozen=True, slots=True)
class Item:
    """An output item: as it is announced, the events of its content, and as it is in the end."""

    started: JsonObject
    events: list[JsonObject]
    done: JsonObject


def usage(answer: Answer) -> JsonObject:
    """The `usage` object."""
    return {
        "input_tokens": answer.input_tokens,
        "input_tokens_details": {"cached_tokens": answer.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": answer.output_tokens,
        "output_tokens_details": {"reasoning_tokens": answer.reasoning_tokens},
        "total_tokens": answer.input_tokens + answer.output_tokens,
    }


def items(answer: Answer) -> list[Item]:
    """The output items in order: reasoning, a message, function calls."""
    parts = [reasoning(answer)] if answer.thinking else []
    if answer.text:
        parts.append(message(answer, len(parts)))
    for number, call in enumerate(answer.calls, start=1):
        parts.append(function_call(call, f"fc_scripted_{number}", len(parts)))
    return parts


def reasoning(answer: Answer) -> Item:
    """The reasoning, with its summary."""
    common: JsonObject = {"type": "reasoning", "id": "rs_scripted", "encrypted_content": "c2NyaXB0ZWQ="}
    place: JsonObject = {"item_id": "rs_scripted", "output_index": 0, "summary_index": 0}
    part: JsonObject = {"type": "summary_text", "text": answer.thinking}
    kind = "response.reasoning_summary"
    events: list[JsonObject] = [
        {"type": f"{kind}_part.added", **place, "part": {**part, "text": ""}},
        *({"type": f"{kind}_text.delta", **place, "delta": piece} for piece in answer.thinking_pieces),
        {"type": f"{kind}_text.done", **place, "text": answer.thinking},
        {"type": f"{kind}_part.done", **place, "part": part},
    ]
    return Item({**common, "summary": []}, events, {**common, "summary": [part]})


def message(answer: Answer, index: int) -> Item:
    """The text, as the output item INDEX."""
    common: JsonObject = {"type": "message", "id": "msg_scripted", "role": "assistant"}
    place: JsonObject = {"item_id": "msg_scripted", "output_index": index, "content_index": 0}
    part: JsonObject = {"type": "output_text", "text": answer.text, "annotations": [], "logprobs": []}
    kind = "response.output_text"
    events: list[JsonObject] = [
        {"type": "response.content_part.added", **place, "part": {**part, "text": ""}},
        *({"type": f"{kind}.delta", **place, "delta": piece, "logprobs": []} for piece in answer.pieces),
        {"type": f"{kind}.done", **place, "text": answer.text, "logprobs": []},
        {"type": "response.content_part.done", **place, "part": part},
    ]
    return Item(
        {**common, "status": "in_progress", "content": []}, events, {**common, "status": "completed", "content": [part]}
    )


def function_call(call: ToolCall, item_id: str, index: int) -> Item:
    """CALL, as the output item INDEX."""
    common: JsonObject = {"type": "function_call", "id": item_id, "call_id": call.id, "name": call.name}
    place: JsonObject = {"item_id": item_id, "output_index": index}
    kind = "response.function_call_arguments"
    events: list[JsonObject] = [
        *({"type": f"{kind}.delta", **place, "delta": piece} for piece in call.pieces),
        {"type": f"{kind}.done", **place, "name": call.name, "arguments": call.arguments},
    ]
    return Item(
        {**common, "arguments": "", "status": "in_progress"},
        events,
        {**common, "arguments": call.arguments, "status": "completed"},
    )


def body(answer: Answer, *, started: bool = False) -> JsonObject:
    """A `response` object; STARTED, as `response.created` announces it, without output and usage."""
    reason = INCOMPLETE.get(answer.reason, answer.reason)
    complete = answer.reason in ("end", "tool_use")
    status = "completed" if complete else "incomplete"
    return {
        "id": "resp_scripted",
        "object": "response",
        "created_at": 1760000000,
        "status": "in_progress" if started else status,
        "error": None,
        "incomplete_details": None if started or complete else {"reason": reason},
        "instructions": None,
        "metadata": {},
        "model": answer.model,
        "output": [] if started else [item.done for item in items(answer)],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": None if started else usage(answer),
    }


def frames(answer: Answer) -> list[bytes]:
    """The frames of a stream, each with its event name; there is no `[DONE]`."""
    whole = body(answer)
    events: list[JsonObject] = [
        {"type": "response.created", "response": body(answer, started=True)},
        {"type": "response.in_progress", "response": body(answer, started=True)},
    ]
    for index, item in enumerate(items(answer)):
        events.append({"type": "response.output_item.added", "output_index": index, "item": item.started})
        events += item.events
        events.append({"type": "response.output_item.done", "output_index": index, "item": item.done})
    events.append({"type": f"response.{whole['status']}", "response": whole})
    return [sse_frame({**event, "sequence_number": n}, event=str(event["type"])) for n, event in enumerate(events)]


def error_event(message: str, *, kind: str = "server_error") -> bytes:
    """The frame of an error that breaks a stream off."""
    error = {"type": kind, "code": kind, "message": message, "param": None}
    return sse_frame({"type": "error", "sequence_number": 2, "error": error}, event="error")


def response(answer: Answer, headers: Fields = ()) -> bytes:
    """The whole HTTP response, not streamed."""
    return json_response(body(answer), headers=headers)


def stream(answer: Answer, headers: Fields = ()) -> bytes:
    """The whole HTTP response, streamed, a chunk a frame."""
    return sse(frames(answer), headers)
