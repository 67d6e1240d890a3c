"""One exchange: a task that drives httpcore, between two bounded streams."""

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterable, Mapping
from typing import TYPE_CHECKING, Final

import h2.exceptions
import httpcore

from beyond_ai import FailureStage, Headers, UpstreamEvents, UpstreamFailure, UpstreamRequest
from beyond_ai_plugins.transports.httpx.upload import Upload

if TYPE_CHECKING:
    from beyond_ai_plugins.transports.httpx.transport import HttpxTransport, Link

CONNECT_TRIES: Final = 3
"""Attempts to connect, each over all addresses."""
RETRY_PAUSE: Final = 0.05
"""Seconds before the second attempt; twice that before the third."""


class HttpxExchange:
    """An exchange on a connection of its own, for as long as it lasts."""

    def __init__(self, owner: "HttpxTransport", request: UpstreamRequest, events: UpstreamEvents) -> None:
        self._owner = owner
        self._request = request
        self._events = events
        self._stage = FailureStage.CONNECT
        self._over = False
        self._link: Link | None = None
        self._deadline: asyncio.Timeout | None = None
        self._has_body = request.chunked or request.content_length is not None
        self._upload = Upload(events, complete=not request.chunked and not request.content_length)
        self._uploaded = False
        """httpcore has the whole body"""
        self._early = False
        """the answer came before that"""
        self._rest: asyncio.Task[None] | None = None
        self._flow = asyncio.Event()
        self._flow.set()
        self.task = asyncio.create_task(self._run())

    # What the relay asks for

    def send(self, data: bytes) -> None:
        """Queue the next bytes of the body."""
        if not self._over:
            self._upload.put(data)

    def send_end(self) -> None:
        """End the body."""
        self._upload.end()

    def pause(self) -> None:
        """Stop reading the answer."""
        self._flow.clear()

    def resume(self) -> None:
        """Go on reading the answer."""
        self._flow.set()

    def abort(self) -> None:
        """Let go of the provider at once."""
        if not self._over:
            self._over = True
            self._upload.drop()
            self.task.cancel()

    # The task

    async def _run(self) -> None:
        try:
            await self._connect_and_exchange()
        except Exception as error:  # noqa: BLE001 - whatever it was, the client must get an answer
            self._fail(error)
        finally:
            self._owner.done(self)

    async def _connect_and_exchange(self) -> None:
        for attempt in range(1, CONNECT_TRIES + 1):
            try:
                await self._exchange()
                return
            except (httpcore.NetworkError, httpcore.TimeoutException, TimeoutError) as error:
                if self._stage is not FailureStage.CONNECT or attempt == CONNECT_TRIES or _final(error):
                    raise
            await asyncio.sleep(RETRY_PAUSE * attempt)
            if not self._over:
                self._events.upstream_connect_retry()

    async def _exchange(self) -> None:
        link = self._link = self._owner.take(self._request)
        body = self._body()
        ended = False
        try:
            response = await self._send(link, body)
            ended = await self._answer(response)
            await response.aclose()
        finally:
            if self._rest is not None:
                self._rest.cancel()
            self._owner.put_back(link, body, reusable=ended)
        if ended and not self._over:
            self._over = True
            self._upload.drop()
            self._events.upstream_end()

    async def _send(self, link: "Link", body: AsyncGenerator[bytes, None]) -> httpcore.Response:
        """Connect if need be, send the request, and return when the head of the answer has come."""
        request, settings = self._request, self._owner.settings
        headers = list(request.headers)
        if request.chunked:
            headers.append((b"transfer-encoding", b"chunked"))
        elif request.content_length is not None:
            headers.append((b"content-length", b"%d" % request.content_length))
        outgoing = httpcore.Request(
            method=request.method,
            url=httpcore.URL(
                scheme=b"https" if request.tls else b"http",
                host=request.host.encode("ascii"),
                port=request.port,
                target=request.target,
            ),
            headers=headers,
            content=body,
            extensions={
                "timeout": {"read": settings.read_timeout, "write": settings.write_timeout},
                "trace": self._traced,
            },
        )
        # One limit over all of connecting: httpcore has none on the words exchanged with a SOCKS proxy.
        async with asyncio.timeout(settings.connect_timeout) as self._deadline:
            return await link.connection.handle_async_request(outgoing)

    async def _traced(self, name: str, info: Mapping[str, object]) -> None:
        """Note the moment when the request goes out, to the provider and not to a proxy on the way."""
        if not name.endswith(".send_request_headers.started"):
            return
        request, deadline, link = info["request"], self._deadline, self._link
        assert isinstance(request, httpcore.Request)
        assert deadline is not None
        assert link is not None
        if request.method == b"CONNECT":
            return
        if deadline.expired():
            raise TimeoutError
        deadline.reschedule(None)
        self._stage = FailureStage.SEND
        wire = link.network.wire
        assert wire is not None
        wire.begin(self, head_only=self._request.method == b"HEAD", has_body=not self._upload.complete)

    async def _answer(self, response: httpcore.Response) -> bool:
        """Pass the answer on; False when the exchange was given up meanwhile."""
        if response.status == 101:
            raise httpcore.RemoteProtocolError("the provider switched protocols unasked")
        if self._given_up():
            return False
        self._stage = FailureStage.BODY
        reason = response.extensions.get("reason_phrase", b"")
        self._events.upstream_head(response.status, bytes(reason), response.headers)
        assert isinstance(response.stream, AsyncIterable)
        async for data in response.stream:
            await self._flow.wait()
            if self._given_up():
                return False
            if data:
                self._events.upstream_body(data)
        await self._flow.wait()
        return not self._given_up()

    def _given_up(self) -> bool:
        """Whether `abort` was called; any event may lead to that."""
        return self._over

    def _fail(self, error: Exception) -> None:
        if self._over:
            return
        self._over = True
        self._upload.drop()
        unforeseen = None if isinstance(error, (OSError, *_EXPECTED)) else error
        timed_out = isinstance(error, (TimeoutError, httpcore.TimeoutException))
        where = f"{self._request.host}:{self._request.port}"
        self._events.upstream_failed(UpstreamFailure(self._stage, f"{where}: {_plain(error)}", timed_out, unforeseen))

    # The request body

    async def _body(self) -> AsyncGenerator[bytes, None]:
        """The body as httpcore asks for it; a WriteError makes it turn to the answer (HTTP/1.1)."""
        upload = self._upload
        while self._has_body:
            if self._early and not (upload.complete and not upload.waiting):
                self.wire_interrupted()
                raise httpcore.WriteError("the answer has begun")
            if upload.waiting:
                yield upload.take()
            elif upload.complete:
                break
            else:
                await upload.wait()
        self._uploaded = True

    async def _send_rest(self) -> None:
        """Send what httpcore has left, beside the answer."""
        assert self._link is not None
        wire = self._link.network.wire
        assert wire is not None
        upload, chunked, timeout = self._upload, self._request.chunked, self._owner.settings.write_timeout
        try:
            await wire.write_rest(b"", timeout)
            while upload.waiting or not upload.complete:
                if upload.waiting:
                    data = upload.take()
                    await wire.write_rest(b"%x\r\n%b\r\n" % (len(data), data) if chunked else data, timeout)
                else:
                    await upload.wait()
            if chunked and not self._uploaded:
                await wire.write_rest(b"0\r\n\r\n", timeout)
        except (httpcore.NetworkError, httpcore.TimeoutException):
            pass  # the answer, which has begun, says how this ends

    # What the wire tells

    def wire_informational(self, status: int, headers: Headers) -> None:
        """Pass an interim response on."""
        if not self._over:
            self._events.upstream_informational(status, headers)

    def wire_answer(self) -> None:
        """Stop handing the body to httpcore: it would not read the answer before the end."""
        self._early = True
        self._upload.wake()

    def wire_interrupted(self) -> None:
        """Send the rest of the body beside the answer."""
        if self._rest is None:
            self._rest = asyncio.create_task(self._send_rest())

    async def wire_flow(self) -> bool:
        """Wait while the client is slow; return whether it was."""
        if self._flow.is_set():
            return False
        await self._flow.wait()
        return True


_EXPECTED: Final = (
    httpcore.NetworkError,
    httpcore.TimeoutException,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.ConnectionNotAvailable,
    h2.exceptions.H2Error,
)


def _final(error: BaseException) -> bool:
    """Whether another attempt to connect would end the same: no such name, or no trust."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, (ssl.SSLCertVerificationError, socket.gaierror)):
            return True
        cause = cause.__cause__
    return False


def _plain(error: Exception) -> str:
    """What happened. The words of a protocol error of ours may quote a header, so they are not repeated."""
    if isinstance(error, (httpcore.LocalProtocolError, h2.exceptions.H2Error)):
        return f"{type(error).__name__}: the request, or the answer to it, breaks HTTP's rules"
    text = str(error) or str(error.__cause__ or "")
    if not text:
        text = "no answer in time" if isinstance(error, (TimeoutError, httpcore.TimeoutException)) else "broken off"
    return f"{type(error).__name__}: {text[:200]}"
