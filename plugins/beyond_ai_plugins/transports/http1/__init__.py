"""The default transport: HTTP/1.1 on asyncio protocols and httptools, with a connection pool of its own."""

from collections.abc import Iterator

from beyond_ai import Component, Transport, hookimpl
from beyond_ai_plugins.transports.http1.pool import Http1Transport


@hookimpl
def beyond_transports() -> Iterator[Component[Transport]]:
    """Yield `http1`."""
    yield Component(
        name="http1",
        summary="HTTP/1.1 with pooled connections, in callbacks from socket to socket",
        create=lambda context: Http1Transport(context.upstream),
    )
