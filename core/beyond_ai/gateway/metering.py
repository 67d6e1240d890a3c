"""What becomes of a request at its end: one usage event if it was managed, and the metrics in any case."""

import asyncio
import logging
import re
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from beyond_ai.gateway.decoding import DecodingTap, decoding_tap
from beyond_ai.gateway.metrics import Metrics
from beyond_ai.gateway.observers import Observation, Observers, method_of, path_of, trace_context
from beyond_ai.gateway.rejection import Rejection
from beyond_ai.gateway.route import Route
from beyond_ai.gateway.tap import Tap
from beyond_ai.gateway.usage import Usage, estimate_usage, has_event_form, parse_usage
from beyond_ai.spec.auth import Identity
from beyond_ai.spec.observer import RequestRecord
from beyond_ai.spec.scanner import Scanner
from beyond_ai.spec.transport import UpstreamFailure
from beyond_ai.spec.usage_event import Outcome, UsageEvent

_log = logging.getLogger(__name__)

MAX_MODEL: Final = 128
"""Bytes of a model name in events and logs."""
UNREADABLE_MODEL: Final = "unknown"
SETTLE_DELAY: Final = 0.01
"""Seconds that a finished request waits, at most, for its usage to be read."""
MAX_UNSETTLED: Final = 128
"""Finished requests that wait at a time; each may hold the ends of its answer, up to 136 KiB."""
_OK: Final = Outcome.OK
_WHOLE: Final = (Outcome.OK, Outcome.UPSTREAM_ERROR)
"""Outcomes of answers that ended as their framing said."""


_SAFE_MODEL: Final = re.compile(rb'[^\x00-\x1f"\\\x7f]{1,%d}' % MAX_MODEL)


@lru_cache(maxsize=1024)
def safe_model(name: bytes) -> str:
    """NAME as it may stand in a log: a long, control-laden or undecodable one becomes `unknown`."""
    if _SAFE_MODEL.fullmatch(name) is None:
        return UNREADABLE_MODEL
    try:
        return name.decode()
    except UnicodeDecodeError:
        return UNREADABLE_MODEL


class Ledger:
    """Where events and counts of this process go.

    What an answer said is read a moment after it ended, for many requests in a row: that keeps it out of their way,
    and costs half when the same code runs on one answer after the other.
    """

    def __init__(
        self,
        metrics: Metrics,
        sinks: Sequence[tuple[str, Callable[[UsageEvent], None]]],
        observers: Observers | None = None,
    ) -> None:
        """OBSERVERS of None is for nobody who wants to hear of requests."""
        self.metrics = metrics
        self.observers = observers
        self._sinks = tuple(sinks)
        self._finished: list[Meter] = []

    def settle(self, meter: "Meter") -> None:
        """Read the answer of a finished METER within `SETTLE_DELAY`, or at once when much is waiting."""
        finished = self._finished
        finished.append(meter)
        if len(finished) == 1:
            asyncio.get_running_loop().call_later(SETTLE_DELAY, self.drain)
        elif len(finished) >= MAX_UNSETTLED:
            self.drain()

    def drain(self) -> None:
        """Settle all finished requests."""
        finished, self._finished = self._finished, []
        for meter in finished:
            try:
                meter.settle()
            except Exception:  # noqa: BLE001 - one answer that cannot be read must not cost the others their events
                _log.exception("an answer could not be metered", extra=meter.about)
                self.metrics.usage_parse_errors += 1
            if meter.observed is not None and self.observers is not None:
                self.observers.tell(meter.record(meter.observed))

    def drop(self, name: str) -> None:
        """Hand no more events to the sink NAME."""
        self._sinks = tuple(sink for sink in self._sinks if sink[0] != name)

    def record(self, event: UsageEvent) -> None:
        """Hand EVENT to every sink; one that raises is counted and does not disturb the others."""
        for name, emit in self._sinks:
            try:
                emit(event)
            except Exception as error:  # noqa: BLE001 - a sink is a stranger's code, and this seam fails open
                self.metrics.usage_write_errors += 1
                _log.error(
                    "usage sink %s: %s: %s", name, type(error).__name__, error, extra={"request_id": event.request_id}
                )


