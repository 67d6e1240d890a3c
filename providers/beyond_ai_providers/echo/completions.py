"""The wire `/completions`, OpenAI's older one: https://platform.openai.com/docs/api-reference/completions."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from beyond_ai_providers.echo.answer import Answer, said
from beyond_ai_providers.echo.chat import StreamOptions, finish_reason, usage_of
from beyond_ai_providers.echo.parts import Limit, lowest
from beyond_ai_providers.echo.reply import Body, Call, Reply, data_event, json_reply, stream_reply
from beyond_ai_providers.echo.tokens import count


class CompletionRequest(Body):
    """The request body; of the prompts that the wire allows, one string."""

    model: str = Field(min_length=1)
    prompt: str
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Limit | None = None
    n: Literal[1] | None = None


def reply(call: Call) -> Reply:
    """Answer one request."""
    request = call.read(CompletionRequest)
    given = said(f"You said: {request.prompt}", lowest(call.limit, request.max_tokens))
    usage = usage_of(count(request.prompt), given)
    if request.stream:
        shown = usage if request.stream_options and request.stream_options.include_usage else None
        return stream_reply(chunks(call, request.model, given, shown))
    return json_reply({**piece(call, request.model, given.text, finish_reason(given)), "usage": usage})


def chunks(call: Call, model: str, given: Answer, usage: dict[str, object] | None) -> Iterator[bytes]:
    """The events of a streamed answer; USAGE is None where the client did not ask for it."""
    blank: dict[str, object] = {"usage": None} if usage else {}
    for token in given.tokens:
        yield data_event({**piece(call, model, token, None), **blank})
    yield data_event({**piece(call, model, "", finish_reason(given)), **blank})
    if usage:
        yield data_event({**piece(call, model, "", None), "choices": [], "usage": usage})
    yield b"data: [DONE]\n\n"


def piece(call: Call, model: str, text: str, finish: str | None) -> dict[str, object]:
    """A completion object with TEXT in its only choice; whole answers and chunks share one shape."""
    choice = {"text": text, "index": 0, "logprobs": None, "finish_reason": finish}
    return {
        "id": f"cmpl-{call.id}",
        "object": "text_completion",
        "created": call.time,
        "model": model,
        "choices": [choice],
    }
