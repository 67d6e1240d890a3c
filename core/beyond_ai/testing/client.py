"""A client that sends exactly the bytes it is given and shows exactly the bytes that came back.

    async with WireClient(host, port) as client:
        answer = await client.exchange(request(b"GET", b"/v1/models", [(b"host", b"any")]))
        assert answer.status == 200 and answer.complete

Ordinary clients normalise: they merge headers, hide how a body was framed, and make one error of every broken end.
"""

import asyncio
import contextlib
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

import httptools

from beyond_ai.testing.message import WireResponse

HEAD_END: Final = b"\r\n\r\n"
WITHOUT_BODY: Final = frozenset({204, 304})


class WireClient:
    """One connection. `received` holds every byte that came over it."""

    def __init__(self, host: str, port: int) -> None:
        self.received = bytearray()
        self._host = host
        self._port = port
        self._unparsed = bytearray()
        self._answer = WireResponse(complete=True)
        self._parser: httptools.HttpResponseParser | None = None
        self._until_close = False
        self._left: int | None = None
        self._head_only = False

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connection, whatever is under way on it."""
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def send(self, data: bytes) -> None:
        """Write DATA as it is and wait until the kernel has most of it."""
        self._writer.write(data)
        await self._writer.drain()

    async def exchange(self, data: bytes, within: float = 10.0) -> WireResponse:
        """Send one whole request and receive its whole response."""
        sending = asyncio.get_running_loop().create_task(self.send(data))
        try:
            return await self.receive(head_only=data.startswith(b"HEAD "), within=within)
        finally:
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await sending

    async def receive(self, size: int | None = None, *, head_only: bool = False, within: float = 5.0) -> WireResponse:
        """Receive until the response has ended or broken off, or until SIZE bytes of its body are there.

        SIZE 0 waits for the head alone. HEAD_ONLY is for the answer to a HEAD request. TimeoutError after WITHIN
        seconds, with what has come so far.
        """
        self._begin(head_only)
        answer = self._answer
        return await self._read(
            lambda: size is not None and answer.status > 0 and len(answer.body) >= size,
            within,
        )

    async def receive_interim(self, within: float = 5.0) -> WireResponse:
        """Receive until an interim (1xx) response has come, or a final one instead."""
        self._begin(head_only=False)
        answer = self._answer
        return await self._read(lambda: bool(answer.interim) or answer.status > 0, within)

    async def wait_closed(self, within: float = 5.0) -> bytes:
        """Wait until the other side closes; return what it sent in the meantime."""
        rest = bytearray()
        with contextlib.suppress(ConnectionError):
            while data := await asyncio.wait_for(self._reader.read(1 << 16), within):
                rest += data
        self.received += rest
        return bytes(rest)

    def _begin(self, head_only: bool) -> None:
        """Turn to the next response once the last is complete."""
        if self._answer.complete:
            self._answer = WireResponse()
            self._head_only, self._until_close = head_only, False
            self._take(b"")

    async def _read(self, enough: Callable[[], bool], within: float) -> WireResponse:
        answer = self._answer
        try:
            async with asyncio.timeout(within):
                while not (answer.complete or answer.broken or enough()):
                    await self._read_some(answer)
        except TimeoutError:
            so_far = f"status {answer.status}, {len(answer.body)} bytes of body"
            raise TimeoutError(f"the response has not come this far after {within:g} s: {so_far}") from None
        return answer

    async def _read_some(self, answer: WireResponse) -> None:
        try:
            data = await self._reader.read(1 << 16)
        except ConnectionError:
            answer.broken = True
            return
        if data:
            self.received += data
            self._take(data)
        elif self._until_close:
            answer.complete = True
        else:
            answer.broken = True

    def _take(self, data: bytes) -> None:
        """Take DATA in: heads are cut off whole, everything after one goes to the parser that holds it."""
        if self._parser is not None:
            self._feed(data)
            return
        self._unparsed += data
        while not self._answer.complete and (end := self._unparsed.find(HEAD_END)) >= 0:
            end += len(HEAD_END)
            head, rest = bytes(self._unparsed[:end]), bytes(self._unparsed[end:])
            del self._unparsed[:end]
            self._parser = self._parse_head(head)
            if self._parser is not None:
                self._unparsed.clear()
                self._feed(rest)
                return

    def _parse_head(self, head: bytes) -> httptools.HttpResponseParser | None:
        """Parse HEAD; return the parser where a body is to follow."""
        answer = self._answer
        parser = httptools.HttpResponseParser(self)
        parser.feed_data(head)
        status = parser.get_status_code()
        if status < 200:
            answer.interim.append(status)
            answer.reason, answer.headers, answer.complete = b"", [], False
            return None
        answer.status, answer.head = status, head
        if self._head_only or status in WITHOUT_BODY:
            answer.complete = True
        self._until_close = not {b"content-length", b"transfer-encoding"}.intersection(answer.names)
        length = answer.values(b"content-length")
        self._left = int(length[0]) if length and b"transfer-encoding" not in answer.names else None
        return None if answer.complete else parser

    def _feed(self, data: bytes) -> None:
        """Feed DATA to the parser, as far as it belongs to this body; the rest is the next response's."""
        assert self._parser is not None
        start = 0
        while start < len(data) and not self._answer.complete:
            end = self._possible_end(data, start)
            self._parser.feed_data(data[start:end])
            start = end
        if self._answer.complete:
            self._parser = None
            self._unparsed += data[start:]

    def _possible_end(self, data: bytes, start: int) -> int:
        """How far behind START in DATA the body goes for certain; a chunked one ends behind some line feed."""
        if self._left is not None:
            end = min(len(data), start + self._left)
            self._left -= end - start
            return end
        return len(data) if self._until_close else (data.find(b"\n", start) + 1 or len(data))

    def on_status(self, reason: bytes) -> None:
        """Take the next part of the reason phrase (httptools)."""
        self._answer.reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header (httptools)."""
        self._answer.headers.append((name, value))

    def on_body(self, data: bytes) -> None:
        """Take the next part of the body (httptools)."""
        self._answer.body += data

    def on_message_complete(self) -> None:
        """Take note that the message is whole (httptools)."""
        self._answer.complete = True
