"""Every metric, from the families that the metrics page is made of."""

from collections.abc import Iterator, Sequence
from typing import Final

from prometheus_client.core import Metric

from beyond_ai.gateway.metric_cells import Sum
from beyond_ai.gateway.metric_families import families, worker_families
from beyond_ai.gateway.metrics import DRAIN_RESULTS, LATENCY_BUCKETS, REASONS, TOKENS, TTFT_BUCKETS
from generators.tables import prose, table

LABELS: Final = {
    "reason": ("why the gateway refused", REASONS),
    "provider": ("the provider's name, as in the path", ()),
    "status": ("the first digit of the provider's status", tuple(f"{digit}xx" for digit in range(1, 6))),
    "kind": ("what the tokens are", TOKENS),
    "result": ("how reading on ended", DRAIN_RESULTS),
    "event": ("what a plugin counts, mostly its own name", ()),
    "label": ("what became of it, in the plugin's words", ()),
}
"""What each label holds, and its values where they are known beforehand."""
UNITS: Final = {"_seconds": "seconds", "_bytes": "bytes"}
BUCKETS: Final = {"ai_ttft_seconds": TTFT_BUCKETS, "ai_upstream_latency_seconds": LATENCY_BUCKETS}


def page() -> Iterator[str]:
    """Yield the page."""
    yield "# Metrics"
    yield ""
    yield (
        "`/metrics` of the admin listener, as Prometheus text or OpenMetrics, summed over all workers. No label holds "
        "a tenant or a key. [The operator's page](../gateway.md#the-admin-listener) says what to watch."
    )
    yield ""
    known = [*families(Sum({}), False, {}), *worker_families(0, 0, 0, 0)]
    yield from table(("name", "type", "labels", "unit", "meaning"), map(_row, known))
    yield ""
    yield "## Labels"
    yield ""
    used = {label for metric in known for label in _labels(metric)}
    yield from table(("label", "holds", "values"), (_label_row(name) for name in LABELS if name in used))
    if unknown := used - set(LABELS):
        raise ValueError(f"metrics.LABELS says nothing of {', '.join(sorted(unknown))}")
    yield ""
    yield "## Buckets"
    yield ""
    yield from table(
        ("histogram", "upper bounds in seconds"), ((f"`{name}`", _listed(bounds)) for name, bounds in BUCKETS.items())
    )


def _row(metric: Metric) -> tuple[str, ...]:
    name = f"{metric.name}_total" if metric.type == "counter" else metric.name
    unit = next((unit for suffix, unit in UNITS.items() if metric.name.endswith(suffix)), "")
    return f"`{name}`", metric.type, _listed(_labels(metric)), unit, prose(metric.documentation)


def _labels(metric: Metric) -> Sequence[str]:
    names: Sequence[str] = getattr(metric, "_labelnames", ())
    return names


def _label_row(name: str) -> tuple[str, ...]:
    meaning, known = LABELS[name]
    return f"`{name}`", meaning, _listed(known)


def _listed(items: Sequence[object]) -> str:
    return ", ".join(f"`{item}`" for item in items)
