"""The transport `httpx`: HTTP/2 over TLS, and the proxies of the environment (HTTP, HTTPS, SOCKS5).

It runs on httpcore, the engine below httpx's client: no cookie jar, no redirects, no headers of its own. Light to
import: the engine is loaded when the configuration chooses this transport.
"""

from collections.abc import Iterator

from beyond_ai import Component, Context, Transport, hookimpl


@hookimpl
def beyond_transports() -> Iterator[Component[Transport]]:
    """Yield `httpx`."""
    yield Component(
        name="httpx", summary="HTTP/2 over TLS, and proxies: HTTP(S)_PROXY, ALL_PROXY, SOCKS", create=_create
    )


def _create(context: Context) -> Transport:
    from beyond_ai_plugins.transports.httpx.transport import HttpxTransport

    return HttpxTransport(context.upstream)
