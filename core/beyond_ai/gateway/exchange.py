"""One request and its answer: the state machine that joins the client's side and the provider's.

It does no io. Either side tells it what happened (`client_*`, `upstream_*`), and it tells the other side what to do,
by a direct call. What it decides is when: which phase comes next stands in one table, `_NEXT`.

    SENDING    the request body goes up, no answer yet
    WAITING    the request is complete, no answer yet
    EARLY      the answer comes while the body is still going up
    ANSWERING  the request is complete, the answer comes
    ENDED      nothing more happens
"""

from collections.abc import Callable
from enum import IntEnum, auto
from typing import Final, Protocol

from beyond_ai.gateway.body_budget import BodyBudget, Reservation
from beyond_ai.gateway.breaker import Permit
from beyond_ai.gateway.decoding import decoding_tap
from beyond_ai.gateway.drain import Drains
from beyond_ai.gateway.headers import ResponseHead, header_lines
from beyond_ai.gateway.in_flight import InFlight
from beyond_ai.gateway.include_usage import HOLD_BYTES, UsageForcer
from beyond_ai.gateway.metering import Meter
from beyond_ai.gateway.redaction import Redactor, without_secret
from beyond_ai.gateway.rejection import (
    BODY_MEMORY,
    BODY_TOO_LARGE,
    MAX_BODY,
    UNREACHABLE,
    UPSTREAM_FAILED,
    UPSTREAM_TIMEOUT,
    Rejection,
)
from beyond_ai.gateway.withhold import UsageFrameFilter
from beyond_ai.spec.transport import (
    FailureStage,
    Headers,
    Transport,
    UpstreamExchange,
    UpstreamFailure,
    UpstreamRequest,
)
from beyond_ai.spec.usage_event import Outcome

COLLECT_BYTES: Final = 512 * 1024
"""How long a body that may have to change can be to be collected first, so that its new length can be stated. A longer
one goes up in chunks as it comes."""


class Phase(IntEnum):
    """Where an exchange stands."""

    SENDING = auto()
    WAITING = auto()
    EARLY = auto()
    ANSWERING = auto()
    ENDED = auto()


class Step(IntEnum):
    """What moves an exchange on."""

    REQUEST_END = auto()
    RESPONSE_HEAD = auto()
    RESPONSE_END = auto()
    BREAK = auto()
    """refused, failed or abandoned"""


_NEXT: Final = {
    (Phase.SENDING, Step.REQUEST_END): Phase.WAITING,
    (Phase.SENDING, Step.RESPONSE_HEAD): Phase.EARLY,
    (Phase.SENDING, Step.BREAK): Phase.ENDED,
    (Phase.WAITING, Step.RESPONSE_HEAD): Phase.ANSWERING,
    (Phase.WAITING, Step.BREAK): Phase.ENDED,
    (Phase.EARLY, Step.REQUEST_END): Phase.ANSWERING,
    (Phase.EARLY, Step.RESPONSE_END): Phase.ENDED,
    (Phase.EARLY, Step.BREAK): Phase.ENDED,
    (Phase.ANSWERING, Step.RESPONSE_END): Phase.ENDED,
    (Phase.ANSWERING, Step.BREAK): Phase.ENDED,
}


class ClientSide(Protocol):
    """What an exchange may ask of the client's side."""

    def informational(self, status: int, headers: Headers) -> None:
        """Pass an interim response on."""

    def head(self, status: int, reason: bytes, head: ResponseHead, bodiless: bool) -> None:
        """Send the response head; BODILESS is whether a body is out of the question, whatever the headers say."""

    def body(self, data: bytes, framed: bytes = b"") -> None:
        """Send the next DATA of the response body; FRAMED as `UpstreamEvents.upstream_body` has it."""

    def end(self) -> None:
        """End the response properly."""

    def refuse(self, rejection: Rejection) -> None:
        """Answer with a refusal of our own; no head has been sent."""

    def abort(self) -> None:
        """Break the connection, so that a response that was begun is seen to be incomplete."""

    def pause_reading(self) -> None:
        """Read no more of the request."""

    def resume_reading(self) -> None:
        """Go on reading the request."""


class _Onward:
    """In the place of a tap: hands on what it is fed."""

    def __init__(self, feed: Callable[[bytes], None]) -> None:
        self.feed = feed


