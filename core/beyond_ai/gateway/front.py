"""What the client's listener serves that is not a provider's: who answers here, and a 404 for all else."""

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

import orjson

from beyond_ai.gateway.rejection import UNKNOWN_PROVIDER, Rejection
from beyond_ai.gateway.request import Request
from beyond_ai.spec.provider import Dialect

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[Message, Receive, Send], Awaitable[None]]


def front(version: str, providers: Sequence[str], rejected: Callable[[Rejection, str, Request], None]) -> Asgi:
    """The ASGI application behind the relay. `GET /` and `HEAD /` name the program, its version and the providers."""
    index = orjson.dumps({"name": "beyond-ai", "version": version, "providers": sorted(providers)})

    async def application(scope: Message, _receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request_id: str = scope["state"]["request_id"]
        status, body, extra = 200, index, []
        if scope["path"] != "/" or scope["method"] not in ("GET", "HEAD"):
            rejected(UNKNOWN_PROVIDER, request_id, scope["state"]["request"])
            dialect = Dialect.ANTHROPIC if scope["path"].endswith("/messages") else Dialect.OPENAI
            status, body = UNKNOWN_PROVIDER.status, UNKNOWN_PROVIDER.body(dialect)
            extra = [(b"x-beyond-error-source", b"gateway")]
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"x-beyond-request-id", request_id.encode("ascii")),
            *extra,
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return application
