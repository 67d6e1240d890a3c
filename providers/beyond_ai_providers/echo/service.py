"""Which wire a request speaks, by the end of its path, and the answer in that wire whatever the request holds."""

from collections.abc import Callable
from typing import Final

from beyond_ai import Headers
from beyond_ai_providers.echo import chat, completions, embeddings, messages, models, responses
from beyond_ai_providers.echo.reply import Call, Refusal, Reply, anthropic_error, openai_error

POST: Final[tuple[tuple[str, Callable[[Call], Reply]], ...]] = (
    ("/chat/completions", chat.reply),
    ("/completions", completions.reply),
    ("/responses", responses.reply),
    ("/responses/input_tokens", responses.input_tokens),
    ("/messages", messages.reply),
    ("/messages/count_tokens", messages.count_tokens),
    ("/embeddings", embeddings.reply),
)
"""Path endings and who answers them; the first that fits is it."""

MAX_BODY: Final = 100 * 1024 * 1024
"""Bytes of request body that are read: the gateway's own limit."""


def serve(method: str, target: str, headers: Headers, call: Call) -> Reply:
    """The answer to one request; TARGET is the path with its query."""
    path = target.partition("?")[0]
    anthropic = speaks_anthropic(path, headers)
    try:
        reply = _served(method, path, call, anthropic=anthropic)
    except Refusal as refusal:
        reply = _refused(refusal, call, anthropic=anthropic)
    return _finished(reply, method, call, anthropic=anthropic)


def too_large(method: str, target: str, headers: Headers, call: Call) -> Reply:
    """The answer to a request whose body is larger than `MAX_BODY`."""
    anthropic = speaks_anthropic(target.partition("?")[0], headers)
    refusal = Refusal(413, f"the request body is larger than {MAX_BODY} bytes")
    return _finished(_refused(refusal, call, anthropic=anthropic), method, call, anthropic=anthropic)


def speaks_anthropic(path: str, headers: Headers) -> bool:
    """Whether the client expects Anthropic's shapes: by the path, and on `/models` by the header only it sends."""
    if path.endswith("/models"):
        return any(name.lower() == b"anthropic-version" for name, _ in headers)
    return "messages" in path.split("/")


def _served(method: str, path: str, call: Call, *, anthropic: bool) -> Reply:
    if method == "POST":
        for ending, answer in POST:
            if path.endswith(ending):
                return answer(call)
    elif method in {"GET", "HEAD"} and path.endswith("/models"):
        return models.anthropic_models() if anthropic else models.openai_models()
    raise Refusal(404, f"echo does not serve {method} {path[:200]}", code="unknown_url")


def _refused(refusal: Refusal, call: Call, *, anthropic: bool) -> Reply:
    return anthropic_error(refusal, f"req_{call.id}") if anthropic else openai_error(refusal)


def _finished(reply: Reply, method: str, call: Call, *, anthropic: bool) -> Reply:
    """REPLY with the request's id in the provider family's header, and without a body where there must be none."""
    name = b"request-id" if anthropic else b"x-request-id"
    headers = [*reply.headers, (name, b"req_" + call.id.encode())]
    return Reply(reply.status, headers, () if method == "HEAD" else reply.pieces)
