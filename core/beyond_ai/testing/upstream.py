"""A scripted upstream: a real HTTP/1.1 server on loopback that plays any bytes, with any chunking, delay or reset.

    async with ScriptedUpstream() as upstream:
        upstream.play(ReadBody(), Send(response(200, [(b"x-request-id", b"req_1")], b"{}")))
        ...                                   # a client, or a gateway, sends its request to upstream.authority
        [request] = await upstream.wait_for_requests(1)
        assert request.header(b"authorization") == b"Bearer sk-fake"

Requests are parsed with llhttp and recorded as they came. A request that is not HTTP, or two in one piece (nothing
in front of a provider should pipeline), resets its connection and fails the `async with`.
"""

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import Callable, Iterable
from ssl import SSLContext
from types import TracebackType
from typing import Final, Self

from beyond_ai.testing.connection import Script, UpstreamConnection
from beyond_ai.testing.message import ReceivedRequest
from beyond_ai.testing.steps import ReadBody, Send, Step
from beyond_ai.testing.wire import response

Responder = Callable[[ReceivedRequest], Script]
"""Chooses a script when a request's head has come; its body may still be on the way."""

NOTHING_TO_PLAY: Final[Script] = (ReadBody(), Send(response(501, [], b"the scripted upstream has no script for this")))


class ScriptedUpstream:
    """A server that answers by script.

    `play` queues a script for the next request, in order of arrival over all connections; when none is queued,
    `default` serves: a script, or a function that chooses one for the request. LISTENER, a bound socket, lets
    several upstreams follow one another on one port; TLS makes it an HTTPS server. `requests` and `connections`
    hold everything seen, `errors` what was not HTTP.
    """

    def __init__(
        self,
        *,
        default: Script | Responder = NOTHING_TO_PLAY,
        listener: socket.socket | None = None,
        tls: SSLContext | None = None,
    ) -> None:
        self.default = default
        self.requests: list[ReceivedRequest] = []
        self.connections: list[UpstreamConnection] = []
        self.errors: list[str] = []
        self._queued: deque[Script] = deque()
        self._listener = listener
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._waiters: list[asyncio.Event] = []

    async def __aenter__(self) -> Self:
        listener = self._listener or socket.create_server(("127.0.0.1", 0))
        self._address: tuple[str, int] = listener.getsockname()[:2]
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: UpstreamConnection(self), sock=listener, ssl=self._tls)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
        if self.errors and error is None:
            raise AssertionError("the scripted upstream saw what should not be: " + "; ".join(self.errors))

    @property
    def host(self) -> str:
        """The address listened on."""
        return self._address[0]

    @property
    def port(self) -> int:
        """The port listened on."""
        return self._address[1]

    @property
    def authority(self) -> str:
        """`host:port`, as a provider's authority is written."""
        return f"{self.host}:{self.port}"

    @property
    def received(self) -> bytes:
        """Every byte received on every connection."""
        return b"".join(connection.received for connection in self.connections)

    def play(self, *script: Step) -> None:
        """Queue SCRIPT for the next request that has none yet."""
        self._queued.append(script)

    def answer(self, *parts: bytes) -> None:
        """Queue the plainest script: read the whole request, then send PARTS, each in a write of its own."""
        self.play(ReadBody(), *map(Send, parts))

    async def wait_for_requests(self, count: int, within: float = 5.0) -> tuple[ReceivedRequest, ...]:
        """Wait until COUNT request heads have come, then return all requests; TimeoutError after WITHIN seconds."""
        await self._expect(
            lambda: len(self.requests) >= count,
            within,
            lambda: f"{count} requests were expected, {len(self.requests)} came",
        )
        return tuple(self.requests)

    async def wait_answered(self, index: int = -1, within: float = 5.0) -> ReceivedRequest:
        """Wait until the script of request INDEX was played to its end; TimeoutError after WITHIN seconds."""
        await self._expect(
            lambda: bool(self.requests) and self.requests[index].answered,
            within,
            lambda: f"request {index} of {len(self.requests)} is still to be answered",
        )
        return self.requests[index]

    async def wait_closed(self, connection: int = -1, within: float = 5.0) -> UpstreamConnection:
        """Wait until connection number CONNECTION is gone; TimeoutError after WITHIN seconds."""
        await self._expect(
            lambda: bool(self.connections) and self.connections[connection].closed,
            within,
            lambda: f"connection {connection} of {len(self.connections)} is still open",
        )
        return self.connections[connection]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait, without a bound, until CONDITION holds; it is asked again whenever something happens here."""
        woken = asyncio.Event()
        self._waiters.append(woken)
        try:
            while not condition():
                woken.clear()
                await woken.wait()
        finally:
            self._waiters.remove(woken)

    async def aclose(self, within: float = 1.0) -> None:
        """Stop listening and close all connections; one whose client does not close it WITHIN seconds is reset."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.close()
        left = [connection for connection in self.connections if not connection.closed]
        for connection in left:
            connection.drop()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.until(lambda: all(connection.closed for connection in left)), within)
        for connection in left:
            if not connection.closed:
                connection.reset()
        await self.until(lambda: all(connection.closed for connection in left))
        for connection in self.connections:
            await connection.finished()
        await server.wait_closed()

    async def _expect(self, condition: Callable[[], bool], within: float, complaint: Callable[[], str]) -> None:
        try:
            await asyncio.wait_for(self.until(condition), within)
        except TimeoutError:
            raise TimeoutError(f"{complaint()} after {within:g} s") from None

    # What its connections call:

    def accepted(self, connection: UpstreamConnection) -> int:
        """Take note of a new CONNECTION; return its number."""
        self.connections.append(connection)
        self.changed()
        return len(self.connections) - 1

    def script_for(self, request: ReceivedRequest) -> Script:
        """Take note of REQUEST; return the script that it is answered with."""
        self.requests.append(request)
        if self._queued:
            return self._queued.popleft()
        return self.default(request) if callable(self.default) else self.default

    def failed(self, reason: str) -> None:
        """Take note of something that must not happen, for the end."""
        self.errors.append(reason)

    def changed(self) -> None:
        """Wake whoever waits for something to happen here."""
        for waiter in self._waiters:
            waiter.set()


def in_turn(answers: Iterable[bytes]) -> Responder:
    """A default that gives each of ANSWERS in turn and goes on with the last."""
    remaining = deque(answers)
    if not remaining:
        raise ValueError("at least one answer is needed")

    def respond(_request: ReceivedRequest) -> Script:
        answer = remaining.popleft() if len(remaining) > 1 else remaining[0]
        return (ReadBody(), Send(answer))

    return respond
