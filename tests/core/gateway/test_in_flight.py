"""Requests of a tenant at a time: counted exactly, over all workers, and given back once."""

import random
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from beyond_ai.gateway.in_flight import SECTION, WORDS, InFlight, TenantsInFlight
from beyond_ai.gateway.shared_rows import SharedRows


@pytest.fixture
def rows() -> Iterator[SharedRows]:
    rows = SharedRows.create(3, {SECTION: WORDS})
    yield rows
    rows.close()


def entered(tenants: TenantsInFlight, tenant_id: int) -> InFlight:
    request = tenants.enter(tenant_id)
    assert request is not None
    return request


def test_a_limit_of_two(rows: SharedRows) -> None:
    tenants = TenantsInFlight(2, rows)
    first, _second = entered(tenants, 42), entered(tenants, 42)
    assert tenants.enter(42) is None
    entered(tenants, 43)
    first.leave()
    entered(tenants, 42)
    assert tenants.enter(42) is None


def test_it_is_for_all_workers_together(rows: SharedRows) -> None:
    workers = [TenantsInFlight(2, rows.of(own)) for own in range(3)]
    first = entered(workers[0], 42)
    entered(workers[1], 42)
    assert [worker.enter(42) for worker in workers] == [None] * 3
    first.leave()
    entered(workers[2], 42)


def test_a_place_is_given_back_once(rows: SharedRows) -> None:
    tenants = TenantsInFlight(2, rows)
    first, _second = entered(tenants, 42), entered(tenants, 42)
    first.leave()
    first.leave()
    entered(tenants, 42)
    assert tenants.enter(42) is None


def test_zero_is_no_limit(rows: SharedRows) -> None:
    tenants = TenantsInFlight(0, rows)
    for request in [entered(tenants, 42) for _ in range(1000)]:
        request.leave()


def test_a_successor_begins_with_none(rows: SharedRows) -> None:
    dead, other = TenantsInFlight(1, rows.of(1)), TenantsInFlight(1, rows.of(2))
    entered(dead, 42)
    assert other.enter(42) is None
    TenantsInFlight(1, rows.of(1))
    entered(other, 42)


def test_a_dead_worker_without_a_successor_is_cleared(rows: SharedRows) -> None:
    dead, other = TenantsInFlight(1, rows.of(1)), TenantsInFlight(1, rows.of(2))
    entered(dead, 42)
    rows.clear(SECTION, 1)
    entered(other, 42)


def test_memory_is_fixed_and_strangers_do_not_count(rows: SharedRows) -> None:
    assert WORDS * 8 == 256 * 1024
    here, there = TenantsInFlight(3, rows.of(0)), TenantsInFlight(3, rows.of(1))
    chance = random.Random(5)
    strangers = [entered(there, chance.getrandbits(64)) for _ in range(1000)]
    refused = 0
    for tenant_id in range(1000):
        requests = [here.enter(tenant_id) for _ in range(3)]
        refused += None in requests
        for request in requests:
            if request is not None:
                request.leave()
    assert refused <= 5
    for stranger in strangers:
        stranger.leave()
    assert not any(any(row) for row in rows.words(SECTION))


class InFlightMachine(RuleBasedStateMachine):
    """Three workers against a count for each tenant."""

    LIMIT = 3

    def __init__(self) -> None:
        super().__init__()
        self.rows = SharedRows.create(3, {SECTION: WORDS})
        self.workers = [TenantsInFlight(self.LIMIT, self.rows.of(own)) for own in range(3)]
        self.under_way: list[tuple[int, int, InFlight]] = []
        self.ended: list[InFlight] = []

    @rule(worker=st.integers(0, 2), tenant_id=st.sampled_from([0, 1, 2**64 - 1]))
    def enter(self, worker: int, tenant_id: int) -> None:
        request = self.workers[worker].enter(tenant_id)
        assert (request is not None) == (self.counts[tenant_id] < self.LIMIT)
        if request is not None:
            self.under_way.append((worker, tenant_id, request))

    @property
    def counts(self) -> Counter[int]:
        return Counter(tenant_id for _, tenant_id, _ in self.under_way)

    @precondition(lambda self: self.under_way)
    @rule(which=st.integers(0))
    def leave(self, which: int) -> None:
        request = self.under_way.pop(which % len(self.under_way))[2]
        request.leave()
        self.ended.append(request)

    @precondition(lambda self: self.ended)
    @rule(which=st.integers(0))
    def leave_again(self, which: int) -> None:
        self.ended[which % len(self.ended)].leave()

    @rule(worker=st.integers(0, 2))
    def worker_dies(self, worker: int) -> None:
        self.workers[worker] = TenantsInFlight(self.LIMIT, self.rows.of(worker))
        self.under_way = [request for request in self.under_way if request[0] != worker]

    def teardown(self) -> None:
        for _, _, request in self.under_way:
            request.leave()
        assert not any(any(row) for row in self.rows.words(SECTION)), "what was counted has been taken back"
        self.rows.close()


TestInFlightMachine = InFlightMachine.TestCase
