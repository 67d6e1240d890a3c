"""What a process publishes of its counters, and when."""

import asyncio
from collections.abc import Callable

from beyond_ai.gateway.metric_cells import SECTION, keys, values, words
from beyond_ai.gateway.metrics import Metrics
from beyond_ai.gateway.publisher import Events, Publisher
from beyond_ai.gateway.shared_rows import SharedRows

PROVIDERS = ("acme", "other")


def row(rows: SharedRows) -> dict[tuple[str, ...], float]:
    return dict(zip(keys(PROVIDERS), rows.doubles(SECTION)[rows.own].tolist(), strict=True))


def publisher() -> tuple[Publisher, Metrics, SharedRows, list[Events]]:
    metrics, rows = Metrics(PROVIDERS), SharedRows.create(1, {SECTION: words(len(PROVIDERS))})
    sent: list[Events] = []
    return Publisher(metrics, rows, sent.append), metrics, rows, sent


def test_keys_and_values_agree() -> None:
    metrics = Metrics(PROVIDERS)
    metrics.requests, metrics.rejections["auth"], metrics.tokens["output"] = 1, 2, 3
    metrics.drains["bytes"], metrics.usage_estimated, metrics.draining = 4, 5, 6
    metrics.providers["other"].responses[5] = 7
    metrics.providers["other"].connect_retries = 8
    metrics.providers["other"].ttft.observe(0.3)
    metrics.providers["other"].latency.observe(700.0)
    metrics.denied = "abc"
    found = dict(zip(keys(PROVIDERS), values(metrics), strict=True))
    assert {key: value for key, value in found.items() if value} == {
        ("requests",): 1,
        ("rejections", "auth"): 2,
        ("tokens", "output"): 3,
        ("drains", "bytes"): 4,
        ("usage_estimated",): 5,
        ("draining",): 6,
        ("responses", "other", "5xx"): 7,
        ("connect_retries", "other"): 8,
        ("ttft", "other", "0.5"): 1,
        ("ttft_sum", "other"): 0.3,
        ("latency", "other", "+Inf"): 1,
        ("latency_sum", "other"): 700.0,
        ("denied",): 3,
    }
    assert words(len(PROVIDERS)) == len(found)


async def test_it_publishes_while_something_is_under_way_and_rests_then() -> None:
    _, metrics, rows, sent = publisher()
    await true(lambda: metrics.resting)
    metrics.requests += 1
    metrics.in_flight += 1
    metrics.stir()
    await true(lambda: row(rows)["requests",] == row(rows)["in_flight",] == 1)
    metrics.count_plugin_event("lost", "file")
    await true(lambda: sent == [{("lost", "file"): 1}])
    for resting in (False, True):
        assert metrics.resting is False
        metrics.in_flight = 0 if resting else 2
        await true(lambda: row(rows)["in_flight",] == metrics.in_flight)
    await true(lambda: metrics.resting)


async def true(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - a timer that tells nobody
            await asyncio.sleep(0.005)