class _Gone:
    """In the place of a client that has left, while its answer is drained."""

    def informational(self, status: int, headers: Headers) -> None:
        """Nobody is there."""

    def head(self, status: int, reason: bytes, head: ResponseHead, bodiless: bool) -> None:
        """Nobody is there."""

    def body(self, data: bytes, framed: bytes = b"") -> None:
        """Nobody is there."""

    def end(self) -> None:
        """Nobody is there."""

    def refuse(self, rejection: Rejection) -> None:
        """Nobody is there."""

    def abort(self) -> None:
        """Nobody is there."""

    def pause_reading(self) -> None:
        """Nobody is there."""

    def resume_reading(self) -> None:
        """Nobody is there."""


class Exchange:
    """One admitted request. Feeds the meter, keeps the limit on the request body, ends exactly once."""

    __slots__ = (
        "_client",
        "_client_body",
        "_collected",
        "_decode",
        "_drains",
        "_filter",
        "_forcer",
        "_has_body",
        "_head_only",
        "_in_flight",
        "_meter",
        "_pending",
        "_permit",
        "_received",
        "_redactor",
        "_reservation",
        "_scan",
        "_secret",
        "_tap",
        "_upstream",
        "_upstream_slow",
        "drained",
        "phase",
    )

    def __init__(
        self,
        client: ClientSide,
        meter: Meter,
        *,
        has_body: bool,
        method: bytes,
        secret: bytes | None = None,
        drains: Drains | None = None,
        permit: Permit | None = None,
        in_flight: InFlight | None = None,
    ) -> None:
        """HAS_BODY is whether the head announces a body; SECRET is the pool key that must not come back.

        DRAINS is given where the provider goes on, and bills, when a client leaves. PERMIT is the breaker's, and
        IN_FLIGHT the tenant's place; both are given back at the end.
        """
        self.phase = Phase.SENDING
        self.drained = 0
        """bytes that came after the client had left"""
        self._client = client
        self._client_body: Callable[[bytes, bytes], None] = client.body
        self._meter = meter
        self._tap = meter.tap
        self._decode: Callable[[bytes], None] | None = None
        self._scan = meter.scan
        self._has_body = has_body
        self._head_only = method == b"HEAD"
        self._received = 0
        self._upstream_slow = False
        self._secret = secret
        self._drains = drains
        self._permit = permit
        self._in_flight = in_flight
        self._redactor: Redactor | None = None
        self._forcer: UsageForcer | None = None
        self._filter: UsageFrameFilter | None = None
        self._collected: list[bytes] | None = None
        self._reservation: Reservation | None = None
        self._pending: tuple[Transport, UpstreamRequest] | None = None
        self._upstream: UpstreamExchange | None = None

    def open(self, transport: Transport, request: UpstreamRequest) -> None:
        """Start the provider's side."""
        self._upstream = transport.open(request, self)

    def open_asking(
        self, transport: Transport, request: UpstreamRequest, budget: BodyBudget, *, expects_continue: bool
    ) -> None:
        """Start the provider's side for a REQUEST whose body, if it is for a stream, is made to ask for usage.

        It is read first (EXPECTS_CONTINUE is whether the client waits to be told), and sent when its length is known;
        meanwhile it takes of BUDGET.
        """
        scanner = self._meter.scanner
        assert scanner is not None
        if expects_continue:
            self._client.informational(100, [])
        if request.content_length is not None and request.content_length <= COLLECT_BYTES:
            self._forcer = UsageForcer(scanner)
            self._collected = []
            self._pending = transport, request
            self._reservation = budget.reservation()
        else:
            self._forcer = UsageForcer(scanner, HOLD_BYTES)
            self.open(transport, request.framed(None))

    def _move(self, step: Step) -> bool:
        """Take STEP; False when it comes too late, because the exchange has ended."""
        phase = _NEXT.get((self.phase, step))
        if phase is None:
            return False
        self.phase = phase
        return True

    # What the client's side tells

    def client_body(self, data: bytes) -> None:
        """Take the next DATA of the request body."""
        if self.phase is Phase.ENDED:
            return
        self._received += len(data)
        if self._received > MAX_BODY:
            self._give_up(BODY_TOO_LARGE, Outcome.CUT_SHORT)
            return
        forcer = self._forcer
        if forcer is not None:
            if self._reservation is not None and not self._reserve(self._reservation, len(data)):
                self._give_up(BODY_MEMORY, Outcome.CUT_SHORT)
                return
            data = forcer.feed(data)
            if not data:
                return
            if self._collected is not None:
                self._collected.append(data)
                return
        elif self._scan is not None:
            self._scan(data)
        if self._upstream is not None:
            self._upstream.send(data)

    def _reserve(self, reservation: Reservation, size: int) -> bool:
        """Whether SIZE bytes more of a body may be held; those of one that is complete now are not."""
        assert self._pending is not None
        if self._received == self._pending[1].content_length and not reservation.size:
            return True
        return reservation.grow(size)

    def client_end(self) -> None:
        """Take the end of the request."""
        if not self._move(Step.REQUEST_END) or not self._has_body:
            return
        if self._forcer is not None:
            self._end_asking(self._forcer)
        if self._upstream is not None:
            self._upstream.send_end()

    def _end_asking(self, forcer: UsageForcer) -> None:
        """Send what is left of a body that was made to ask for usage."""
        pieces = self._collected or []
        if rest := forcer.end():
            pieces.append(rest)
        if self._pending is not None:
            transport, request = self._pending
            self._pending = self._collected = None
            length = sum(map(len, pieces))
            self.open(transport, request if length == self._received else request.framed(length))
        if self._upstream is not None:
            for piece in pieces:
                self._upstream.send(piece)

    def client_lost(self) -> None:
        """The client is gone: the provider's side is let go at once, or drained where it would go on all the same."""
        if self._drain():
            return
        delivered = self._delivered
        if self._move(Step.BREAK):
            self._abort_upstream()
            self._finish(Outcome.CLIENT_CANCELLED, delivered=delivered)

    def client_timeout(self, rejection: Rejection) -> None:
        """The client stopped sending, or stopped reading."""
        client = self._client
        if self._drain():
            client.abort()
        else:
            self._give_up(rejection, Outcome.CLIENT_CANCELLED)

    def client_pause(self) -> None:
        """The client is slow: read no more from the provider."""
        if self._upstream is not None:
            self._upstream.pause()

    def client_resume(self) -> None:
        """The client has caught up."""
        if self._upstream is not None:
            self._upstream.resume()

    # What the provider's side tells

    def upstream_connect_retry(self) -> None:
        """One more attempt to connect."""
        self._meter.connect_retry()

    def upstream_informational(self, status: int, headers: Headers) -> None:
        """Pass an interim response on."""
        kept = ResponseHead(headers).headers
        self._client.informational(status, kept if self._secret is None else without_secret(kept, self._secret))

    def upstream_head(self, status: int, reason: bytes, headers: Headers) -> None:
        """Pass the response head on."""
        if not self._move(Step.RESPONSE_HEAD):
            return
        if self._permit is not None:
            if status >= 500:
                self._permit.failure()
            else:
                self._permit.success()
        if self._reservation is not None:
            self._reservation.release()
        head = ResponseHead(headers)
        if self._secret is not None:
            if self._secret in head.lines:
                head.headers = without_secret(head.headers, self._secret)
                head.lines = header_lines(head.headers)
            if status >= 400:
                self._redactor = Redactor(self._secret)
                self._client_body = self._redacted
        self._meter.response_head(status, head.streaming)
        decode = self._meter.decode(head.encoding) if head.encoding else None
        if decode is not None:
            self._decode = decode
            if self._redactor is not None:
                self._client_body = self._decoded_for_client(head)
        elif self._forcer is not None and self._forcer.added and head.streaming and status < 300:
            self._filter = UsageFrameFilter()
            self._client_body = self._filtered
            head.length = None
        self._client.head(status, reason, head, self._head_only or status in (204, 304))

    def upstream_body(self, data: bytes, framed: bytes = b"") -> None:
        """Pass DATA on. This is the hot path: one call for each chunk."""
        if self._decode is None:
            self._tap.feed(data)
        else:
            self._decode(data)
        self._client_body(data, framed)

    def _redacted(self, data: bytes, _framed: bytes = b"") -> None:
        assert self._redactor is not None
        clean = self._redactor.feed(data)
        if clean:
            self._client.body(clean)

    def _decoded_for_client(self, head: ResponseHead) -> Callable[[bytes, bytes], None]:
        """Let an error that came compressed go on decoded, as HEAD then says: a pool key in it could not be seen.

        Identity was asked for. What cannot be decoded does not go on.
        """
        head.headers = [header for header in head.headers if header[0].lower() != b"content-encoding"]
        head.lines = header_lines(head.headers)
        head.length = None
        decoding = decoding_tap(head.encoding, _Onward(self._redacted))
        assert decoding is not None
        feed = decoding.feed
        return lambda data, _framed: feed(data)

    def _filtered(self, data: bytes, framed: bytes) -> None:
        assert self._filter is not None
        kept = self._filter.feed(data)
        if kept:
            self._client.body(kept, framed if kept is data else b"")

    def _discarded(self, data: bytes, _framed: bytes) -> None:
        self.drained += len(data)
        if self._drains is not None:
            self._drains.discarded(self)

    def upstream_end(self) -> None:
        """The whole answer has come."""
        if self._move(Step.RESPONSE_END):
            self._flush_held()
            self._finish(Outcome.OK)
            if self._client is _GONE and self._drains is not None:
                self._drains.ended(self, complete=True)
            self._upstream = None  # a cycle: the transport's exchange has this one
            self._client.end()

    def upstream_failed(self, failure: UpstreamFailure) -> None:
        """The provider's side failed: refuse if nothing was sent to the client yet, else break its connection."""
        answered, delivered = self.phase in (Phase.EARLY, Phase.ANSWERING), self._delivered
        if not self._move(Step.BREAK):
            return
        self._meter.failure(failure)
        if self._client is _GONE and self._drains is not None:
            self._drains.ended(self, complete=False)
        if answered:
            if self._redactor is not None and (rest := self._redactor.end()):
                self._client.body(rest)
            self._finish(Outcome.CUT_SHORT)
            self._client.abort()
            return
        if self._permit is not None:
            self._permit.failure()
        delivered = delivered and failure.timed_out and failure.stage is not FailureStage.CONNECT
        refusal = UPSTREAM_TIMEOUT if failure.timed_out else UPSTREAM_FAILED
        if failure.stage is FailureStage.CONNECT:
            refusal = UNREACHABLE
        self._meter.refused(refusal)
        self._finish(Outcome.UPSTREAM_ERROR, delivered=delivered)
        self._client.refuse(refusal)

    def upstream_pause(self) -> None:
        """The provider is slow, or not reached yet: read no more from the client."""
        self._upstream_slow = True
        self._client.pause_reading()

    def upstream_resume(self) -> None:
        """The provider has caught up."""
        self._upstream_slow = False
        self._client.resume_reading()

    # Endings

    def _finish(self, outcome: Outcome, *, delivered: bool = False) -> None:
        """Account for the exchange, and give back what it holds."""
        if self._permit is not None:
            self._permit.release()
        if self._in_flight is not None:
            self._in_flight.leave()
        if self._reservation is not None:
            self._reservation.release()
        self._meter.finish(outcome, delivered=delivered)

    @property
    def _delivered(self) -> bool:
        """Whether the provider has the whole request, as far as the transport has said, and has not answered."""
        return self.phase is Phase.WAITING and self._upstream is not None and not self._upstream_slow

    def _flush_held(self) -> None:
        """Pass on what a filter held back, now that nothing more comes."""
        if self._redactor is not None and (rest := self._redactor.end()):
            self._client.body(rest)
        if self._filter is not None and (rest := self._filter.end()):
            self._client.body(rest)

    def _give_up(self, rejection: Rejection, outcome: Outcome) -> None:
        answered, delivered = self.phase in (Phase.EARLY, Phase.ANSWERING), self._delivered
        if not self._move(Step.BREAK):
            return
        self._abort_upstream()
        if not answered:
            self._meter.refused(rejection)
        self._finish(outcome, delivered=delivered)
        if answered:
            self._client.abort()
        else:
            self._client.refuse(rejection)

    def _drain(self) -> bool:
        """Go on without the client, so that the exact usage is heard; False where that is not to be had."""
        if (
            self._drains is None
            or self._upstream is None
            or not (self._delivered or self.phase is Phase.ANSWERING)
            or self._meter.has_ended
            or not self._drains.begin(self)
        ):
            return False
        self._client = _GONE
        self._client_body = self._discarded
        self._redactor = self._filter = None
        self._meter.client_left()
        self._upstream.resume()
        return True

    def stop_draining(self) -> None:
        """Let the provider's side go: a bound was reached."""
        delivered = self._delivered
        if self._move(Step.BREAK):
            self._abort_upstream()
            self._finish(Outcome.CLIENT_CANCELLED, delivered=delivered)

    def _abort_upstream(self) -> None:
        if self._upstream is not None:
            self._upstream.abort()
            self._upstream = None
        self._collected = self._pending = None


_GONE: Final = _Gone()
