"""The metrics page's families, from what all processes of the gateway counted. prometheus-client prints them.

Names, labels and buckets are part of the operator's contract.
"""

from collections.abc import Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from beyond_ai.gateway.metric_cells import Sum, Totals, labels_of
from beyond_ai.gateway.metrics import LATENCY_BUCKETS, TTFT_BUCKETS


def families(total: Sum, connected: bool, events: Mapping[tuple[str, str], int]) -> Iterator[Metric]:
    """Yield the families of TOTAL, of a deny-set that is CONNECTED to its source or not, and of plugins' EVENTS."""
    totals = total.totals
    yield _counter("ai_requests", "Requests, refused ones included.", totals, "requests")
    yield _labelled("ai_rejections", "Requests refused by the gateway.", totals, "rejections", "reason")
    text = "Responses of providers."
    yield _labelled("ai_upstream_responses", text, totals, "responses", "provider", "status")
    text = "Further attempts to connect to a provider."
    yield _labelled("ai_connect_retries", text, totals, "connect_retries", "provider")
    yield _labelled("ai_tokens", "Tokens as providers reported them.", totals, "tokens", "kind")
    yield _histogram("ai_ttft_seconds", "Time to the head of the provider's response.", totals, "ttft")
    text = "Time to the end of the provider's response."
    yield _histogram("ai_upstream_latency_seconds", text, totals, "latency")
    yield _gauge("ai_active_streams", "Event streams being relayed.", totals, "active_streams")
    yield _gauge("ai_requests_in_flight", "Requests admitted and not yet ended.", totals, "in_flight")
    yield GaugeMetricFamily("ai_deny_set_size", "Tenants and keys that are refused.", total.denied)
    yield GaugeMetricFamily("ai_nats_connected", "1 while the deny-set follows its source.", connected)
    text = "Managed 2xx answers without readable usage."
    yield _counter("ai_usage_parse_errors", text, totals, "usage_parse_errors")
    text = "Usage events that a sink failed to take, or to write."
    yield _counter("ai_usage_write_errors", text, totals, "usage_write_errors")
    yield _counter("ai_usage_estimated", "Usage events whose counts are an estimate.", totals, "usage_estimated")
    yield _labelled("ai_drains", "Answers read on without their client, by their end.", totals, "drains", "result")
    text = "Answers being read on without their client."
    yield _gauge("ai_drains_in_progress", text, totals, "draining")
    family = CounterMetricFamily("ai_plugin_events", "Events counted by plugins.", labels=["event", "label"])
    for pair, count in events.items():
        family.add_metric(pair, count)
    yield family


def worker_families(serving: int, restarts: int, resident: float | None, cpu: float | None) -> Iterator[Metric]:
    """Yield the families of what a supervisor knows of its workers; None is not known."""
    yield GaugeMetricFamily("ai_workers", "Workers that take connections.", serving)
    yield CounterMetricFamily("ai_worker_restarts", "Workers started in place of one that ended.", restarts)
    if resident is not None:
        text = "Memory of all workers, shared pages counted for each."
        yield GaugeMetricFamily("ai_worker_resident_memory_bytes", text, resident)
    if cpu is not None:
        text = "Processor time of all workers, ended ones included."
        yield CounterMetricFamily("ai_worker_cpu_seconds", text, cpu)


def _counter(name: str, text: str, totals: Totals, key: str) -> Metric:
    return CounterMetricFamily(name, text, totals.get((key,), 0.0))


def _gauge(name: str, text: str, totals: Totals, key: str) -> Metric:
    return GaugeMetricFamily(name, text, totals.get((key,), 0.0))


def _labelled(name: str, text: str, totals: Totals, key: str, *labels: str) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for (first, *values), value in totals.items():
        if first == key:
            family.add_metric(values, value)
    return family


def _histogram(name: str, text: str, totals: Totals, key: str) -> Metric:
    family = HistogramMetricFamily(name, text, labels=["provider"])
    bounds = labels_of(TTFT_BUCKETS if key == "ttft" else LATENCY_BUCKETS)
    for provider in [labels[0] for first, *labels in totals if first == f"{key}_sum"]:
        cumulative, buckets = 0.0, []
        for bound in bounds:
            cumulative += totals[key, provider, bound]
            buckets.append((bound, cumulative))
        family.add_metric([provider], buckets, totals[f"{key}_sum", provider])
    return family
