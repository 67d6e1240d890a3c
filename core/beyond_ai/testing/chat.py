"""Answers on the OpenAI Chat Completions wire (https://platform.openai.com/docs/api-reference/chat)."""

from beyond_ai.testing.answer import Answer, JsonObject
from beyond_ai.testing.wire import Fields, json_response, sse, sse_frame

DONE = b"data: [DONE]\n\n"


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
    if answer.tool_call is not None:
        call = answer.tool_call
        function = {"name": call.name, "arguments": call.arguments}
        message |= {"content": None, "tool_calls": [{"id": call.id, "type": "function", "function": function}]}
    finish = "stop" if answer.tool_call is None else "tool_calls"
    return {
        "id": "chatcmpl-scripted",
        "object": "chat.completion",
        "created": 1760000000,
        "model": answer.model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}],
        "usage": usage(answer),
        "service_tier": "default",
        "system_fingerprint": "fp_scripted",
    }


def deltas(answer: Answer) -> list[JsonObject]:
    """What the `delta` of each chunk holds, in order; the last, which carries the finish reason, is empty."""
    if answer.tool_call is None:
        words: list[JsonObject] = [{"content": piece} for piece in answer.pieces]
        return [{"role": "assistant", "content": ""}, *words, {}]
    call = answer.tool_call
    opening = {"index": 0, "id": call.id, "type": "function", "function": {"name": call.name, "arguments": ""}}
    parts: list[JsonObject] = [
        {"tool_calls": [{"index": 0, "function": {"arguments": part}}]} for part in answer.argument_pieces
    ]
    return [{"role": "assistant", "content": None, "tool_calls": [opening]}, *parts, {}]


def frames(answer: Answer, *, include_usage: bool = True) -> list[bytes]:
    """The frames of a stream; INCLUDE_USAGE adds the chunk that `stream_options.include_usage` asks for."""
    common = {
        "id": "chatcmpl-scripted",
        "object": "chat.completion.chunk",
        "created": 1760000000,
        "model": answer.model,
        "system_fingerprint": "fp_scripted",
    }
    finish = "stop" if answer.tool_call is None else "tool_calls"
    sent = []
    for delta in deltas(answer):
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None if delta else finish}
        sent.append(sse_frame({**common, "choices": [choice]} | ({"usage": None} if include_usage else {})))
    if include_usage:
        sent.append(sse_frame({**common, "choices": [], "usage": usage(answer)}))
    return [*sent, DONE]


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
