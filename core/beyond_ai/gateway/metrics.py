"""Counters of the data path: plain integers that cost a list index to change, one process's own.

Nothing here carries a tenant. `metric_cells` arranges them for the others to see, `metric_families` exposes the sum.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence, Sized
from typing import Final

from beyond_ai.spec.deny import DenyStore

TOKENS: Final = ("input", "output", "cache_read", "cache_write")
REASONS: Final = (
    "auth",
    "body_memory",
    "body_too_large",
    "circuit_open",
    "deny_fraud",
    "deny_spend",
    "deny_unknown",
    "managed_endpoint",
    "no_pool_key",
    "rate_limit",
    "rate_limit_byo_global",
    "tenant_concurrency",
)
LOSSES: Final = ("failed", "dropped")
"""How a sink labels what it counts of events that it took and did not write."""
DRAIN_RESULTS: Final = ("complete", "failed", "timeout", "bytes", "full", "shutdown")
"""How a drain ends: the answer's own end, the provider's failure, its bounds, no room to begin, the program's end."""
TTFT_BUCKETS: Final[Sequence[float]] = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
LATENCY_BUCKETS: Final[Sequence[float]] = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)


class Histogram:
    """Observations in seconds, counted by bucket."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Count one observation."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds


class ProviderMetrics:
    """What is counted for one provider; `responses` by the first digit of the status, 1 to 5."""

    __slots__ = ("connect_retries", "latency", "responses", "ttft")

    def __init__(self) -> None:
        self.responses = [0] * 6
        self.connect_retries = 0
        self.ttft = Histogram(TTFT_BUCKETS)
        self.latency = Histogram(LATENCY_BUCKETS)


class Metrics:
    """Everything that this process counts. Written by the event loop's thread only, but for `plugin_events`.

    `resting` is true while what was counted last has been published and nothing is under way; whoever begins a request
    then calls `stir`, which `on_stir` hears of.
    """

    def __init__(self, providers: Iterable[str]) -> None:
        self.requests = 0
        self.rejections = dict.fromkeys(REASONS, 0)
        self.providers = {name: ProviderMetrics() for name in providers}
        self.tokens = dict.fromkeys(TOKENS, 0)
        self.active_streams = 0
        self.in_flight = 0
        self.denied: Sized = ()
        self.deny_store: DenyStore | None = None
        self.usage_parse_errors = 0
        self.usage_estimated = 0
        self.draining = 0
        self.drains = dict.fromkeys(DRAIN_RESULTS, 0)
        self.usage_write_errors = 0
        self.plugin_events: dict[tuple[str, str], int] = {}
        self.sinks: frozenset[str] = frozenset()
        self.resting = False
        self.on_stir: Callable[[], None] | None = None

    def stir(self) -> None:
        """Something begins to change."""
        self.resting = False
        if self.on_stir is not None:
            self.on_stir()

    def lost_by_sinks(self) -> int:
        """Usage events that sinks took and then counted as lost."""
        events = self.plugin_events.copy()
        return sum(count for (name, label), count in events.items() if name in self.sinks and label in LOSSES)

    def count_plugin_event(self, event: str, label: str) -> None:
        """Count one event of a plugin; the number of distinct pairs is bounded."""
        pair = (event, label)
        if pair in self.plugin_events or len(self.plugin_events) < 1000:
            self.plugin_events[pair] = self.plugin_events.get(pair, 0) + 1
