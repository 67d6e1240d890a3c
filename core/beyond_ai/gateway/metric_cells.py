"""What a process counts, as cells of its shared row: one double for each counter, label value, bucket and gauge.

A double holds integers up to 2 ** 53 exactly, and is what the metrics page shows in the end. The order of the cells
follows from the names of the providers, so whoever knows those can read a row.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

from beyond_ai.gateway.metrics import DRAIN_RESULTS, LATENCY_BUCKETS, REASONS, TOKENS, TTFT_BUCKETS, Metrics

SECTION: Final = "metrics"

Key: TypeAlias = tuple[str, ...]
"""What a cell holds: a name and its labels."""
Totals: TypeAlias = dict[Key, float]

_PLAIN: Final = ("requests", "usage_parse_errors", "usage_write_errors", "usage_estimated")
_ADDED: Final = ("active_streams", "in_flight", "draining")
GAUGES: Final = (*_ADDED, "denied", "connected")
"""Go with the process that has them; the others are counters. They come last in a row."""


def keys(providers: Iterable[str]) -> list[Key]:
    """What the cells of a row hold, in order, where PROVIDERS are counted."""
    found: list[Key] = [(name,) for name in _PLAIN]
    for name, labels in (("rejections", REASONS), ("tokens", TOKENS), ("drains", DRAIN_RESULTS)):
        found += [(name, label) for label in labels]
    for provider in providers:
        found += [("responses", provider, f"{digit}xx") for digit in range(1, 6)]
        found.append(("connect_retries", provider))
        for name, bounds in (("ttft", TTFT_BUCKETS), ("latency", LATENCY_BUCKETS)):
            found += [(name, provider, bound) for bound in labels_of(bounds)]
            found.append((f"{name}_sum", provider))
    return found + [(name,) for name in GAUGES]


def labels_of(bounds: Sequence[float]) -> list[str]:
    """The labels of a histogram's buckets."""
    return [*map(str, bounds), "+Inf"]


def words(providers: int) -> int:
    """The cells of a row where so many PROVIDERS are counted."""
    return len(keys(map(str, range(providers))))


def values(metrics: Metrics) -> list[float]:
    """What METRICS stands at, in the order of `keys`."""
    found: list[float] = [getattr(metrics, name) for name in _PLAIN]
    found[_PLAIN.index("usage_write_errors")] += metrics.lost_by_sinks()
    for table in (metrics.rejections, metrics.tokens, metrics.drains):
        found += table.values()
    for provider in metrics.providers.values():
        found += provider.responses[1:]
        found.append(provider.connect_retries)
        for histogram in (provider.ttft, provider.latency):
            found += histogram.counts
            found.append(histogram.total)
    found += [getattr(metrics, name) for name in _ADDED]
    found.append(len(metrics.denied))
    found.append(metrics.deny_store is not None and metrics.deny_store.connected)
    return found


class Sum:
    """What all processes of a gateway counted: those that live, in `add`ed rows, on top of what ENDED ones had."""

    def __init__(self, ended: Mapping[Key, float]) -> None:
        self.totals: Totals = dict(ended)
        self.denied = 0.0
        """entries of the largest deny-set"""

    def add(self, names: Iterable[Key], row: Iterable[float]) -> None:
        """Add the ROW of a live process, whose cells hold NAMES."""
        totals = self.totals
        for key, value in zip(names, row, strict=True):
            if key == ("denied",):
                self.denied = max(self.denied, value)
            elif key != ("connected",):
                totals[key] = totals.get(key, 0.0) + value


def counters(names: Iterable[Key], row: Iterable[float]) -> Iterator[tuple[Key, float]]:
    """What of a ROW outlives its process."""
    for key, value in zip(names, row, strict=True):
        if key[0] not in GAUGES:
            yield key, value
