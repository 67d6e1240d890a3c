"""The pool and the exchanges that run on its connections.

Kept connections are used last in, first out, so that a burst's surplus ages and is closed. A request goes out on a
connection at most once; only an attempt to connect is repeated, and a request of which a kept connection provably
delivered nothing.
"""

import asyncio
import contextlib
import socket
import ssl
from collections import deque
from typing import Final

import aiohappyeyeballs

from beyond_ai import (
    FailureStage,
    UpstreamEvents,
    UpstreamExchange,
    UpstreamFailure,
    UpstreamRequest,
    UpstreamSettings,
    head_lines,
)
from beyond_ai_plugins.transports.http1.connection import Connection
from beyond_ai_plugins.transports.http1.resolver import Resolver
from beyond_ai_plugins.transports.sockets import tcp_options, tls_context

CONNECT_TRIES: Final = 3
"""Attempts to connect, each over all addresses."""
RETRY_PAUSE: Final = 0.05
"""Seconds before the second attempt; twice that before the third."""
HAPPY_EYEBALLS_DELAY: Final = 0.25
"""Seconds before the next address is tried beside a silent one (RFC 8305, section 5)."""
MAX_IDLE: Final = 512
"""Kept connections to one authority."""
MAX_REPLAY: Final = 65_536
"""Bytes of a request that are held so that it can be sent again."""

Key = tuple[str, int, bool]


class Http1Transport:
    """Opens exchanges over HTTP/1.1."""

    def __init__(self, settings: UpstreamSettings) -> None:
        self.settings = settings
        self.now = 0.0
        """seconds, moved on by the ticker: reading it costs an attribute"""
        self._resolver = Resolver()
        self._idle: dict[Key, deque[Connection]] = {}
        self._busy: set[Http1Exchange] = set()
        self._unsent: list[Connection] = []
        """what is to be flushed when this turn of the loop is over"""
        self._options = tcp_options(settings)
        self._ssl = tls_context(verify=settings.verify_cert)
        self._ssl.set_alpn_protocols(["http/1.1"])
        self._ticker: asyncio.Task[None] | None = None

    def open(self, request: UpstreamRequest, events: UpstreamEvents) -> UpstreamExchange:
        """Start an exchange on a kept connection, or on a new one."""
        if self._ticker is None:
            self._ticker = asyncio.ensure_future(self._tick())
        exchange = Http1Exchange(self, request, events)
        self._busy.add(exchange)
        connection = self._take((request.host, request.port, request.tls))
        if connection is None:
            exchange.connect()
        else:
            exchange.start_on(connection, kept=True)
        return exchange

    async def aclose(self) -> None:
        """Abort everything."""
        if self._ticker is not None:
            self._ticker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._ticker
            self._ticker = None
        for exchange in list(self._busy):
            exchange.abort()
        for connections in self._idle.values():
            for connection in list(connections):
                connection.close()

    # Connections

    def _take(self, key: Key) -> Connection | None:
        idle = self._idle.get(key)
        while idle:
            connection = idle.pop()
            if connection.alive and not connection.transport.is_closing():
                return connection
        return None

    def release(self, connection: Connection) -> None:
        """Keep CONNECTION for the next exchange, if any are kept."""
        if self.settings.idle_timeout <= 0:
            connection.close()
            return
        idle = self._idle.get(connection.key)
        if idle is None:
            idle = self._idle[connection.key] = deque()
        if len(idle) >= MAX_IDLE:
            idle[0].close()
        idle.append(connection)

    def flush_later(self, connection: Connection) -> None:
        """Flush CONNECTION when all sockets that are ready now have been read."""
        if not self._unsent:
            asyncio.get_running_loop().call_soon(self._flush)
        self._unsent.append(connection)

    def _flush(self) -> None:
        unsent, self._unsent = self._unsent, []
        for connection in unsent:
            connection.flush()

    def forget(self, connection: Connection) -> None:
        """Drop CONNECTION from the pool, if it is there."""
        idle = self._idle.get(connection.key)
        if idle is not None and connection.exchange is None:
            with contextlib.suppress(ValueError):
                idle.remove(connection)

    async def connect(self, request: UpstreamRequest) -> Connection:
        """One attempt to connect for REQUEST, TLS included. Raises OSError (ssl.SSLError, TimeoutError)."""
        key = (request.host, request.port, request.tls)
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self.settings.connect_timeout):
            addresses = await self._resolver.resolve(request.host, request.port)
            sock = await aiohappyeyeballs.start_connection(
                addresses, happy_eyeballs_delay=HAPPY_EYEBALLS_DELAY, loop=loop
            )
            try:
                for level, option, value in self._options:
                    sock.setsockopt(level, option, value)
                _, connection = await loop.create_connection(
                    lambda: Connection(self, key),
                    sock=sock,
                    ssl=self._ssl if request.tls else None,
                    server_hostname=request.host if request.tls else None,
                )
            except BaseException:
                sock.close()
                raise
        return connection

    # Time limits

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        while True:
            await asyncio.sleep(1.0)
            self.now = loop.time() - started
            for exchange in list(self._busy):
                exchange.check_time(self.now)
            for idle in self._idle.values():
                while idle and self.now - idle[0].stamp > self.settings.idle_timeout:
                    idle[0].close()

    def done(self, exchange: "Http1Exchange") -> None:
        """EXCHANGE has ended."""
        self._busy.discard(exchange)


