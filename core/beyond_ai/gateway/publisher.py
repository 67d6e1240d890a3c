"""Publishes what this process counts into its shared row, where the process of the metrics page reads it.

Counting itself stays in plain Python. A timer publishes 20 times a second while something changes or is under way, and
rests else; the clock's tick brings what changes without a request, such as the size of the deny-set.
"""

import asyncio
from array import array
from collections.abc import Callable
from typing import Final

from beyond_ai.gateway import metric_cells
from beyond_ai.gateway.metrics import Metrics
from beyond_ai.gateway.shared_rows import SharedRows

SECONDS: Final = 0.05
"""How old what was published may be; so much is lost with a process that is killed."""

Events = dict[tuple[str, str], int]


class Publisher:
    """Between METRICS and the own row of ROWS. SEND_EVENTS takes the plugins' events whenever they have changed."""

    def __init__(self, metrics: Metrics, rows: SharedRows, send_events: Callable[[Events], None]) -> None:
        self._metrics = metrics
        self._row = rows.doubles(metric_cells.SECTION)[rows.own]
        self._send_events = send_events
        self._published = array("d")
        self._events = 0
        metrics.on_stir = self._wait
        metrics.resting = True

    def publish(self) -> bool:
        """Publish what has changed; whether anything had."""
        metrics = self._metrics
        values = array("d", metric_cells.values(metrics))
        changed = values != self._published
        if changed:
            self._row[:] = memoryview(values)
            self._published = values
        if (events := sum(metrics.plugin_events.copy().values())) != self._events:
            self._events = events
            self._send_events(metrics.plugin_events.copy())
        return changed

    def _wait(self) -> None:
        asyncio.get_running_loop().call_later(SECONDS, self._again)

    def _again(self) -> None:
        metrics = self._metrics
        if self.publish() or metrics.in_flight or metrics.draining:
            self._wait()
        else:
            metrics.resting = True
