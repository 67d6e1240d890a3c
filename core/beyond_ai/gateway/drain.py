"""Draining: an answer whose client has left is read to its end, where the provider generates and bills it all the same.

Without it such a request would be metered by an estimate. What comes is discarded but for the ends that the tap keeps.
There are bounds on time, on bytes and on how many there are at once; past one the provider is let go, and an estimate
stands.
"""

import time
from dataclasses import dataclass
from typing import Protocol

from beyond_ai.gateway.metrics import Metrics


@dataclass(frozen=True)
class DrainLimits:
    """`timeout` in seconds (0: nothing is drained) and `max_bytes` for each answer, `max_streams` at a time."""

    timeout: float
    max_bytes: int
    max_streams: int


class Drained(Protocol):
    """An exchange without its client."""

    drained: int

    def stop_draining(self) -> None:
        """End it now."""


class Drains:
    """Those that are under way in this process."""

    def __init__(self, limits: DrainLimits, metrics: Metrics) -> None:
        self._limits = limits
        self._metrics = metrics
        self._deadlines: dict[Drained, float] = {}
        self._closed = False

    def __len__(self) -> int:
        return len(self._deadlines)

    def begin(self, exchange: Drained) -> bool:
        """Take EXCHANGE on, if it may be drained."""
        if self._closed or self._limits.timeout <= 0:
            return False
        if len(self._deadlines) >= self._limits.max_streams:
            self._metrics.drains["full"] += 1
            return False
        self._deadlines[exchange] = time.monotonic() + self._limits.timeout
        self._metrics.draining += 1
        return True

    def discarded(self, exchange: Drained) -> None:
        """Look at EXCHANGE, which has taken in more bytes."""
        if exchange.drained > self._limits.max_bytes:
            self._stop(exchange, "bytes")

    def ended(self, exchange: Drained, *, complete: bool) -> None:
        """EXCHANGE has come to its end: COMPLETE if it was the answer's own."""
        if self._deadlines.pop(exchange, None) is not None:
            self._metrics.draining -= 1
            self._metrics.drains["complete" if complete else "failed"] += 1

    def tick(self) -> None:
        """Stop those that have taken too long; called about once a second."""
        now = time.monotonic()
        # In the order in which they began, which is that of their deadlines.
        late = [exchange for exchange, deadline in self._deadlines.items() if deadline <= now]
        for exchange in late:
            self._stop(exchange, "timeout")

    def close(self) -> None:
        """Stop all, and begin no more: the program ends."""
        self._closed = True
        for exchange in list(self._deadlines):
            self._stop(exchange, "shutdown")

    def _stop(self, exchange: Drained, result: str) -> None:
        if self._deadlines.pop(exchange, None) is not None:
            self._metrics.draining -= 1
            self._metrics.drains[result] += 1
            exchange.stop_draining()
