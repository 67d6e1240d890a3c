"""The transport behind the echo provider: an exchange that never leaves the process.

Everything is delivered from the event loop, never from within `open`, `send` or `resume`. A streamed answer is made
one event at a time as it is sent, `delay_ms` apart; a paused client stops the clock. The request body is held
whole, up to the gateway's own limit, because echo has to read it: the price of an upstream inside the process.
"""

import asyncio
import secrets
import time
from collections.abc import Iterator
from http import HTTPStatus

from beyond_ai import FailureStage, UpstreamEvents, UpstreamExchange, UpstreamFailure, UpstreamRequest
from beyond_ai_providers.echo.reply import Call, Reply
from beyond_ai_providers.echo.service import MAX_BODY, serve, too_large
from beyond_ai_providers.echo.transport import EchoSettings


class EchoTransport:
    """Opens exchanges with echo. `exchanges` holds those that have not ended."""

    def __init__(self, settings: EchoSettings) -> None:
        self.settings = settings
        self.exchanges: set[EchoExchange] = set()

    def open(self, request: UpstreamRequest, events: UpstreamEvents) -> UpstreamExchange:
        """Start an exchange; see `beyond_ai.spec.transport`."""
        return EchoExchange(self, request, events)

    async def aclose(self) -> None:
        """Abort what is open."""
        for exchange in list(self.exchanges):
            exchange.abort()


class EchoExchange:
    """One exchange.

    First it gathers the body; once that is whole, or too large, `reply` is set and sent piece by piece. `timer` is
    the next step where one is due, None while nothing may happen: no whole request yet, paused, or over.
    """

    def __init__(self, transport: EchoTransport, request: UpstreamRequest, events: UpstreamEvents) -> None:
        self.transport = transport
        self.request = request
        self.events = events
        self.loop = asyncio.get_running_loop()
        self.body = bytearray()
        self.received = False
        self.oversized = False
        self.paused = False
        self.over = False
        self.timer: asyncio.Handle | None = None
        self.pieces: Iterator[bytes] | None = None
        transport.exchanges.add(self)
        declared = request.content_length or 0
        if declared > MAX_BODY or not (declared or request.chunked):
            self.request_complete(oversized=declared > MAX_BODY)

    def send(self, data: bytes) -> None:
        """Keep the next DATA of the request body, or refuse what has grown too large."""
        if self.received or self.over:
            return
        self.body += data
        if len(self.body) > MAX_BODY:
            self.request_complete(oversized=True)

    def send_end(self) -> None:
        """Answer: the body is complete."""
        if not self.received and not self.over:
            self.request_complete(oversized=False)

    def pause(self) -> None:
        """Deliver nothing more until `resume`."""
        self.paused = True
        self.cancel_timer()

    def resume(self) -> None:
        """Go on delivering, one step's delay from now."""
        if self.paused:
            self.paused = False
            self.schedule(self.delay)

    def abort(self) -> None:
        """Give up; nothing is delivered any more."""
        self.over = True
        self.cancel_timer()
        self.pieces = None
        self.body = bytearray()
        self.transport.exchanges.discard(self)

    @property
    def delay(self) -> float:
        """Seconds between two pieces."""
        return self.transport.settings.delay_ms / 1000

    def request_complete(self, *, oversized: bool) -> None:
        """Note that nothing more is wanted of the client, and let the answer begin."""
        self.received = True
        self.oversized = oversized
        if not self.paused:
            self.schedule(0)

    def schedule(self, delay: float) -> None:
        """Take the next step DELAY seconds from now, if there is one to take."""
        if not self.received or self.over or self.timer is not None:
            return
        self.timer = self.loop.call_later(delay, self.step) if delay else self.loop.call_soon(self.step)

    def cancel_timer(self) -> None:
        """Take no step until the next `schedule`."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def step(self) -> None:
        """Deliver the head, the next piece or the end."""
        self.timer = None
        if self.pieces is None:
            self.begin()
        else:
            self.go_on(self.pieces)
        if not self.paused:
            self.schedule(self.delay)

    def begin(self) -> None:
        """Make the answer and deliver its head."""
        try:
            reply = self.make_reply()
        except Exception as error:  # noqa: BLE001 - a defect of echo, whichever: the client must get an answer
            self.fail(FailureStage.SEND, error)
            return
        self.body = bytearray()
        self.pieces = iter(reply.pieces)
        self.events.upstream_head(reply.status, HTTPStatus(reply.status).phrase.encode(), list(reply.headers))

    def go_on(self, pieces: Iterator[bytes]) -> None:
        """Deliver the next of PIECES, or the end when there is none."""
        try:
            piece = next(pieces, None)
        except Exception as error:  # noqa: BLE001 - likewise
            self.fail(FailureStage.BODY, error)
            return
        if piece is not None:
            self.events.upstream_body(piece)
        else:
            self.abort()
            self.events.upstream_end()

    def make_reply(self) -> Reply:
        """The answer to the request as it came."""
        call = Call(
            body=bytes(self.body),
            id=secrets.token_hex(12),
            time=int(time.time()),
            limit=self.transport.settings.max_output_tokens,
        )
        method, target = self.request.method.decode("latin-1"), self.request.target.decode("latin-1")
        respond = too_large if self.oversized else serve
        return respond(method, target, self.request.headers, call)

    def fail(self, stage: FailureStage, error: Exception) -> None:
        """End the exchange with a failure: ERROR is a defect of echo."""
        self.abort()
        self.events.upstream_failed(UpstreamFailure(stage, "echo failed", error=error))
