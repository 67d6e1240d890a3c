"""The client's side of a connection: a uvicorn HTTP protocol class that relays below ASGI.

uvicorn owns sockets, TLS, signals and life cycle, and makes one `ClientConnection` for each connection (its `http`
setting). httptools parses. A request that is for a provider becomes an `Exchange`; anything else falls through to the
ASGI application. Requests are answered one at a time and in order: what a client sends ahead is held, unread beyond
one buffer, until its turn.
"""

import asyncio
import logging
import select
import socket
import struct
import time
import traceback
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

import httptools
from uvicorn.config import Config
from uvicorn.server import ServerState

from beyond_ai.gateway import rejection
from beyond_ai.gateway.admission import Ticket
from beyond_ai.gateway.answer import whole_refusal
from beyond_ai.gateway.exchange import Exchange
from beyond_ai.gateway.fallthrough import AsgiExchange
from beyond_ai.gateway.gateway import Gateway
from beyond_ai.gateway.headers import ResponseHead, header_lines
from beyond_ai.gateway.known_head import KnownHead, known_head
from beyond_ai.gateway.rejection import MAX_BODY, Rejection
from beyond_ai.gateway.request import Request, origin_form
from beyond_ai.spec.auth import CannotVerify, Identity, InvalidCredential
from beyond_ai.spec.provider import Dialect
from beyond_ai.spec.transport import Headers

_log = logging.getLogger(__name__)

MAX_HEAD: Final = 65_536
"""Bytes of a request head."""
MAX_DISCARD: Final = 1_048_576
"""Bytes of a refused request's body that are read so that the connection can be used again."""
HEAD_TIMEOUT: Final = 30.0
"""Seconds from the first byte of a request head to its last."""
BODY_TIMEOUT: Final = 60.0
"""Seconds between two reads of a request body."""
MAX_DELAYED: Final = 32_768
"""Bytes that are not held back for the end of a turn: there may be many more reads to it."""
LINGER: Final = 5.0
"""Seconds to let a client read a refusal while it is still sending."""


class _HeadTooLarge(Exception):  # noqa: N818 - it never leaves this file: it stops the parser
    """A request head is larger than MAX_HEAD, though it came in one piece."""


class Pipelined:
    """A request that came before the one ahead of it was answered, with as much of its body as was read."""

    __slots__ = ("chunks", "complete", "request")

    def __init__(self, request: Request) -> None:
        self.request = request
        self.chunks: list[bytes] = []
        self.complete = False


