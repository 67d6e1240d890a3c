"""One accepted connection of a scripted upstream: takes requests in, plays a script for each, one after the other."""

import asyncio
import contextlib
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, Protocol

import httptools

from beyond_ai.testing.message import ReceivedRequest
from beyond_ai.testing.steps import (
    Close,
    HalfClose,
    Pause,
    ReadBody,
    Reset,
    ResumeReading,
    Send,
    Step,
    StopReading,
    Tell,
    Until,
)

Script = Iterable[Step]
"""Played in order; it may be a generator that makes its steps when their turn comes."""

HEAD_END: Final = b"\r\n\r\n"
HEAD_LIMIT: Final = 1 << 20


class Upstream(Protocol):
    """What a connection needs of the upstream that accepted it."""

    def accepted(self, connection: "UpstreamConnection") -> int:
        """Take note of a new connection; return its number."""

    def script_for(self, request: ReceivedRequest) -> Script:
        """Take note of REQUEST, whose head is whole; return the script that it is answered with."""

    def changed(self) -> None:
        """Something arrived, was answered or closed."""

    def failed(self, reason: str) -> None:
        """The client broke the protocol, or a script cannot be played."""

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until CONDITION holds."""


class UpstreamConnection(asyncio.Protocol):
    """One connection from a client.

    Attributes:
        number: counted from 0 in order of acceptance.
        received: every byte that came, so that a test can look for what must not be there.
        requests: the requests that came over it.
        closed_at: when the client closed it, in the event loop's clock; None as long as it is open, and when the
            script closed it first.
    """

    def __init__(self, upstream: Upstream) -> None:
        self.number = -1
        self.received = bytearray()
        self.requests: list[ReceivedRequest] = []
        self.closed_at: float | None = None
        self._upstream = upstream
        self._head = bytearray()
        self._parser: httptools.HttpRequestParser | None = None
        self._waiting: deque[tuple[ReceivedRequest, Script]] = deque()
        self._player: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._written = 0
        self._closing = False
        self._lost = False

    @property
    def sent(self) -> int:
        """How many bytes of the scripts the kernel has taken so far."""
        return self._written if self._lost else self._written - self._transport.get_write_buffer_size()

    @property
    def closed(self) -> bool:
        """Whether the connection is gone, whoever closed it."""
        return self._lost

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start to serve the client at the other end."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=1, low=0)
        self.number = self._upstream.accepted(self)

    def data_received(self, data: bytes) -> None:
        """Take in what the client sent."""
        self.received += data
        try:
            self._parse(data)
        except httptools.HttpParserError as error:
            self._refuse(f"not HTTP: {error}, at the end of {bytes(self.received[-200:])!r}")
        self._upstream.changed()

    def eof_received(self) -> None:
        """Take note that the client closed; what is still to be written goes out, then the connection ends."""
        self._note_close()

    def connection_lost(self, _error: Exception | None) -> None:
        """Stop the script: there is nobody left to play it to."""
        self._note_close()
        self._lost = True
        if self._player is not None:
            self._player.cancel()
        for request in self.requests:
            request.aborted = not request.answered and self.closed_at is not None
        self._writable.set()
        self._upstream.changed()

    def pause_writing(self) -> None:
        """Hold the script: the kernel's buffer is full."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Let the script go on."""
        self._writable.set()

    def on_message_begin(self) -> None:
        """Refuse a second request that came in one piece with the first: its head could not be told apart."""
        if self._parser is None:
            raise ValueError("a second request in one piece with the first")

    def on_url(self, url: bytes) -> None:
        """Take the next part of the request target (httptools)."""
        self.requests[-1].target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header (httptools)."""
        self.requests[-1].headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Take the method (httptools)."""
        assert self._parser is not None
        self.requests[-1].method = self._parser.get_method()

    def on_body(self, data: bytes) -> None:
        """Take the next part of the body (httptools)."""
        self.requests[-1].body += data

    def on_message_complete(self) -> None:
        """Take note that the message is whole (httptools)."""
        self.requests[-1].complete = True
        self._parser = None

    def drop(self) -> None:
        """Ask the client to close: where it can be, FIN goes first, and the client's own says that it has noticed."""
        self._closing = True
        if self._player is not None:
            self._player.cancel()
        if self._transport.can_write_eof() and not self._transport.is_closing():
            self._transport.resume_reading()
            with contextlib.suppress(OSError):  # the client has reset it, and the loop has yet to read so
                self._transport.write_eof()
        else:
            self._transport.close()

    def reset(self) -> None:
        """Break the connection with RST."""
        self._closing = True
        connected: socket.socket | None = self._transport.get_extra_info("socket")
        if connected is not None:
            with contextlib.suppress(OSError):
                connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    async def finished(self) -> None:
        """Wait until the script in play has ended or its cancelling is through."""
        if self._player is not None:
            await asyncio.wait([self._player])

    def _note_close(self) -> None:
        if self.closed_at is None and not self._closing:
            self.closed_at = asyncio.get_running_loop().time()

    def _refuse(self, reason: str) -> None:
        self._upstream.failed(f"connection {self.number}: {reason}")
        self.reset()

    def _parse(self, data: bytes) -> None:
        """Take DATA in; a head is held back until it is whole, so that its raw bytes can be recorded in one piece."""
        if self._parser is not None:
            self._feed(data)
            return
        self._head += data
        end = self._head.find(HEAD_END)
        if end < 0:
            if len(self._head) > HEAD_LIMIT:
                self._refuse(f"a request head of more than {HEAD_LIMIT} bytes")
            return
        end += len(HEAD_END)
        head, rest = bytes(self._head[:end]), bytes(self._head[end:])
        self._head.clear()
        request = self._begin(head)
        if rest and request.complete:
            self._refuse(f"bytes behind the end of a request: {rest[:100]!r}")
        elif rest:
            self._feed(rest)

    def _begin(self, head: bytes) -> ReceivedRequest:
        request = ReceivedRequest(connection=self.number, head=head)
        self.requests.append(request)
        self._parser = httptools.HttpRequestParser(self)
        self._feed(head)
        self._waiting.append((request, self._upstream.script_for(request)))
        if self._player is None or self._player.done():
            self._player = asyncio.get_running_loop().create_task(self._play())
            self._player.add_done_callback(self._played)
        return request

    def _feed(self, data: bytes) -> None:
        assert self._parser is not None
        with contextlib.suppress(httptools.HttpParserUpgrade):
            self._parser.feed_data(data)

    async def _play(self) -> None:
        while self._waiting:
            request, script = self._waiting.popleft()
            for step in script:
                await self._take(step, request)
            request.answered = True
            self._upstream.changed()

    def _played(self, player: asyncio.Task[None]) -> None:
        if not player.cancelled() and (error := player.exception()) is not None:
            self._refuse(f"its script cannot be played: {error!r}")

    async def _take(self, step: Step, request: ReceivedRequest) -> None:
        match step:
            case Send(data):
                self._written += len(data)
                self._transport.write(data)
                await self._writable.wait()
            case ReadBody(None):
                await self._upstream.until(lambda: request.complete)
            case ReadBody(int(size)):
                await self._upstream.until(lambda: len(request.body) >= size)
            case Pause(seconds):
                await asyncio.sleep(seconds)
            case Until(event):
                await event.wait()
            case Tell(event):
                event.set()
            case StopReading():
                self._transport.pause_reading()
            case ResumeReading():
                self._transport.resume_reading()
            case HalfClose():
                self._transport.write_eof()
            case Close():
                self._closing = True
                self._transport.close()
            case Reset():
                self.reset()
