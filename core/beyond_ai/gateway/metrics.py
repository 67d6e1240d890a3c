"""Counters of the data path: plain integers that cost a list index to change, exposed by prometheus-client when asked.

Names, labels and buckets are part of the operator's contract. Nothing here carries a tenant.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from beyond_ai.spec.deny import DenyStore

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
DRAIN_RESULTS: Final = ("complete", "failed", "timeout", "bytes", "full", "shutdown")
"""How a drain ends: the answer's own end, the provider's failure, its bounds, no room to begin, the program's end."""
_TTFT_BUCKETS: Final[Sequence[float]] = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_LATENCY_BUCKETS: Final[Sequence[float]] = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)


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

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative counts by upper bound, `+Inf` last."""
        cumulative, rows = 0, []
        for bound, count in zip([*map(str, self.bounds), "+Inf"], self.counts, strict=True):
            cumulative += count
            rows.append((bound, float(cumulative)))
        return rows


class ProviderMetrics:
    """What is counted for one provider; `responses` by the first digit of the status, 1 to 5."""

    __slots__ = ("connect_retries", "latency", "responses", "ttft")

    def __init__(self) -> None:
        self.responses = [0] * 6
        self.connect_retries = 0
        self.ttft = Histogram(_TTFT_BUCKETS)
        self.latency = Histogram(_LATENCY_BUCKETS)


class Metrics:
    """Everything that this process counts. Written by the event loop's thread only, but for `plugin_events`.

    A collector of prometheus-client by its shape alone: compiled, a class cannot safely have a base with a dictionary.
    """

    def __init__(self, providers: Iterable[str]) -> None:
        self.requests = 0
        self.rejections = dict.fromkeys(REASONS, 0)
        self.providers = {name: ProviderMetrics() for name in providers}
        self.tokens = {"input": 0, "output": 0, "cache_read": 0, "cache_write": 0}
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

    def count_plugin_event(self, event: str, label: str) -> None:
        """Count one event of a plugin; the number of distinct pairs is bounded."""
        pair = (event, label)
        if pair in self.plugin_events or len(self.plugin_events) < 1000:
            self.plugin_events[pair] = self.plugin_events.get(pair, 0) + 1

    def collect(self) -> Iterator[Metric]:
        """Yield the metric families, as prometheus-client asks for them at each scrape."""
        yield _counter("ai_requests", "Requests, refused ones included.", self.requests)
        yield _labelled("ai_rejections", "Requests refused by the gateway.", "reason", self.rejections)
        yield self._responses()
        retries = {name: provider.connect_retries for name, provider in self.providers.items()}
        yield _labelled("ai_connect_retries", "Further attempts to connect to a provider.", "provider", retries)
        yield _labelled("ai_tokens", "Tokens as providers reported them.", "kind", self.tokens)
        yield self._histogram("ai_ttft_seconds", "Time to the head of the provider's response.", "ttft")
        yield self._histogram("ai_upstream_latency_seconds", "Time to the end of the provider's response.", "latency")
        yield GaugeMetricFamily("ai_active_streams", "Event streams being relayed.", self.active_streams)
        yield GaugeMetricFamily("ai_requests_in_flight", "Requests admitted and not yet ended.", self.in_flight)
        yield GaugeMetricFamily("ai_deny_set_size", "Tenants and keys that are refused.", len(self.denied))
        connected = self.deny_store is not None and self.deny_store.connected
        yield GaugeMetricFamily("ai_nats_connected", "1 while the deny-set follows its source.", connected)
        yield _counter("ai_usage_parse_errors", "Managed 2xx answers without readable usage.", self.usage_parse_errors)
        yield _counter("ai_usage_write_errors", "Usage events that a sink failed to take.", self.usage_write_errors)
        yield _counter("ai_usage_estimated", "Usage events whose counts are an estimate.", self.usage_estimated)
        yield _labelled("ai_drains", "Answers read on without their client, by their end.", "result", self.drains)
        yield GaugeMetricFamily("ai_drains_in_progress", "Answers being read on without their client.", self.draining)
        events = CounterMetricFamily("ai_plugin_events", "Events counted by plugins.", labels=["event", "label"])
        for pair, count in list(self.plugin_events.items()):
            events.add_metric(list(pair), count)
        yield events

    def _responses(self) -> Metric:
        family = CounterMetricFamily("ai_upstream_responses", "Responses of providers.", labels=["provider", "status"])
        for name, provider in self.providers.items():
            for digit in range(1, 6):
                family.add_metric([name, f"{digit}xx"], provider.responses[digit])
        return family

    def _histogram(self, name: str, text: str, attribute: str) -> Metric:
        family = HistogramMetricFamily(name, text, labels=["provider"])
        for provider, metrics in self.providers.items():
            histogram: Histogram = getattr(metrics, attribute)
            family.add_metric([provider], histogram.buckets(), histogram.total)
        return family


def _counter(name: str, text: str, value: int) -> Metric:
    return CounterMetricFamily(name, text, value)


def _labelled(name: str, text: str, label: str, values: dict[str, int]) -> Metric:
    family = CounterMetricFamily(name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