class ClientConnection(asyncio.Protocol):
    """One connection from a client."""

    transport: asyncio.Transport
    _send: Callable[[bytes], None]
    """the transport's `write`, looked up once"""

    def __init__(
        self,
        gateway: Gateway,
        *,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.gateway = gateway
        self.config = config
        self.server_state = server_state
        self.app_state = app_state
        self._loop = _loop or asyncio.get_running_loop()
        self.parser = httptools.HttpRequestParser(self)
        self._target = b""
        self._headers: Headers = []
        self._in_head = False
        self._head_bytes = 0
        self._head_span = 0
        self._head_stamp = 0.0
        self._segment_bytes = 0
        self._queue: deque[Pipelined] = deque()
        self._known: KnownHead | None = None
        self._known_left = 0  # bytes of a known request's body that are still to come
        self._first = b""  # the data that is being parsed, if it begins with a head
        # the request being answered
        self._request: Request | None = None
        self._dialect = Dialect.OPENAI
        self._exchange: Exchange | None = None
        self._asgi: AsgiExchange | None = None
        self._verification: asyncio.Task[None] | None = None
        self._held: list[bytes] = []
        self._request_complete = True
        self._discarding = False
        self._discarded = 0
        self._request_id = ""
        self._provider_header = b""
        self._chunked = False
        self._bodiless = False
        self._delimited = True
        self._unsent: list[bytes] = []
        # the connection
        self._keep_alive = True
        self._closing = False
        self._provider_slow = False
        self._reading_paused = False
        self._writing_paused_at: float | None = None
        self._stamp = gateway.clock.now

    # asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection into uvicorn's set, so that it waits for it at shutdown."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is not a subclass
        self._send = self.transport.write
        self.server_state.connections.add(self)  # type: ignore[arg-type]

    def connection_lost(self, _exc: Exception | None) -> None:
        """Let go of whatever was under way."""
        self.server_state.connections.discard(self)
        self._closing = True
        if self._verification is not None:
            self._verification.cancel()
        self._unsent = []
        if self._exchange is not None:
            self._exchange.client_lost()
        if self._asgi is not None:
            self._asgi.client_lost()
        self._queue.clear()

    def data_received(self, data: bytes) -> None:
        """Recognise the head of a known request, or parse; everything else happens in the callbacks."""
        if self._closing:
            return
        self._stamp = self.gateway.clock.now
        if self._known_left:
            data = self._take_known_body(data)
            if not data:
                return
        elif self._request is not None or self._in_head:
            self._parse(data)
            return
        known = self._known
        if known is not None and self._request is None:
            size = known.match(data)
            if size and len(data) - size <= known.content_length <= MAX_BODY:
                self._begin_known(known, data[size:])
                return
        self._first = data
        self._parse(data)

    def _parse(self, data: bytes) -> None:
        """Let httptools find out what DATA is."""
        self._segment_bytes = len(data)
        was_in_head = self._in_head
        if was_in_head:
            self._head_span += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            return  # refused when its head was complete
        except httptools.HttpParserCallbackError as error:
            if isinstance(error.__context__, _HeadTooLarge):
                self._unparsable(rejection.HEAD_TOO_LARGE)
                return
            _log.error(
                "error while handling a request",
                exc_info=error.__context__ or error,
                extra={"request_id": self._request_id},
            )
            self._unparsable(rejection.INTERNAL)
            return
        except httptools.HttpParserError:
            self._unparsable(rejection.BAD_REQUEST)
            return
        if was_in_head and self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD:
                self._unparsable(rejection.HEAD_TOO_LARGE)

    def pause_writing(self) -> None:
        """The client is slow to read."""
        self._writing_paused_at = self.gateway.clock.now
        if self._exchange is not None:
            self._exchange.client_pause()
        if self._asgi is not None:
            self._asgi.flow.pause_writing()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._writing_paused_at = None
        if self._exchange is not None:
            self._exchange.client_resume()
        if self._asgi is not None:
            self._asgi.flow.resume_writing()

    def shutdown(self) -> None:
        """Do nothing: `Gateway.leaving` says it to all connections; called by uvicorn when the program ends."""

    def tick(self, now: float) -> None:
        """Look for what has taken too long; called about once a second."""
        if self._writing_paused_at is not None and now - self._writing_paused_at > self.gateway.client_write_timeout:
            _log.warning("client stopped reading", extra={"request_id": self._request_id})
            self._time_out()
            return
        quiet = now - self._stamp
        if self._closing or self._discarding:
            if quiet > LINGER:
                self.transport.abort()
        elif self._request is None:
            if self._in_head and now - self._head_stamp > HEAD_TIMEOUT:
                self._unparsable(rejection.REQUEST_TIMEOUT)
            elif not self._in_head and self._is_idle(now):
                self._close()
        elif self._request_complete:
            self._stamp = now  # it is idle from the end of its answer on
        elif not self._reading_paused and quiet > BODY_TIMEOUT:
            self._time_out()

    def _is_idle(self, now: float) -> bool:
        """Whether nothing has come for too long, and nothing has just come."""
        leaving = self.gateway.leaving
        return now - max(self._stamp, leaving.idle_from) > leaving.idle_limit and not _readable(self.transport)

    def _take_leave(self) -> None:
        """Make the answer at hand the last one on this connection, unless another request has come already."""
        if not self._queue:
            self._keep_alive = False

    def _time_out(self) -> None:
        if self._exchange is not None:
            self._exchange.client_timeout(rejection.REQUEST_TIMEOUT)
        else:
            self.transport.abort()

    # httptools

    def on_message_begin(self) -> None:
        """A request begins."""
        self._target = b""
        self._headers = []
        self._in_head = True
        self._head_bytes = 0
        self._head_span = self._segment_bytes
        self._head_stamp = self.gateway.clock.now

    def on_url(self, url: bytes) -> None:
        """Take the next bytes of the request target."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; trailers after a chunked body are dropped, as RFC 9110, section 6.5.1 allows."""
        if not self._in_head:
            return
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is complete: the request is served now, or when its turn comes."""
        self._in_head = False
        first, self._first = self._first, b""  # what follows in the same data begins elsewhere
        if self._closing:
            return
        if self._head_span > MAX_HEAD and self._head_size() > MAX_HEAD:
            raise _HeadTooLarge
        request = self._parsed()
        if self._request is None:
            self._begin(request, first)
        else:
            self._queue.append(Pipelined(request))
            self._set_reading()

    def _head_size(self) -> int:
        return len(self._target) + sum(len(name) + len(value) + 4 for name, value in self._headers)

    def _parsed(self) -> Request:
        """The request whose head was just parsed."""
        parser = self.parser
        request = Request()
        request.method, request.target = parser.get_method(), self._target
        request.http10, request.keep_alive = parser.get_http_version() != "1.1", parser.should_keep_alive()
        request.upgrade = parser.should_upgrade()
        for name, value in self._headers:
            request.add_header(name, value)
        return request

    def on_body(self, data: bytes) -> None:
        """Take the next bytes of a request body."""
        if self._queue:
            self._queue[-1].chunks.append(data)
        else:
            self._dispatch_body(data)

    def on_message_complete(self) -> None:
        """A request is complete."""
        if self._queue:
            self._queue[-1].complete = True
        elif not self._closing:
            self._complete()

    # One request

    def _begin(self, request: Request, first: bytes = b"") -> None:
        """Serve REQUEST, which FIRST begins with: relay it, refuse it, or let it fall through."""
        gateway = self.gateway
        request.started = time.perf_counter()
        gateway.metrics.requests += 1
        self._request = request
        self._request_id = gateway.request_ids.next()
        self._request_complete = False
        self._keep_alive = self._keep_alive and request.keep_alive
        ticket = self._admit(request)
        if ticket is not None:
            if first:
                self._known = known_head(ticket, first) or self._known
            self._authenticate(ticket)

    def _begin_known(self, known: KnownHead, data: bytes) -> None:
        """Serve a request with a KNOWN head, which DATA follows; `_begin` without what cannot have changed."""
        gateway = self.gateway
        ticket = known.ticket
        request = ticket.request
        request.started = time.perf_counter()
        request.content_length = length = known.content_length
        gateway.metrics.requests += 1
        self._request = request
        self._request_id = gateway.request_ids.next()
        self._request_complete = False
        self._dialect = known.dialect
        self._known_left = length - len(data)
        refusal = gateway.admission.readmit(ticket)
        if refusal is None:
            self._authenticate(ticket)
        else:
            self.refuse(refusal, ticket)
        if data:
            self._dispatch_body(data)
        if not self._known_left:
            self._complete()

    def _take_known_body(self, data: bytes) -> bytes:
        """Take what DATA has of a known request's body; returns the rest."""
        left = self._known_left
        body = data if len(data) <= left else data[:left]
        self._known_left = left - len(body)
        self._dispatch_body(body)
        if self._closing:
            return b""
        if not self._known_left:
            self._complete()
        return b"" if self.transport.is_closing() else data[left:]

    def _authenticate(self, ticket: Ticket) -> None:
        """Verify the key, then open the exchange, or refuse."""
        gateway = self.gateway
        try:
            verdict = gateway.admission.authenticate(ticket)
        except Exception as error:  # noqa: BLE001 - a stranger's code: whatever it raises is a refusal
            verdict = self._scheme_failed(ticket, error)
        if verdict is None:
            self._open(ticket)
        elif isinstance(verdict, Rejection):
            self.refuse(verdict, ticket)
        else:
            self._verification = asyncio.ensure_future(self._verify(ticket, verdict))
            self.pause_reading()

    def _admit(self, request: Request) -> Ticket | None:
        """Run the checks that need the head alone; None when the request was refused or fell through."""
        admission = self.gateway.admission
        path, mark, query = origin_form(request.target).partition(b"?")
        route = admission.route(path)
        if route is None:
            self._fall_through(request, path, query)
            return None
        self._dialect = route.dialect
        ticket = admission.admit(request, route, query if mark else None)
        if isinstance(ticket, Rejection):
            self.refuse(ticket)
            return None
        self._dialect = ticket.route.dialect
        return ticket

    async def _verify(self, ticket: Ticket, verdict: Awaitable[Identity]) -> None:
        """Wait for an auth scheme that has to ask elsewhere; the body stays unread meanwhile."""
        try:
            ticket.identity = await verdict
        except InvalidCredential:
            refusal = rejection.INVALID_KEY
        except CannotVerify:
            refusal = rejection.CANNOT_VERIFY
        except Exception as error:  # noqa: BLE001 - a stranger's code: whatever it raises is a refusal
            refusal = self._scheme_failed(ticket, error)
        else:
            self._verification = None
            self.resume_reading()
            self._open(ticket)
            self._replay_held()
            return
        self._verification = None
        self._held = []
        self.resume_reading()
        self.refuse(refusal, ticket)

    def _scheme_failed(self, ticket: Ticket, error: Exception) -> Rejection:
        """Log an ERROR that an auth scheme raised, without the credential that it may quote."""
        raised = "".join(traceback.format_exception(error)).replace(ticket.credential, "***")
        _log.error("auth scheme failed: refused", extra={"request_id": self._request_id, "exception": raised})
        return rejection.INTERNAL

    def _replay_held(self) -> None:
        held, self._held = self._held, []
        for data in held:
            self._dispatch_body(data)
        if self._request_complete and self._exchange is not None:
            self._exchange.client_end()

    def _open(self, ticket: Ticket) -> None:
        """Admit the request: from here on an `Exchange` decides."""
        gateway = self.gateway
        refusal = gateway.admission.check(ticket)
        if refusal is not None:
            self.refuse(refusal, ticket)
            return
        request = ticket.request
        meter = gateway.meter(ticket, self._request_id)
        secret = ticket.route.upstream.secret if ticket.scheme.managed else None
        upstream = ticket.route.upstream
        drains = gateway.drains if ticket.scheme.managed and upstream.provider.keeps_generating else None
        exchange = Exchange(
            self,
            meter,
            has_body=request.has_body,
            method=request.method,
            secret=secret,
            drains=drains,
            permit=ticket.permit,
            in_flight=ticket.in_flight,
        )
        ticket.permit = ticket.in_flight = None
        self._exchange = exchange
        self._provider_header = upstream.response_header
        upstream_request = gateway.admission.upstream_request(ticket)
        if ticket.asks_usage and request.has_body:
            expects = request.expects_continue and not self._request_complete
            exchange.open_asking(upstream.transport, upstream_request, gateway.body_budget, expects_continue=expects)
        else:
            exchange.open(upstream.transport, upstream_request)

    def _fall_through(self, request: Request, path: bytes, query: bytes) -> None:
        if request.upgrade or request.unknown_coding:
            self.refuse(rejection.UPGRADE if request.upgrade else rejection.UNKNOWN_CODING)
            return
        if request.http10:
            self._keep_alive = False  # the application would not say `keep-alive`, so the client will not
        if self.gateway.leaving.begun:
            self._take_leave()
        self._asgi = AsgiExchange(self, request, path, query, self._request_id, keep_alive=self._keep_alive)
        self._asgi.start()

    def _body_elsewhere(self, data: bytes) -> None:
        """Take body bytes of a request that is not being relayed."""
        if self._verification is not None:
            self._held.append(data)
        elif self._asgi is not None:
            self._asgi.body(data)
        elif self._discarding:
            self._discarded += len(data)
            if self._discarded > MAX_DISCARD:
                self._keep_alive = False
                self._close()

    def _complete(self) -> None:
        self._request_complete = True
        if self._provider_slow:
            self._set_reading()  # only so is a hang-up noticed
        if self._exchange is not None:
            self._exchange.client_end()
        elif self._asgi is not None:
            self._asgi.request_end()
        elif self._discarding:
            self._next()

    def _answered(self) -> None:
        """The response is complete: go on with the next request, once the body of this one is out of the way."""
        self._exchange = None
        self._asgi = None
        self._provider_slow = False
        self._writing_paused_at = None if self._writing_paused_at is None else self.gateway.clock.now
        self.server_state.total_requests += 1
        if self._request_complete:
            self._next()
        elif self._keep_alive:
            self._discarding = True
            self._discarded = 0
            self._set_reading()
        else:
            self._close()

    def _next(self) -> None:
        self._request = None
        self._discarding = False
        if not self._keep_alive:
            self._close()
        elif self._queue:
            self._request = self._queue[0].request
            self._loop.call_soon(self._serve_pipelined)
        else:
            self._set_reading()

    def _serve_pipelined(self) -> None:
        if self._closing:
            return
        pipelined = self._queue.popleft()
        self._begin(pipelined.request)
        for data in pipelined.chunks:
            self._dispatch_body(data)
        if pipelined.complete:
            self._complete()
        self._set_reading()

    def _dispatch_body(self, data: bytes) -> None:
        if self._exchange is not None:
            self._exchange.client_body(data)
        else:
            self._body_elsewhere(data)

    # What an exchange asks for

    def informational(self, status: int, headers: Headers) -> None:
        """Send an interim response; HTTP/1.0 clients know none."""
        if self._request is not None and not self._request.http10:
            self._write(b"HTTP/1.1 %d \r\n" % status + header_lines(headers) + b"\r\n")

    def head(self, status: int, reason: bytes, head: ResponseHead, bodiless: bool) -> None:
        """Send the response head, framed for this client."""
        request = self._request
        assert request is not None
        self._bodiless = bodiless
        self._chunked = False
        self._delimited = True
        if request.expects_continue and not self._request_complete:
            self._keep_alive = False  # the body may never come, and what comes must not be taken for it
        tail = b"x-beyond-request-id: %b\r\n%b" % (self._request_id.encode("ascii"), self._provider_header)
        if head.length is not None:
            tail += b"content-length: %d\r\n" % head.length
        elif not bodiless:
            if request.http10:
                self._keep_alive = self._delimited = False
            else:
                self._chunked = True
                tail += b"transfer-encoding: chunked\r\n"
        if self.gateway.leaving.begun:
            self._take_leave()
        if not self._keep_alive:
            tail += b"connection: close\r\n"
        elif request.http10:
            tail += b"connection: keep-alive\r\n"
        self._write(b"HTTP/1.1 %d %b\r\n%b%b\r\n" % (status, reason, head.lines, tail))

    def body(self, data: bytes, framed: bytes = b"") -> None:
        """Send the next bytes of the response body: at once, unless the head is still held back."""
        if not data:
            return  # an empty chunk would end the body
        if self._chunked:
            data = framed or b"%x\r\n%b\r\n" % (len(data), data)
        elif self._bodiless:
            return
        if self._unsent:
            self._unsent.append(data)
            if len(data) >= MAX_DELAYED:
                self._flush()
        else:
            self._send(data)

    def end(self) -> None:
        """End the response."""
        if self._chunked:
            self._write(b"0\r\n\r\n")
        self._answered()

    def _write(self, data: bytes) -> None:
        """Send DATA at the end of the loop's turn, so that head and body go out together."""
        if not self._unsent:
            self.gateway.outbox.put(self._flush)
        self._unsent.append(data)

    def _flush(self) -> None:
        unsent = self._unsent
        if unsent:
            self._unsent = []
            self._send(unsent[0] if len(unsent) == 1 else b"".join(unsent))

    def refuse(self, rejection: Rejection, ticket: Ticket | None = None) -> None:
        """Answer with a refusal of our own; TICKET is what is known of a request that is not relayed yet."""
        relayed, self._exchange = self._exchange is not None, None
        if self._closing:
            return
        request = self._request
        self.gateway.count_rejection(rejection, self._request_id, None if relayed else request, ticket)
        expects = request is not None and request.expects_continue and not self._request_complete
        if rejection.close or expects or (request is not None and (request.content_length or 0) > MAX_DISCARD):
            self._keep_alive = False
        headers = list(self.server_state.default_headers)
        if self.gateway.leaving.begun:
            self._take_leave()
        if not self._keep_alive:
            headers.append((b"connection", b"close"))
        elif request is not None and request.http10:
            headers.append((b"connection", b"keep-alive"))
        head_only = request is not None and request.method == b"HEAD"
        self._write(whole_refusal(rejection, self._dialect, self._request_id, headers, head_only=head_only))
        self._answered()

    def abort(self) -> None:
        """Break the connection, so that the client sees that its answer is incomplete.

        Where the framing shows that, what came is still delivered; else only a reset can tell.
        """
        self._exchange = None
        self._flush()
        self._closing = True
        self._stamp = self.gateway.clock.now
        if self._delimited:
            self.transport.close()
        else:
            # Without this, what follows is a FIN, which is how such an answer ends properly.
            connected = self.transport.get_extra_info("socket")
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()

    def asgi_answered(self) -> None:
        """The ASGI application has answered; what it left of the body is still to be read."""
        if self._asgi is not None and not self._reading_paused and not self.transport.is_closing():
            self._asgi.flow.resume_reading()
        self._answered()

    def pause_reading(self) -> None:
        """Read no more of the request: the provider is slow."""
        self._provider_slow = True
        self._set_reading()

    def resume_reading(self) -> None:
        """Go on reading the request."""
        self._provider_slow = False
        self._set_reading()

    # The connection

    def _set_reading(self) -> None:
        """Read unless the provider is slow or a request is waiting for its turn."""
        pause = (self._provider_slow and not self._request_complete) or bool(self._queue)
        if pause != self._reading_paused and not self.transport.is_closing():
            self._reading_paused = pause
            self._stamp = self.gateway.clock.now
            if pause:
                self.transport.pause_reading()
            else:
                self.transport.resume_reading()

    def _unparsable(self, refusal: Rejection) -> None:
        """End a connection on which nothing more can be understood, answering if that is still possible."""
        self._keep_alive = False
        if self._request is None:
            self._request_id = self.gateway.request_ids.next()
            self.gateway.metrics.requests += 1
            self._request = Request()
            self._request_complete = True
            self.refuse(refusal)
        elif self._request_complete:
            return  # it is still answered, and the connection closes behind it
        elif self._exchange is not None:
            self._exchange.client_timeout(refusal)
        elif self._asgi is None:
            self._close()

    def _close(self) -> None:
        """Close, but let a client that is still sending read what was sent to it first."""
        if self._closing:
            return
        self._closing = True
        self._stamp = self.gateway.clock.now
        self._flush()
        if self._request_complete or not self.transport.can_write_eof():
            self.transport.close()
        else:
            self.transport.write_eof()


def _readable(transport: asyncio.Transport) -> bool:
    """Whether there is something to read at TRANSPORT that its owner has not been given yet."""
    connected = transport.get_extra_info("socket")
    if connected is None:
        return False
    poll = select.poll()
    poll.register(connected.fileno(), select.POLLIN)
    return bool(poll.poll(0))
