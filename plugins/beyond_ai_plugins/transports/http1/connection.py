"""One connection to a provider: parses answers and hands them to the exchange that holds it."""

import asyncio
import struct
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, cast

import httptools

from beyond_ai import FailureStage, Headers, UpstreamEvents, UpstreamFailure

if TYPE_CHECKING:
    from beyond_ai_plugins.transports.http1.pool import Http1Exchange, Http1Transport

MAX_HEAD: Final = 262_144
"""Bytes of a response head."""
MAX_DELAYED: Final = 32_768
"""Bytes that are not held back for the end of a turn."""


def _size_lines(longest: int) -> tuple[bytes, ...]:
    """By the length of a chunk with its framing, up to LONGEST bytes: its size line, as nearly all senders write it.

    Where no chunk has that length, it is a line that none begins with; the last chunk, of size 0, counts as none.
    """
    lines = [b"-"] * (longest + 1)
    for size in range(1, longest):
        line = b"%x\r\n" % size
        length = len(line) + size + len(b"\r\n")
        if length <= longest:
            lines[length] = line
    return tuple(lines)


_SIZE_LINES: Final = _size_lines(2048)


class Connection(asyncio.Protocol):
    """A kept connection. `exchange` is None while it is idle."""

    transport: asyncio.Transport

    def __init__(self, owner: "Http1Transport", key: tuple[str, int, bool]) -> None:
        self.owner = owner
        self.key = key
        self.exchange: Http1Exchange | None = None
        self.alive = True
        self.stamp = 0.0
        self.reading_paused = False
        self.writing_paused = False
        self._events: UpstreamEvents | None = None
        self._deliver: Callable[[bytes, bytes], None] | None = None
        """where body bytes go; None where there must be none"""
        self._between_chunks = False
        self._chunk_complete = False
        self._unsent: list[bytes] = []
        self._parser = httptools.HttpResponseParser(self)
        self._headers: Headers = []
        self._reason = b""
        self._status = 0
        self._in_head = False
        self._head_bytes = 0
        self._complete = False
        self._surplus = False
        self._keep = False
        self._until_close = False
        self._fresh_parser = False

    def attach(self, exchange: "Http1Exchange", events: UpstreamEvents) -> None:
        """Serve EXCHANGE until its answer is complete."""
        self.exchange = exchange
        self._events = events
        self._deliver = events.upstream_body
        self.stamp = self.owner.now
        self._status = 0
        self._complete = False
        self._until_close = False
        self._between_chunks = self._chunk_complete = False
        if self._fresh_parser:
            self._parser = httptools.HttpResponseParser(self)
            self._fresh_parser = False

    def detach(self) -> None:
        """Serve nobody: whatever comes from now on is for no exchange."""
        self.exchange = self._events = self._deliver = None

    @property
    def answered(self) -> bool:
        """Whether any byte of an answer to the present request has come."""
        return self._status != 0 or self._in_head

    # asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is not a subclass

    def data_received(self, data: bytes) -> None:
        """Parse; the answer's parts go to the exchange from the callbacks."""
        self.stamp = self.owner.now
        if self.exchange is None:
            self.close()  # nothing was asked: whatever this is must not be taken for the next answer
            return
        if self._between_chunks and self._one_chunk(data):
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail("the provider switched protocols unasked")
            return
        except httptools.HttpParserCallbackError as error:
            raise (error.__context__ or error) from None
        except httptools.HttpParserError as error:
            if not self._complete:
                self._fail(f"not an HTTP/1.1 response: {error}")
                return
            self._surplus = True
        if self._complete:
            self._finish()
        elif self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD:
                self._fail("response head too large")
        else:
            self._between_chunks = self._chunk_complete and data.endswith(b"\r\n")

    def _one_chunk(self, data: bytes) -> bool:
        """Pass DATA on if it is one whole chunk and nothing else, as each event of a stream mostly is.

        The parser never sees it: it waits for the size of a chunk, and still does.
        """
        size = len(data)
        if size >= len(_SIZE_LINES) or self._deliver is None:
            return False
        line = _SIZE_LINES[size]
        if not (data.startswith(line) and data.endswith(b"\r\n")):
            return False
        self._deliver(data[len(line) : -2], data)
        return True

    def eof_received(self) -> None:
        """The provider has closed: the end of an answer that has no other, else a failure."""
        if self.exchange is not None and self._until_close:
            self.alive = False
            self._complete = True
            self._finish()
        elif self.exchange is not None:
            self._closed_early(None)
        else:
            self.alive = False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self.alive = False
        self.owner.forget(self)
        if self.exchange is not None:
            if self._until_close and exc is None:
                self._complete = True
                self._finish()
            else:
                self._closed_early(exc)

    def write(self, data: bytes) -> None:
        """Send DATA when all sockets that are ready now have been read.

        A write is a system call that may wake the peer's processor; head and body go out together, and what many
        exchanges send goes out back to back. Much of it goes at once: there may be many more reads to this turn, and
        only the transport can say that it has enough.
        """
        if not self._unsent:
            self.owner.flush_later(self)
        self._unsent.append(data)
        if len(data) >= MAX_DELAYED:
            self.flush()

    def flush(self) -> None:
        """Send what is held back."""
        unsent, self._unsent = self._unsent, []
        if not self.alive or not unsent:
            return
        if len(unsent) == 1:
            self.transport.write(unsent[0])
        elif len(unsent[-1]) < MAX_DELAYED:
            self.transport.write(b"".join(unsent))
        else:
            self.transport.writelines(unsent)  # uvloop's does not copy

    def pause_writing(self) -> None:
        """The provider is slow to read."""
        self.writing_paused = True
        self.stamp = self.owner.now
        if self._events is not None:
            self._events.upstream_pause()

    def resume_writing(self) -> None:
        """The provider has caught up."""
        self.writing_paused = False
        self.stamp = self.owner.now
        if self._events is not None:
            self._events.upstream_resume()

    def pause_reading(self) -> None:
        """Read no more until `resume_reading`."""
        if not self.reading_paused and self.alive:
            self.reading_paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Read again."""
        if self.reading_paused:
            self.reading_paused = False
            self.stamp = self.owner.now
            if self.alive and not self.transport.is_closing():
                self.transport.resume_reading()

    # httptools

    def on_message_begin(self) -> None:
        """A response begins; a second final one is surplus."""
        if self._complete:
            self._surplus = True
            return
        self._headers = []
        self._reason = b""
        self._in_head = True
        self._head_bytes = 0

    def on_status(self, reason: bytes) -> None:
        """Take the reason phrase."""
        self._reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; trailers are dropped (RFC 9110, section 6.5.1)."""
        if self._in_head:
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Pass the head on, as interim or final."""
        exchange, events = self.exchange, self._events
        if self._surplus or exchange is None or events is None:
            return
        self._in_head = False
        exchange.first_byte()
        head_only = exchange.request.method == b"HEAD"
        status = self._parser.get_status_code()
        if status < 200:
            if status != 101:
                events.upstream_informational(status, self._headers)
            return
        self._status = status
        self._until_close = not (
            self._parser.should_keep_alive() or head_only or status in (204, 304) or _framed(self._headers)
        )
        events.upstream_head(status, self._reason, self._headers)
        if head_only:
            # llhttp cannot be told that this one has no body: it is complete here, and the next needs a new parser.
            self._complete = True
            self._deliver = None
            self._keep = self._parser.should_keep_alive()
            self._fresh_parser = True

    def on_body(self, data: bytes) -> None:
        """Pass body bytes on. This is the hot path."""
        if self._deliver is not None:
            self._deliver(data, b"")
        else:
            self._surplus = True

    def on_chunk_header(self) -> None:
        """A chunk begins."""
        self._chunk_complete = False

    def on_chunk_complete(self) -> None:
        """A chunk has ended, its last CRLF included."""
        self._chunk_complete = True

    def on_message_complete(self) -> None:
        """The response is complete; an interim one is not the end."""
        if self._status >= 200 and not self._surplus:
            self._complete = True
            self._deliver = None
            self._keep = self._parser.should_keep_alive()  # known here only: llhttp forgets it right afterwards

    # Endings

    def _finish(self) -> None:
        """The answer is complete: pool or close the connection, then tell the relay."""
        exchange, events = self.exchange, self._events
        self.detach()
        if exchange is None or events is None:
            return
        keep = exchange.sent and not self._surplus and not self._until_close and self._keep and self.alive
        if keep:
            if self.reading_paused:
                self.resume_reading()
            self.owner.release(self)
        else:
            self.close()
        exchange.done()
        events.upstream_end()

    def _closed_early(self, exc: Exception | None) -> None:
        exchange = self.exchange
        assert exchange is not None
        untouched = not self.answered and exchange.replayable and self._nothing_consumed(exchange.sent_bytes, exc)
        self.detach()
        self.close()
        cause = "closed the connection" if exc is None else f"{type(exc).__name__}: {exc}"
        if untouched:
            exchange.resend()
        elif self._status:
            exchange.fail(UpstreamFailure(FailureStage.BODY, f"the provider broke off its answer ({cause})"))
        else:
            exchange.fail(UpstreamFailure(FailureStage.SEND, f"no answer ({cause})"))

    def _fail(self, message: str) -> None:
        exchange = self.exchange
        stage = FailureStage.BODY if self._status else FailureStage.SEND
        self.detach()
        self.close()
        if exchange is not None:
            exchange.fail(UpstreamFailure(stage, message))

    def time_out(self) -> None:
        """The provider was silent, or did not read, for too long."""
        exchange = self.exchange
        if exchange is not None:
            stage = FailureStage.BODY if self._status else FailureStage.SEND
            self.detach()
            self.close()
            exchange.fail(UpstreamFailure(stage, "timed out", timed_out=True))

    def _nothing_consumed(self, sent: int, exc: Exception | None) -> bool:
        """Whether the provider cannot have seen any of the SENT bytes of the present request (RFC 9110, 9.2.2).

        Either none was written yet, or the provider closed in order (EXC is None) and its kernel acknowledged none:
        a FIN acknowledges all that had come by then. A reset proves nothing, since acknowledgements may be delayed.
        What is not provable counts as consumed.
        """
        waiting = sum(map(len, self._unsent))
        if waiting >= sent:
            return True
        if exc is not None:
            return False
        unsent = waiting + self.transport.get_write_buffer_size()
        sock = self.transport.get_extra_info("socket")
        if sock is None or not sys.platform.startswith("linux"):
            return False
        import fcntl
        import termios

        try:
            queued: int = struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0\0\0\0"))[0]
        except OSError:
            return False
        return unsent + queued >= sent

    def close(self) -> None:
        """Close at once; what is unsent is lost."""
        self.alive = False
        self.owner.forget(self)
        self.transport.abort()


def _framed(headers: Headers) -> bool:
    """Whether the end of the body can be told from the head (RFC 9112, section 6.3)."""
    for name, value in headers:
        lower = name.lower()
        if lower == b"content-length":
            return True
        if lower == b"transfer-encoding":
            return value.rstrip().lower().endswith(b"chunked")
    return False
