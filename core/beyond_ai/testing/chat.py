"""Answers on the OpenAI Chat Completions wire (https://platform.openai.com/docs/api-reference/chat)."""

from typing import Final

from beyond_ai.testing.answer import Answer, JsonObject
from beyond_ai.testing.wire import Fields, json_response, sse, sse_frame

DONE: Final = b"data: [DONE]\n\n"
FINISH: Final = {"end": "stop", "tool_use": "tool_calls", "max_tokens": "length", "refusal": "content_filter"}


def usage(answer: Answer) -> JsonObject:
    """The `usage` object."""
    return {
        "prompt_tokens": answer.input_tokens,
        "completion_tokens": answer.output_tokens,
        "total_tokens": answer.input_tokens + answer.output_tokens,
        "prompt_tokens_details": {"cached_tokens": answer.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": answer.reasoning_tokens, "audio_tokens": 0},
    }


def body(answer: Answer) -> JsonObject:
    """A `chat.completion` object."""
    message: JsonObject = {"role": "assistant", "content": answer.text, "refusal": None, "annotations": []}
    if answer.thinking:
        message |= {"reasoning_content": answer.thinking}
    if answer.tool_calls:
        calls = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in answer.calls
        ]
        message |= {"content": answer.text or None, "tool_calls": calls}
    return {
        "id": "chatcmpl-scripted",
        "object": "chat.completion",
        "created": 1760000000,
        "model": answer.model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason(answer)}],
        "usage": usage(answer),
        "service_tier": "default",
        "system_fingerprint": "fp_scripted",
    }


def finish_reason(answer: Answer) -> str:
    """Why it ends, in this wire's word."""
    return FINISH.get(answer.reason, answer.reason)


def deltas(answer: Answer) -> list[JsonObject]:
    """What the `delta` of each chunk holds, in order; the last, which carries the finish reason, is empty."""
    parts: list[JsonObject] = [{"role": "assistant", "content": None if answer.tool_calls else ""}]
    parts += [{"reasoning_content": piece} for piece in answer.thinking_pieces]
    parts += [{"content": piece} for piece in answer.pieces]
    for index, call in enumerate(answer.calls):
        function = {"name": call.name, "arguments": ""}
        parts.append({"tool_calls": [{"index": index, "id": call.id, "type": "function", "function": function}]})
        parts += [{"tool_calls": [{"index": index, "function": {"arguments": piece}}]} for piece in call.pieces]
    return [*parts, {}]


def frames(answer: Answer, *, include_usage: bool = True) -> list[bytes]:
    """The frames of a stream; INCLUDE_USAGE adds the chunk that `stream_options.include_usage` asks for."""
    common = {
        "id": "chatcmpl-scripted",
        "object": "chat.completion.chunk",
        "created": 1760000000,
        "model": answer.model,
        "system_fingerprint": "fp_scripted",
    }
    finish = finish_reason(answer)
    sent = []
    for delta in deltas(answer):
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None if delta else finish}
        sent.append(sse_frame({**common, "choices": [choice]} | ({"usage": None} if include_usage else {})))
    if include_usage:
        sent.append(sse_frame({**common, "choices": [], "usage": usage(answer)}))
    return [*sent, DONE]


def error_event(message: str, *, kind: str = "server_error") -> bytes:
    """The frame of an error that breaks a stream off."""
    return sse_frame({"error": {"message": message, "type": kind, "param": None, "code": kind}})


def response(answer: Answer, headers: Fields = ()) -> bytes:
    """The whole HTTP response, not streamed."""
    return json_response(body(answer), headers=headers)


def stream(answer: Answer, headers: Fields = (), *, include_usage: bool = True) -> bytes:
    """The whole HTTP response, streamed, a chunk a frame."""
    return sse(frames(answer, include_usage=include_usage), headers)


def error(
    status: int, message: str, *, kind: str = "invalid_request_error", code: str | None = None, headers: Fields = ()
) -> bytes:
    """An error response; KIND is its `type`."""
    return json_response(
        {"error": {"message": message, "type": kind, "param": None, "code": code}}, status=status, headers=headers
    )
