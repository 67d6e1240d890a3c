"""Counters over the lives of several workers."""

from hypothesis import given
from hypothesis import strategies as st

from beyond_ai.gateway.metric_cells import GAUGES, keys, values
from beyond_ai.gateway.metrics import Metrics
from beyond_ai.gateway.supervisor.totals import Totals

PROVIDERS = ("acme", "other")


def counted(requests: int, in_flight: int = 0) -> Metrics:
    metrics = Metrics(PROVIDERS)
    metrics.requests, metrics.in_flight = requests, in_flight
    return metrics


def test_what_a_dead_worker_counted_stays_and_what_it_held_goes() -> None:
    totals, names = Totals(), keys(PROVIDERS)
    totals.bury(names, values(counted(5, in_flight=3)), {("lost", "file"): 2})
    totals.bury(names, values(counted(2, in_flight=1)), {("lost", "file"): 1})
    total = totals.sum()
    total.add(names, values(counted(10, in_flight=4)))
    assert (total.totals["requests",], total.totals["in_flight",]) == (17, 4)
    assert totals.events() == {("lost", "file"): 3}
    assert totals.sum().totals["requests",] == 7


def test_a_worker_of_another_generation_may_have_other_providers() -> None:
    totals = Totals()
    old = Metrics(["acme"])
    old.providers["acme"].responses[2] = 3
    totals.bury(keys(["acme"]), values(old), {})
    total = totals.sum()
    total.add(keys(["new"]), values(Metrics(["new"])))
    assert total.totals["responses", "acme", "2xx"] == 3
    assert total.totals["responses", "new", "2xx"] == 0


@given(st.lists(st.tuples(st.integers(0, 2), st.booleans(), st.integers(0, 50)), max_size=60))
def test_the_sum_never_goes_back(steps: list[tuple[int, bool, int]]) -> None:
    """Workers count, and now and then one dies and begins anew."""
    totals, names, seen = Totals(), keys(PROVIDERS), 0.0
    workers = [Metrics(PROVIDERS) for _ in range(3)]
    expected = 0
    for worker, dies, requests in steps:
        workers[worker].requests += requests
        expected += requests
        if dies:
            totals.bury(names, values(workers[worker]), {})
            workers[worker] = Metrics(PROVIDERS)
        total = totals.sum()
        for metrics in workers:
            total.add(names, values(metrics))
        assert total.totals["requests",] == expected >= seen
        seen = total.totals["requests",]
        assert not set(GAUGES) & {name for name, *_ in totals.sum().totals}
