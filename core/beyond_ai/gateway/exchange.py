"""One request and its answer: the state machine that joins the client's side and the provider's.

It does no io. Either side tells it what happened (`client_*`, `upstream_*`), and it tells the other side what to do,
by a direct call. What it decides is when: which phase comes next stands in one table, `_NEXT`.

    SENDING    the request body goes up, no answer yet
    WAITING    the request is complete, no answer yet
    EARLY      the answer comes while the body is still going up
    ANSWERING  the request is complete, the answer comes
    ENDED      nothing more happens
"""

from enum import IntEnum, auto
from typing import Final, Protocol

from beyond_ai.gateway.headers import ResponseHead, header_lines
from beyond_ai.gateway.metering import Meter
from beyond_ai.gateway.redaction import Redactor, without_secret
from beyond_ai.gateway.rejection import (
    BODY_TOO_LARGE,
    MAX_BODY,
    UNREACHABLE,
    UPSTREAM_FAILED,
    UPSTREAM_TIMEOUT,
    Rejection,
)
from beyond_ai.spec.sink import Outcome
from beyond_ai.spec.transport import (
    FailureStage,
    Headers,
    Transport,
    UpstreamExchange,
    UpstreamFailure,
    UpstreamRequest,
)


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

    def body(self, data: bytes) -> None:
        """Send the next DATA of the response body."""

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


class Exchange:
    """One admitted request. Feeds the meter, keeps the limit on the request body, ends exactly once."""

    __slots__ = (
        "_client",
        "_client_body",
        "_has_body",
        "_head_only",
        "_meter",
        "_received",
        "_redactor",
        "_scan",
        "_secret",
        "_tap",
        "_upstream",
        "phase",
    )

    def __init__(
        self, client: ClientSide, meter: Meter, *, has_body: bool, method: bytes, secret: bytes | None = None
    ) -> None:
        """HAS_BODY is whether the head announces a body; SECRET is the pool key that must not come back."""
        self.phase = Phase.SENDING
        self._client = client
        self._client_body = client.body
        self._meter = meter
        self._tap = meter.tap.feed
        self._scan = meter.scan
        self._has_body = has_body
        self._head_only = method == b"HEAD"
        self._received = 0
        self._secret = secret
        self._redactor: Redactor | None = None
        self._upstream: UpstreamExchange | None = None

    def open(self, transport: Transport, request: UpstreamRequest) -> None:
        """Start the provider's side."""
        self._upstream = transport.open(request, self)

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
        if self._upstream is None or self.phase is Phase.ENDED:
            return
        self._received += len(data)
        if self._received > MAX_BODY:
            self._give_up(BODY_TOO_LARGE, Outcome.CUT_SHORT)
            return
        if self._scan is not None:
            self._scan(data)
        self._upstream.send(data)

    def client_end(self) -> None:
        """Take the end of the request."""
        if self._move(Step.REQUEST_END) and self._has_body and self._upstream is not None:
            self._upstream.send_end()

    def client_lost(self) -> None:
        """The client is gone: the provider's side is let go at once."""
        if self._move(Step.BREAK):
            self._abort_upstream()
            self._meter.finish(Outcome.CLIENT_CANCELLED)

    def client_timeout(self, rejection: Rejection) -> None:
        """The client stopped sending, or stopped reading."""
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
        self._client.informational(status, ResponseHead(headers).headers)

    def upstream_head(self, status: int, reason: bytes, headers: Headers) -> None:
        """Pass the response head on."""
        if not self._move(Step.RESPONSE_HEAD):
            return
        head = ResponseHead(headers)
        if self._secret is not None:
            if self._secret in head.lines:
                head.headers = without_secret(head.headers, self._secret)
                head.lines = header_lines(head.headers)
            if status >= 400:
                self._redactor = Redactor(self._secret)
                self._client_body = self._redacted
        self._meter.response_head(status, head.streaming)
        self._client.head(status, reason, head, self._head_only or status in (204, 304))

    def upstream_body(self, data: bytes) -> None:
        """Pass DATA on. This is the hot path: one call for each chunk."""
        self._tap(data)
        self._client_body(data)

    def _redacted(self, data: bytes) -> None:
        assert self._redactor is not None
        clean = self._redactor.feed(data)
        if clean:
            self._client.body(clean)

    def upstream_end(self) -> None:
        """The whole answer has come."""
        if self._move(Step.RESPONSE_END):
            if self._redactor is not None and (rest := self._redactor.end()):
                self._client.body(rest)
            self._meter.finish(Outcome.OK)
            self._upstream = None  # a cycle: the transport's exchange has this one
            self._client.end()

    def upstream_failed(self, failure: UpstreamFailure) -> None:
        """The provider's side failed: refuse if nothing was sent to the client yet, else break its connection."""
        answered = self.phase in (Phase.EARLY, Phase.ANSWERING)
        if not self._move(Step.BREAK):
            return
        self._meter.failure(failure)
        if answered:
            self._meter.finish(Outcome.CUT_SHORT)
            self._client.abort()
            return
        self._meter.finish(Outcome.UPSTREAM_ERROR)
        if failure.stage is FailureStage.CONNECT:
            self._client.refuse(UNREACHABLE)
        else:
            self._client.refuse(UPSTREAM_TIMEOUT if failure.timed_out else UPSTREAM_FAILED)

    def upstream_pause(self) -> None:
        """The provider is slow: read no more from the client."""
        self._client.pause_reading()

    def upstream_resume(self) -> None:
        """The provider has caught up."""
        self._client.resume_reading()

    # Endings

    def _give_up(self, rejection: Rejection, outcome: Outcome) -> None:
        answered = self.phase in (Phase.EARLY, Phase.ANSWERING)
        if not self._move(Step.BREAK):
            return
        self._abort_upstream()
        self._meter.finish(outcome)
        if answered:
            self._client.abort()
        else:
            self._client.refuse(rejection)

    def _abort_upstream(self) -> None:
        if self._upstream is not None:
            self._upstream.abort()
