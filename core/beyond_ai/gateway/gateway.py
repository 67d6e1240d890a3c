"""The gateway as one object: what the settings and the plugins came to, in the form that the data path uses."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from beyond_ai.gateway.admission import Admission, Ticket
from beyond_ai.gateway.body_budget import BodyBudget
from beyond_ai.gateway.drain import Drains
from beyond_ai.gateway.metering import Ledger, Meter
from beyond_ai.gateway.metrics import Metrics
from beyond_ai.gateway.observers import Observation
from beyond_ai.gateway.outbox import Outbox
from beyond_ai.gateway.rejection import Rejection
from beyond_ai.gateway.request import Request, origin_form
from beyond_ai.gateway.request_id import RequestIds
from beyond_ai.spec.scanner import Scanner

_log = logging.getLogger(__name__)

KEEP_ALIVE: Final = 75.0
"""Seconds that an idle connection is kept; longer than the pools of the usual SDKs and load balancers (60)."""


class Clock:
    """Seconds since the start, moved on about once a second: reading it costs an attribute, not a system call."""

    __slots__ = ("now",)

    def __init__(self) -> None:
        self.now = 0.0


class Leaving:
    """How this process stops: nothing is closed that a client believes open, if there is time to tell it.

    While `begun`, every answer says `connection: close`. An idle connection is not closed: its client may be sending
    the next request just now, which that could only break. It stays until it has been quiet for `idle_limit` seconds,
    counted from `idle_from` at the earliest.
    """

    __slots__ = ("begun", "idle_from", "idle_limit")

    def __init__(self) -> None:
        self.begun = False
        self.idle_limit = KEEP_ALIVE
        self.idle_from = 0.0


@dataclass(slots=True, kw_only=True)
class Gateway:
    """Shared by all connections of a process."""

    admission: Admission
    ledger: Ledger
    metrics: Metrics
    new_scanner: Callable[[], Scanner]
    client_write_timeout: float
    drains: Drains
    body_budget: BodyBudget
    request_ids: RequestIds
    clock: Clock
    leaving: Leaving = field(default_factory=Leaving)
    outbox: Outbox = field(default_factory=Outbox)

    def meter(self, ticket: Ticket, request_id: str) -> Meter:
        """A meter for the admitted request TICKET. Only managed bodies are scanned: only they make an event."""
        if self.metrics.resting:
            self.metrics.stir()
        managed = ticket.scheme.managed
        meter = Meter(
            self.ledger,
            ticket.route,
            ticket.identity if managed else None,
            request_id,
            ticket.request.started,
            self.new_scanner() if managed else None,
        )
        if self.ledger.observers is not None:
            meter.observed = Observation(ticket.request)
        return meter

    def count_rejection(
        self, rejection: Rejection, request_id: str, request: Request | None = None, ticket: Ticket | None = None
    ) -> None:
        """Count and log a refusal. Observers hear of REQUEST, with what TICKET knows of it, unless a meter tells them.

        The log has the reason as the metrics have it: a message may quote the path.
        """
        if self.metrics.resting:
            self.metrics.stir()
        if rejection.reason:
            self.metrics.rejections[rejection.reason] += 1
        _log.warning(
            "request rejected",
            extra={
                "request_id": request_id,
                "status": rejection.status,
                "error_type": rejection.type,
                "reason": rejection.reason or rejection.message,
            },
        )
        observers = self.ledger.observers
        if observers is None or request is None:
            return
        if ticket is not None:
            observers.refused(rejection, request_id, request, ticket.route, ticket.scheme.managed)
        else:
            path = origin_form(request.target).partition(b"?")[0]
            observers.refused(rejection, request_id, request, self.admission.route(path), None)
