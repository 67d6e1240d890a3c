"""The metrics page as an operator's scraper reads it: names, labels and buckets are a contract."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from beyond_ai.gateway.metric_cells import Sum, keys, values
from beyond_ai.gateway.metric_families import families
from beyond_ai.gateway.metrics import Histogram, Metrics

PROVIDERS = ("acme", "other")
FAMILIES = {
    "ai_requests": "counter",
    "ai_rejections": "counter",
    "ai_upstream_responses": "counter",
    "ai_connect_retries": "counter",
    "ai_deny_set_size": "gauge",
    "ai_nats_connected": "gauge",
    "ai_tokens": "counter",
    "ai_ttft_seconds": "histogram",
    "ai_upstream_latency_seconds": "histogram",
    "ai_active_streams": "gauge",
    "ai_requests_in_flight": "gauge",
    "ai_usage_parse_errors": "counter",
    "ai_usage_write_errors": "counter",
    "ai_usage_estimated": "counter",
    "ai_drains": "counter",
    "ai_drains_in_progress": "gauge",
    "ai_plugin_events": "counter",
}
TTFT = ["0.05", "0.1", "0.25", "0.5", "1.0", "2.5", "5.0", "10.0", "30.0", "+Inf"]
LATENCY = ["0.1", "0.5", "1.0", "2.5", "5.0", "10.0", "30.0", "60.0", "120.0", "300.0", "600.0", "+Inf"]

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


class Page(Collector):
    """What METRICS of several processes make on the metrics page."""

    def __init__(self, *metrics: Metrics) -> None:
        self.metrics = metrics

    def collect(self) -> Iterable[Metric]:
        total = Sum({})
        for metrics in self.metrics:
            total.add(keys(metrics.providers), values(metrics))
        return families(total, False, self.metrics[0].plugin_events)


def scrape(*metrics: Metrics) -> tuple[dict[str, str], Samples]:
    """The types of all families, and all samples by name and labels."""
    registry = CollectorRegistry()
    registry.register(Page(*metrics))
    found = list(text_string_to_metric_families(generate_latest(registry).decode()))
    samples = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in found
        for sample in family.samples
    }
    return {family.name: family.type for family in found}, samples


def test_every_family_is_there_from_the_start() -> None:
    found, _ = scrape(Metrics(PROVIDERS))
    assert found == FAMILIES


def test_every_known_series_is_there_at_zero() -> None:
    _, samples = scrape(Metrics(PROVIDERS))
    assert set(samples.values()) == {0.0}
    for reason in (
        "auth", "deny_spend", "deny_fraud", "deny_unknown", "circuit_open", "body_too_large", "rate_limit",
        "rate_limit_byo_global", "managed_endpoint", "no_pool_key",
    ):  # fmt: skip
        assert samples["ai_rejections_total", (("reason", reason),)] == 0
    for provider in PROVIDERS:
        for status in ("1xx", "2xx", "3xx", "4xx", "5xx"):
            assert samples["ai_upstream_responses_total", (("provider", provider), ("status", status))] == 0
        assert samples["ai_connect_retries_total", (("provider", provider),)] == 0
    for kind in ("input", "output", "cache_read", "cache_write"):
        assert samples["ai_tokens_total", (("kind", kind),)] == 0


def test_buckets() -> None:
    _, samples = scrape(Metrics(["acme"]))
    for name, bounds in (("ai_ttft_seconds", TTFT), ("ai_upstream_latency_seconds", LATENCY)):
        found = [dict(labels)["le"] for sample, labels in samples if sample == f"{name}_bucket"]
        assert found == bounds


def test_what_is_counted_is_shown() -> None:
    metrics = Metrics(PROVIDERS)
    metrics.requests = 7
    metrics.rejections["auth"] = 2
    metrics.tokens["cache_read"] = 11
    metrics.active_streams, metrics.in_flight = 1, 3
    metrics.usage_parse_errors, metrics.usage_write_errors = 4, 5
    provider = metrics.providers["acme"]
    provider.responses[4] = 6
    provider.connect_retries = 8
    provider.ttft.observe(0.3)
    metrics.count_plugin_event("lost", "file")
    metrics.sinks = frozenset(["file"])
    for label in ("failed", "dropped", "rotated"):
        metrics.count_plugin_event("file", label)
    _, samples = scrape(metrics)
    assert {key: value for key, value in samples.items() if value and not key[0].endswith("_bucket")} == {
        ("ai_requests_total", ()): 7,
        ("ai_rejections_total", (("reason", "auth"),)): 2,
        ("ai_tokens_total", (("kind", "cache_read"),)): 11,
        ("ai_active_streams", ()): 1,
        ("ai_requests_in_flight", ()): 3,
        ("ai_usage_parse_errors_total", ()): 4,
        ("ai_usage_write_errors_total", ()): 7,
        ("ai_upstream_responses_total", (("provider", "acme"), ("status", "4xx"))): 6,
        ("ai_connect_retries_total", (("provider", "acme"),)): 8,
        ("ai_ttft_seconds_count", (("provider", "acme"),)): 1,
        ("ai_ttft_seconds_sum", (("provider", "acme"),)): 0.3,
        ("ai_plugin_events_total", (("event", "lost"), ("label", "file"))): 1,
        ("ai_plugin_events_total", (("event", "file"), ("label", "failed"))): 1,
        ("ai_plugin_events_total", (("event", "file"), ("label", "dropped"))): 1,
        ("ai_plugin_events_total", (("event", "file"), ("label", "rotated"))): 1,
    }


def test_a_histogram_counts_at_and_above_its_bounds() -> None:
    histogram = Histogram((0.1, 1.0))
    for seconds in (0.0, 0.1, 0.100001, 1.0, 1.5, 600.0):
        histogram.observe(seconds)
    assert histogram.counts == [2, 2, 2]


def test_plugin_events_are_bounded() -> None:
    metrics = Metrics(PROVIDERS)
    for number in range(1500):
        metrics.count_plugin_event("event", str(number))
    metrics.count_plugin_event("event", "0")
    assert len(metrics.plugin_events) == 1000
    assert metrics.plugin_events["event", "0"] == 2