class Http1Exchange:
    """One exchange. Until it has a connection, it asks the relay to pause and holds what comes all the same."""

    __slots__ = (
        "_connecting",
        "_connection",
        "_ended",
        "_events",
        "_held",
        "_owner",
        "_replay",
        "request",
        "sent",
        "sent_bytes",
    )

    def __init__(self, owner: Http1Transport, request: UpstreamRequest, events: UpstreamEvents) -> None:
        self.request = request
        self.sent = not request.chunked and not request.content_length
        """whether the request is complete"""
        self.sent_bytes = 0
        self._owner = owner
        self._events = events
        self._connection: Connection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._held: list[bytes] = [_head(request)]
        self._replay: list[bytes] | None = None
        self._ended = False

    # Starting

    def connect(self) -> None:
        """Open a new connection for this exchange."""
        self._events.upstream_pause()
        self._connecting = asyncio.ensure_future(self._connect())

    async def _connect(self) -> None:
        error: Exception | None = None
        unforeseen: Exception | None = None
        for attempt in range(CONNECT_TRIES):
            if attempt:
                self._events.upstream_connect_retry()
                await asyncio.sleep(RETRY_PAUSE * attempt)
            try:
                connection = await self._owner.connect(self.request)
            except (ssl.SSLCertVerificationError, socket.gaierror) as final:
                error = final
                break
            except OSError as failed:
                error = failed
            except Exception as bug:  # noqa: BLE001 - whatever it was, the client must get an answer
                error = unforeseen = bug
                break
            else:
                self._connecting = None
                self.start_on(connection, kept=False)
                if not connection.writing_paused:
                    self._events.upstream_resume()
                return
        self._connecting = None
        where = f"{self.request.host}:{self.request.port}"
        self.fail(UpstreamFailure(FailureStage.CONNECT, f"{where}: {_plain(error)}", error=unforeseen))

    def start_on(self, connection: Connection, *, kept: bool) -> None:
        """Send on CONNECTION what is held and what follows."""
        self._connection = connection
        self._replay = [] if kept else None
        self.sent_bytes = 0
        connection.attach(self, self._events)
        held, self._held = self._held, []
        self._write(held[0] if len(held) == 1 else b"".join(held))

    def _write(self, data: bytes) -> None:
        connection = self._connection
        assert connection is not None
        if self._replay is not None:
            self.sent_bytes += len(data)
            self._replay.append(data)
            if self.sent_bytes > MAX_REPLAY:
                self._replay = None
        connection.write(data)

    # What the relay asks for

    def send(self, data: bytes) -> None:
        """Send the next bytes of the body."""
        if self.request.chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        if self._connection is None:
            self._held.append(data)
        else:
            self._write(data)

    def send_end(self) -> None:
        """End the body."""
        self.sent = True
        if self._connection is not None:
            self._connection.stamp = self._owner.now
        if self.request.chunked:
            if self._connection is None:
                self._held.append(b"0\r\n\r\n")
            else:
                self._write(b"0\r\n\r\n")

    def pause(self) -> None:
        """Stop reading the answer."""
        if self._connection is not None:
            self._connection.pause_reading()

    def resume(self) -> None:
        """Go on reading the answer."""
        if self._connection is not None:
            self._connection.resume_reading()

    def abort(self) -> None:
        """Let go of the provider at once."""
        if self._ended:
            return
        self.done()
        if self._connecting is not None:
            self._connecting.cancel()
        if self._connection is not None:
            self._connection.detach()
            self._connection.close()

    # What the connection tells

    def first_byte(self) -> None:
        """An answer has begun: this request is not sent again."""
        self._replay = None

    @property
    def replayable(self) -> bool:
        """Whether this exchange went out on a kept connection and all of it is still at hand."""
        return self._replay is not None

    def resend(self) -> None:
        """Nothing of the request was consumed: send it again, on a new connection."""
        assert self._replay is not None
        self._held, self._replay, self._connection = self._replay, None, None
        self.connect()

    def check_time(self, now: float) -> None:
        """Fail if the provider has been silent, or has not read, for too long.

        It is not silent while the request is still on its way: how long that may take is the client's side to say.
        """
        connection = self._connection
        if connection is None or connection.reading_paused:
            return
        settings = self._owner.settings
        quiet = now - connection.stamp
        silent = quiet > settings.read_timeout and (self.sent or connection.answered)
        if silent or (connection.writing_paused and quiet > settings.write_timeout):
            connection.time_out()

    def done(self) -> None:
        """Nothing more happens on this exchange."""
        self._ended = True
        self._owner.done(self)

    def fail(self, failure: UpstreamFailure) -> None:
        """End with FAILURE."""
        if not self._ended:
            self.done()
            self._events.upstream_failed(failure)


def _head(request: UpstreamRequest) -> bytes:
    lines = request.lines or head_lines(request.method, request.target, request.headers)
    if request.chunked:
        return lines + b"transfer-encoding: chunked\r\n\r\n"
    if request.content_length is not None:
        return b"%bcontent-length: %d\r\n\r\n" % (lines, request.content_length)
    return lines + b"\r\n"


def _plain(error: Exception | None) -> str:
    text = str(error) or "no answer in time"
    return f"{type(error).__name__}: {text}"
