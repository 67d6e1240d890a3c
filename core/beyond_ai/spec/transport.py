"""Transports: carry one exchange to a provider and back, streaming both ways.

The relay opens an exchange with `Transport.open` and drives it through `UpstreamExchange`; the transport answers
through `UpstreamEvents`. Both are plain method calls in the event loop's thread: no task, queue or future stands
between the two sides on the byte path. Order of events for one exchange:

    connect_retry*  informational*  head  body*  end      a whole answer
    ... failed                                            at any point instead of the rest; nothing follows it

After `abort`, and after `end` or `failed`, the transport calls nothing more for that exchange.

    import asyncio
    from beyond_ai import Component, FailureStage, UpstreamFailure, hookimpl

    class Refused:
        def __init__(self, events):
            failure = UpstreamFailure(FailureStage.CONNECT, "egress is closed")
            self.answer = asyncio.get_running_loop().call_soon(events.upstream_failed, failure)
        def send(self, data): pass
        def send_end(self): pass
        def pause(self): pass
        def resume(self): pass
        def abort(self): self.answer.cancel()

    class Closed:
        def open(self, request, events): return Refused(events)
        async def aclose(self): pass

    @hookimpl
    def beyond_transports():
        yield Component(name="closed", summary="reaches nobody", create=lambda context: Closed())
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, runtime_checkable

from beyond_ai.spec.component import Component
from beyond_ai.spec.markers import hookspec

Headers = list[tuple[bytes, bytes]]
"""Name and value pairs in order, repeats included, names in the sender's spelling."""


@dataclass(slots=True)
class UpstreamRequest:
    """The head of one request to a provider.

    `target` is the path and query exactly as they go on the wire. `headers` holds end-to-end headers with `Host`
    among them, but no `content-length` or `transfer-encoding`: `content_length` (bytes) and `chunked` say how the
    body is framed, and a request with neither has none. `provider` labels metrics. `lines` is what `head_lines` makes
    of it, where the relay has that at hand from an earlier request; else empty.
    """

    provider: str
    method: bytes
    target: bytes
    headers: Headers
    host: str
    port: int
    tls: bool
    content_length: int | None
    chunked: bool
    lines: bytes = b""

    def framed(self, content_length: int | None) -> "UpstreamRequest":
        """The same head for a body of CONTENT_LENGTH bytes, or, for None, in chunks."""
        return UpstreamRequest(
            self.provider,
            self.method,
            self.target,
            self.headers,
            self.host,
            self.port,
            self.tls,
            content_length,
            content_length is None,
            self.lines,
        )


def head_lines(method: bytes, target: bytes, headers: Headers) -> bytes:
    """The request line and HEADERS as HTTP/1.1 has them, each with its line end: a head but for framing and its end."""
    return b"%b %b HTTP/1.1\r\n%b" % (method, target, b"".join([b"%b: %b\r\n" % header for header in headers]))


class FailureStage(Enum):
    """How far an exchange had come when it failed."""

    CONNECT = "connect"
    """no connection: name not found, refused, TLS failed, timed out; the provider has seen nothing"""
    SEND = "send"
    """connected, no answer yet, and the provider may have the request"""
    BODY = "body"
    """in the middle of the answer"""


@dataclass(frozen=True, slots=True)
class UpstreamFailure:
    """Why an exchange failed. `message` is for the log; it names no credential and no query.

    `error` is what was raised, where that is a defect and not a failure of the provider's: the relay logs it whole.
    """

    stage: FailureStage
    message: str
    timed_out: bool = False
    error: Exception | None = None


class UpstreamEvents(Protocol):
    """What the relay hears of an exchange."""

    def upstream_connect_retry(self) -> None:
        """Count one more attempt to connect."""

    def upstream_informational(self, status: int, headers: Headers) -> None:
        """Handle an interim response (1xx but 101)."""

    def upstream_head(self, status: int, reason: bytes, headers: Headers) -> None:
        """Handle the final response head. Headers come as received, framing headers included."""

    def upstream_body(self, data: bytes, framed: bytes = b"") -> None:
        """Handle the next bytes of the body, transfer coding removed, content coding kept.

        FRAMED may give the same DATA as one chunk of the chunked coding (RFC 9112, section 7.1, without extensions),
        where the provider sent it so: a client that gets chunks then gets this one.
        """

    def upstream_end(self) -> None:
        """Handle the proper end of the answer."""

    def upstream_failed(self, failure: UpstreamFailure) -> None:
        """Handle the end of an exchange that failed."""

    def upstream_pause(self) -> None:
        """Stop sending the body: the provider is slow, or not connected yet."""

    def upstream_resume(self) -> None:
        """Go on sending the body."""


class UpstreamExchange(Protocol):
    """What the relay may ask of an exchange that it opened."""

    def send(self, data: bytes) -> None:
        """Send the next DATA of the request body."""

    def send_end(self) -> None:
        """Say that the request body is complete. Not called for a request without a body."""

    def pause(self) -> None:
        """Stop reading the answer: the client is slow."""

    def resume(self) -> None:
        """Go on reading the answer."""

    def abort(self) -> None:
        """Give the exchange up at once; no event follows. Harmless after its end."""


@runtime_checkable
class Transport(Protocol):
    """Opens exchanges; one for the whole process, with its connection pool."""

    def open(self, request: UpstreamRequest, events: UpstreamEvents) -> UpstreamExchange:
        """Start an exchange and return at once.

        Connection attempts may be repeated; a request that a provider may have received never is. No event is
        delivered before this has returned, except `upstream_pause`.
        """
        ...

    async def aclose(self) -> None:
        """Close all idle connections and abort what is open."""
        ...


class TransportHooks:
    """The hook of the group `beyond_ai.transports`."""

    @hookspec
    def beyond_transports(self) -> Iterable[Component[Transport]]:  # type: ignore[empty-body]
        """Yield the transports that this plugin adds; `transport` in the configuration names the one to use."""