class Meter:
    """Watches one exchange; `identity` is None for a client's own key, which is counted and not billed."""

    __slots__ = (
        "_decoding",
        "_delivered",
        "_elapsed",
        "_identity",
        "_ledger",
        "_left",
        "_outcome",
        "_provider",
        "_request_id",
        "_route",
        "_started",
        "_status",
        "_streaming",
        "_time",
        "_ttft",
        "observed",
        "scan",
        "scanner",
        "tap",
    )

    def __init__(
        self,
        ledger: Ledger,
        route: Route,
        identity: Identity | None,
        request_id: str,
        started: float,
        scanner: Scanner | None,
    ) -> None:
        self.tap = Tap()
        self._ledger = ledger
        self._route = route
        self._identity = identity
        self._request_id = request_id
        self._started = started
        self.scanner = scanner
        """what looks at the request body; None when nobody asks for its model"""
        self.scan: Callable[[bytes], None] | None = None if scanner is None else scanner.feed
        self._decoding: DecodingTap | None = None
        self.observed: Observation | None = None
        """what is kept for observers; None when there are none"""
        self._left = self._delivered = False
        self._elapsed = 0.0
        self._provider = ledger.metrics.providers[route.upstream.name]
        self._status: int | None = None
        self._ttft = 0.0
        self._streaming = False
        ledger.metrics.in_flight += 1

    @property
    def about(self) -> dict[str, object]:
        """What a log line about this request carries."""
        return {"request_id": self._request_id}

    def connect_retry(self) -> None:
        """Count one more attempt to connect."""
        self._provider.connect_retries += 1

    def response_head(self, status: int, streaming: bool) -> None:
        """See the response head; STREAMING by its content type."""
        self._status = status
        self._streaming = streaming
        self._provider.responses[status // 100 if status < 600 else 5] += 1
        self._ttft = time.perf_counter() - self._started
        self._provider.ttft.observe(self._ttft)
        if streaming:
            self._ledger.metrics.active_streams += 1

    def decode(self, encoding: bytes) -> Callable[[bytes], None] | None:
        """Where the answer's bytes go instead of into `tap`, given its ENCODING as `content-encoding` has it.

        None for one that changes nothing.
        """
        decoding = self._decoding = decoding_tap(encoding, self.tap)
        return None if decoding is None else decoding.feed

    @property
    def has_ended(self) -> bool:
        """Whether the answer has come to its own end by now, whatever the transport says."""
        wire = self._route.wire
        return wire is None or not wire.metered or parse_usage(wire, self._streaming, self.tap, complete=False).finished

    def client_left(self) -> None:
        """Take note that the client has left, while the answer is still read."""
        self._left = True

    def failure(self, failure: UpstreamFailure) -> None:
        """Log why the provider's side failed."""
        unforeseen = failure.error
        _log.log(
            logging.WARNING if unforeseen is None else logging.ERROR,
            "%s: %s failure: %s",
            self._route.upstream.name,
            failure.stage.value,
            failure.message,
            exc_info=unforeseen,
            extra=self.about,
        )

    def refused(self, rejection: Rejection) -> None:
        """Take note that the client gets REJECTION for an answer."""
        if self.observed is not None:
            self.observed.refusal = rejection

    def finish(self, outcome: Outcome, *, delivered: bool = False) -> None:
        """Account for the exchange; called exactly once, when it ends.

        DELIVERED is whether the provider had the whole request and did not answer, though it may well have worked.
        """
        metrics = self._ledger.metrics
        metrics.in_flight -= 1
        if self._streaming:
            metrics.active_streams -= 1
        self._outcome = outcome = Outcome.CLIENT_CANCELLED if self._left else outcome
        self._delivered = delivered
        self._elapsed = time.perf_counter() - self._started
        if self._status is not None:
            self._provider.latency.observe(self._elapsed)
            if outcome is _OK and self._status >= 400:
                self._outcome = Outcome.UPSTREAM_ERROR
        wire = self._route.wire
        if self.observed is not None:
            self.observed.ended_ns = time.time_ns()
        elif wire is None or not wire.metered:
            return
        self._time = datetime.now(UTC)
        self._ledger.settle(self)

    def settle(self) -> None:
        """Read what the answer said of its usage, count it, and write the event if the request was managed."""
        wire = self._route.wire
        if wire is None or not wire.metered:
            return
        metrics = self._ledger.metrics
        quirk = self._route.upstream.provider.usage
        whole = self._outcome in _WHOLE
        if self._decoding is not None:
            whole = self._end_decoding(self._decoding) and whole
        usage = parse_usage(wire, self._streaming, self.tap, complete=whole, quirk=quirk)
        if not usage.found and not self._streaming and has_event_form(self.tap):
            self._streaming = True
            usage = parse_usage(wire, True, self.tap, complete=whole, quirk=quirk)
        if usage.failure is not None:
            _log.error(
                "%s's usage quirk failed; its wire's own counts stand",
                self._route.upstream.name,
                exc_info=usage.failure,
                extra=self.about,
            )
        if self.observed is not None:
            self.observed.usage = usage
        if usage.found:
            tokens = metrics.tokens
            tokens["input"] += usage.input_tokens
            tokens["output"] += usage.output_tokens
            tokens["cache_read"] += usage.cache_read_tokens
            tokens["cache_write"] += usage.cache_write_tokens
        if self._identity is None:
            return
        self._outcome = self._outcome_of(usage)
        if not usage.found and self._status is not None and self._status < 300:
            metrics.usage_parse_errors += 1
        estimated = False
        if self._lacks_usage(usage):
            words = 0 if self.scanner is None else self.scanner.words
            estimated = estimate_usage(wire, self._streaming, self.tap, usage, words)
            metrics.usage_estimated += estimated
            if self.observed is not None:
                self.observed.estimated = estimated
        self._ledger.record(self._event(self._identity, usage, estimated))

    def _end_decoding(self, decoding: DecodingTap) -> bool:
        """Decode no more; whether the whole answer was decoded."""
        decoding.end()
        if decoding.failed:
            _log.warning(
                "%s: answer could not be decoded for metering: %s",
                self._route.upstream.name,
                decoding.reason,
                extra=self.about,
            )
        return decoding.complete

    def _outcome_of(self, usage: Usage) -> Outcome:
        """How the request ended, now that the answer has been read: an answer says it as well as its framing does."""
        outcome = self._outcome
        if outcome is Outcome.CLIENT_CANCELLED and usage.finished and not self._left:
            outcome = Outcome.OK  # it left with the whole answer
        failed = usage.error or (self._status is not None and self._status >= 400)
        return Outcome.UPSTREAM_ERROR if outcome is Outcome.OK and failed else outcome

    def _lacks_usage(self, usage: Usage) -> bool:
        """Whether tokens were spent that no usage report accounts for: a provider's refusal costs none."""
        if self._status is None:
            return self._delivered
        if self._status >= 300 or self._status == 204:
            return False
        return not (usage.found and usage.finished)

    def _event(self, identity: Identity, usage: Usage, estimated: bool) -> UsageEvent:
        requested = self.scanner.model if self.scanner is not None else None
        requested_model = safe_model(requested) if requested else ""
        wire = self._route.wire
        return UsageEvent(
            time=self._time,
            request_id=self._request_id,
            tenant_id=identity.tenant_id,
            vpc_id=identity.vpc_id,
            key_id=identity.key_id,
            provider=self._route.upstream.name,
            model=safe_model(usage.model.encode()) if usage.model else requested_model,
            requested_model=requested_model,
            stream=self._streaming,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=usage.cache_read_tokens,
            cache_write_tokens=usage.cache_write_tokens,
            cache_write_1h_tokens=usage.cache_write_1h_tokens,
            reasoning_tokens=usage.reasoning_tokens,
            service_tier=usage.service_tier,
            server_tool_calls=usage.server_tool_calls,
            usage_wire=wire.dialect if usage.found and wire is not None else None,
            usage_estimated=estimated,
            outcome=self._outcome,
            upstream_status=self._status,
            latency_ms=round(self._elapsed * 1000),
            ttft_ms=None if self._status is None else round(self._ttft * 1000),
            upstream_cost_usd=usage.upstream_cost_usd,
        )

    def record(self, observed: Observation) -> RequestRecord:
        """The record of this request for observers, now that it is settled."""
        route, usage, wire = self._route, observed.usage, self._route.wire
        counted = usage is not None and (usage.found or observed.estimated)
        requested = self.scanner.model if self.scanner is not None else None
        refusal = None if self._left else observed.refusal
        traceparent, tracestate = trace_context(observed.request.headers)
        return RequestRecord(
            request_id=self._request_id,
            method=method_of(observed.request),
            path=path_of(observed.request),
            provider=route.upstream.name,
            server_address=route.upstream.host,
            server_port=route.upstream.port,
            endpoint=None if wire is None else wire.label,
            managed=self._identity is not None,
            status=self._status if refusal is None else refusal.status,
            error_type=None if refusal is None else refusal.type,
            requested_model=safe_model(requested) if requested else None,
            model=safe_model(usage.model.encode()) if usage is not None and usage.model else None,
            stream=self._streaming,
            input_tokens=usage.input_tokens if usage is not None and counted else None,
            output_tokens=usage.output_tokens if usage is not None and counted else None,
            cache_read_tokens=usage.cache_read_tokens if usage is not None and counted else None,
            cache_write_tokens=usage.cache_write_tokens if usage is not None and counted else None,
            usage_wire=wire.dialect if wire is not None and counted else None,
            usage_estimated=observed.estimated,
            started_ns=observed.ended_ns - int(self._elapsed * 1e9),
            ended_ns=observed.ended_ns,
            ttft_ns=None if self._status is None else int(self._ttft * 1e9),
            outcome=self._outcome,
            traceparent=traceparent,
            tracestate=tracestate,
        )
