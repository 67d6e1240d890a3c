"""The network below httpcore: sees each HTTP/1.1 answer as it passes, which httpcore does not show.

httpcore reads an answer only when the request is complete, drops interim responses, and takes bytes behind an answer
for the next one. A `Wire` watches for an answer while the body is still going up, tells of interim responses, and
knows whether an answer ended clean. On HTTP/2 it only passes bytes on.
"""

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import Iterable
from typing import Any, Final, Protocol

import httpcore
import httptools

from beyond_ai import Headers

READ_SIZE: Final = 65_536
"""Bytes asked of the kernel at a time."""
MAX_AHEAD: Final = 65_536
"""Bytes of an answer taken in while its request is still going up."""


class Listener(Protocol):
    """What a wire tells the exchange that uses it."""

    def wire_informational(self, status: int, headers: Headers) -> None:
        """An interim response (1xx but 101) has come."""

    def wire_answer(self) -> None:
        """A final answer has begun, or the connection is closed, with the request still going up."""

    def wire_interrupted(self) -> None:
        """A write was left to go on by itself, so that the answer can be read."""

    async def wire_flow(self) -> bool:
        """Wait while the answer is paused; return whether it was."""


class Answer:
    """Follows one HTTP/1.1 answer, to find interim responses, the final head, and bytes behind the end."""

    def __init__(self, *, head_only: bool) -> None:
        self.begun = False
        """the final head has come, or what will never become one"""
        self.clean = False
        """the answer has ended, and nothing lies behind it"""
        self.broken = ""
        """why it is not HTTP/1.1, if it is not"""
        self.interim: list[tuple[int, Headers]] = []
        self._head_only = head_only
        self._parser = httptools.HttpResponseParser(self)
        self._headers: Headers = []
        self._ended = False

    def feed(self, data: bytes) -> None:
        """Take in the next DATA; b"" is the end of the connection."""
        if self._ended or not data:
            self.begun, self.clean, self._ended = True, False, True
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.begun, self.clean, self._ended = True, False, True
        except httptools.HttpParserError as error:
            self.broken = "" if self.clean else str(error)
            self.begun, self.clean, self._ended = True, False, True

    def on_message_begin(self) -> None:
        """A response begins (httptools)."""
        if self._ended:
            self.clean = False
        self._headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header (httptools)."""
        if not self.begun:
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """A head is whole, interim or final (httptools)."""
        status = self._parser.get_status_code()
        if self._ended or status >= 200:
            self.begun = True
            if self._head_only:  # llhttp cannot be told that no body follows
                self.clean, self._ended = not self._ended, True
        elif status != 101:
            self.interim.append((status, self._headers))

    def on_body(self, _data: bytes) -> None:
        """Body bytes (httptools)."""
        if self._ended:
            self.clean = False

    def on_message_complete(self) -> None:
        """A response is complete (httptools)."""
        if self.begun and not self._ended:
            self.clean, self._ended = True, True


class Wire(httpcore.AsyncNetworkStream):
    """One stream of bytes to a provider or a proxy."""

    def __init__(self, stream: httpcore.AsyncNetworkStream, network: "Network") -> None:
        tls: ssl.SSLObject | None = stream.get_extra_info("ssl_object")
        self.http2 = tls is not None and tls.selected_alpn_protocol() == "h2"
        self._stream = stream
        self._network = network
        self._answer: Answer | None = None
        self._listener: Listener | None = None
        self._watch: asyncio.Task[None] | None = None
        self._ahead: deque[bytes] = deque()
        self._arrived = asyncio.Event()
        self._writing: asyncio.Task[None] | None = None

    def begin(self, listener: Listener, *, head_only: bool, has_body: bool) -> None:
        """A request goes out now; look for its answer while its body does."""
        self._listener = listener
        if self.http2:
            return
        self._answer = Answer(head_only=head_only)
        self._watch = asyncio.create_task(self._watch_for_answer(self._answer, listener)) if has_body else None

    @property
    def reusable(self) -> bool:
        """Whether the last answer ended clean and nothing has come since."""
        if self._answer is not None and (not self._answer.clean or self._ahead or self._watching or self._unwritten):
            return False
        return not self._stream.get_extra_info("is_readable")

    @property
    def _watching(self) -> bool:
        return self._watch is not None and not self._watch.done()

    @property
    def _unwritten(self) -> bool:
        return self._writing is not None and not self._writing.done()

    async def _watch_for_answer(self, answer: Answer, listener: Listener) -> None:
        try:
            while not answer.begun and sum(map(len, self._ahead)) < MAX_AHEAD:
                data = await self._stream.read(READ_SIZE)
                self._ahead.append(data)
                self._follow(data)
                self._arrived.set()
        finally:
            self._arrived.set()
            listener.wire_answer()

    def _follow(self, data: bytes) -> None:
        answer, listener = self._answer, self._listener
        if answer is None or listener is None:
            return
        answer.feed(data)
        interim, answer.interim = answer.interim, []
        for status, headers in interim:
            listener.wire_informational(status, headers)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - httpcore's interface
        """Read what was taken in ahead, else from the network. What can become no answer is not waited for."""
        while self._watch is not None and not self._ahead:
            if self._watch.done():
                watch, self._watch = self._watch, None
                watch.result()
            else:
                await self._wait_for_data(timeout)
        if self._ahead:
            data = self._ahead.popleft()
            if len(data) > max_bytes:
                self._ahead.appendleft(data[max_bytes:])
            return data[:max_bytes]
        if self._answer is not None and self._answer.broken:
            raise httpcore.RemoteProtocolError(f"not an HTTP/1.1 response: {self._answer.broken}")
        data = await self._receive(max_bytes, timeout)
        self._follow(data)
        return data

    async def _receive(self, max_bytes: int, timeout: float | None) -> bytes:  # noqa: ASYNC109 - as `read`
        """Read from the network, but not while the answer is paused: that silence is not the provider's."""
        listener = self._listener
        if listener is not None:
            await listener.wire_flow()
        while True:
            try:
                return await self._stream.read(max_bytes, timeout)
            except httpcore.ReadTimeout:
                if listener is None or not await listener.wire_flow():
                    raise

    async def _wait_for_data(self, within: float | None) -> None:
        self._arrived.clear()
        try:
            async with asyncio.timeout(within):
                await self._arrived.wait()
        except TimeoutError:
            raise httpcore.ReadTimeout("no answer in time") from None

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - httpcore's interface
        """Write BUFFER; when an answer comes before it is through, leave it to `write_rest` and raise WriteError.

        httpcore takes a WriteError for its sign to read the answer.
        """
        if self._watch is None or not buffer:
            await self._stream.write(buffer, timeout)
            return
        self._writing = asyncio.create_task(self._stream.write(buffer, timeout))
        await asyncio.wait({self._writing, self._watch}, return_when=asyncio.FIRST_COMPLETED)
        if self._writing.done():
            self._writing.result()
        elif self._listener is not None:
            self._listener.wire_interrupted()
            raise httpcore.WriteError("the answer has begun")

    async def write_rest(self, buffer: bytes, timeout: float | None) -> None:  # noqa: ASYNC109 - as `write`
        """Write BUFFER behind a write that was left; nothing stops this one."""
        if self._writing is not None:
            await asyncio.wait({self._writing})
            self._writing.result()
            self._writing = None
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        """Close at once."""
        tasks = [task for task in (self._watch, self._writing) if task is not None]
        self._watch = self._writing = None
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError, Exception):
                task.result()  # seen, so that it is not reported as lost
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's interface
    ) -> httpcore.AsyncNetworkStream:
        """Begin TLS; the wire that comes out takes this one's place."""
        return self._network.now_on(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        """What the network knows of itself."""
        return self._stream.get_extra_info(info)


class Network(httpcore.AsyncNetworkBackend):
    """The network of one connection; `wire` is its outermost stream."""

    def __init__(self, options: Iterable[httpcore.SOCKET_OPTION]) -> None:
        self.wire: Wire | None = None
        self._backend = httpcore.AnyIOBackend()
        self._options = list(options)

    def now_on(self, stream: httpcore.AsyncNetworkStream) -> Wire:
        """Go on with STREAM."""
        self.wire = Wire(stream, self)
        return self.wire

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's interface
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,  # noqa: ARG002 - ours are always set
    ) -> httpcore.AsyncNetworkStream:
        """Connect, whichever of the host's addresses answers first."""
        return self.now_on(await self._backend.connect_tcp(host, port, timeout, local_address, self._options))

    async def sleep(self, seconds: float) -> None:
        """Wait SECONDS."""
        await asyncio.sleep(seconds)
