"""The memory of bodies that are held: one budget for all workers, all of it given back."""

from collections.abc import Iterator

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from beyond_ai.gateway.body_budget import SECTION, WORDS, BodyBudget, Reservation
from beyond_ai.gateway.shared_rows import SharedRows


@pytest.fixture
def rows() -> Iterator[SharedRows]:
    rows = SharedRows.create(2, {SECTION: WORDS})
    yield rows
    rows.close()


def test_a_body_grows_until_the_budget_is_used_up(rows: SharedRows) -> None:
    budget = BodyBudget(100, rows)
    body = budget.reservation()
    assert [body.grow(60), body.grow(41), body.grow(40), body.grow(1)] == [True, False, True, False]
    assert (body.size, budget.held()) == (100, 100)
    body.release()
    body.release()
    assert (body.size, budget.held()) == (0, 0)


def test_workers_share_it(rows: SharedRows) -> None:
    one, other = (BodyBudget(100, rows.of(own)) for own in range(2))
    body = one.reservation()
    assert body.grow(60)
    assert not other.reservation().grow(60)
    body.release()
    assert other.reservation().grow(60)


def test_a_dead_worker_holds_nothing(rows: SharedRows) -> None:
    one, dead = (BodyBudget(100, rows.of(own)) for own in range(2))
    assert dead.reservation().grow(100)
    assert not one.reservation().grow(1)
    BodyBudget(100, rows.of(1))
    assert one.reservation().grow(100)


class BudgetMachine(RuleBasedStateMachine):
    """Two workers against a plain sum."""

    LIMIT = 50

    def __init__(self) -> None:
        super().__init__()
        self.rows = SharedRows.create(2, {SECTION: WORDS})
        self.budgets = [BodyBudget(self.LIMIT, self.rows.of(own)) for own in range(2)]
        self.bodies: list[Reservation] = []

    @rule(worker=st.integers(0, 1))
    def begin(self, worker: int) -> None:
        self.bodies.append(self.budgets[worker].reservation())

    @precondition(lambda self: self.bodies)
    @rule(which=st.integers(0), size=st.integers(0, 30))
    def grow(self, which: int, size: int) -> None:
        body = self.bodies[which % len(self.bodies)]
        before, fits = body.size, sum(body.size for body in self.bodies) + size <= self.LIMIT
        assert body.grow(size) == fits
        assert body.size == before + (size if fits else 0)

    @precondition(lambda self: self.bodies)
    @rule(which=st.integers(0))
    def release(self, which: int) -> None:
        self.bodies[which % len(self.bodies)].release()

    @invariant()
    def the_sum_is_held(self) -> None:
        assert [budget.held() for budget in self.budgets] == [sum(body.size for body in self.bodies)] * 2

    def teardown(self) -> None:
        self.rows.close()


TestBudgetMachine = BudgetMachine.TestCase
