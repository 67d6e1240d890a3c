"""The breaker: when it opens, whom it lets try, and that all workers are of one mind."""

import json
from collections.abc import Iterator

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.core.gateway.test_rate_limit import contend

from beyond_ai.gateway.breaker import (
    SECTION,
    BreakerPolicy,
    CircuitBreaker,
    Permit,
    State,
    carry_over,
    circuit_breakers,
    words,
)
from beyond_ai.gateway.shared_rows import SharedRows

SECOND = 1_000_000_000
POLICY = BreakerPolicy(threshold=3, window=10, reset=30)


class Stage:
    """The breaker of one provider in WORKERS processes, at a time that is set by hand, in seconds."""

    def __init__(self, policy: BreakerPolicy = POLICY, workers: int = 2) -> None:
        self.now = 1000.0
        self.rows = SharedRows.create(workers, {SECTION: words(2)})
        self.policy = policy
        self.workers = [self.worker(own) for own in range(workers)]

    def worker(self, own: int) -> CircuitBreaker:
        return CircuitBreaker(self.policy, self.rows.of(own), 1, lambda: round(self.now * SECOND))

    def permit(self, worker: int = 0) -> Permit:
        permit = self.workers[worker].allow()
        assert isinstance(permit, Permit)
        return permit

    def failures(self, count: int, worker: int = 0) -> None:
        for _ in range(count):
            self.permit(worker).failure()

    def successes(self, count: int, worker: int = 0) -> None:
        for _ in range(count):
            self.permit(worker).success()

    def wait(self, worker: int = 0) -> float:
        wait = self.workers[worker].allow()
        assert isinstance(wait, float)
        return wait

    @property
    def states(self) -> list[State]:
        return [worker.state for worker in self.workers]

    def opened(self) -> None:
        self.failures(self.policy.threshold)
        assert self.states == [State.OPEN] * len(self.workers)


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.rows.close()


def test_it_opens_at_the_threshold_for_all_workers(stage: Stage) -> None:
    stage.failures(1, worker=0)
    stage.failures(1, worker=1)
    assert stage.states == [State.CLOSED] * 2
    stage.failures(1, worker=1)
    assert stage.states == [State.OPEN] * 2
    assert stage.wait(0) == stage.wait(1) == 30.0
    stage.now += 12.5
    assert stage.wait(0) == 17.5


def test_failures_must_be_half_of_all_outcomes(stage: Stage) -> None:
    stage.failures(1)
    stage.successes(6, worker=1)
    stage.failures(4)
    assert stage.states == [State.CLOSED] * 2
    stage.failures(1)
    assert stage.states == [State.OPEN] * 2


def test_a_provider_that_fails_every_other_request_is_not_spared(stage: Stage) -> None:
    stage.failures(1)
    stage.successes(2, worker=1)
    stage.failures(1, worker=1)
    stage.successes(1)
    assert stage.states == [State.CLOSED] * 2
    stage.failures(1)
    assert stage.states == [State.OPEN] * 2


def test_successes_before_the_first_failure_are_not_in_the_window(stage: Stage) -> None:
    stage.successes(1000)
    stage.failures(3)
    assert stage.states == [State.OPEN] * 2


def test_a_window_begins_with_its_first_failure_and_does_not_slide(stage: Stage) -> None:
    stage.failures(2)
    stage.now += 10
    stage.failures(2, worker=1)
    assert stage.states == [State.CLOSED] * 2
    stage.now += 9.9
    stage.failures(1)
    assert stage.states == [State.OPEN] * 2


def test_workers_have_one_window(stage: Stage) -> None:
    stage.failures(1, worker=0)
    stage.now += 5
    stage.failures(1, worker=1)
    stage.now += 5
    stage.failures(2, worker=1)
    assert stage.states == [State.CLOSED] * 2


def test_what_was_counted_before_it_opened_is_gone_when_it_has_closed() -> None:
    stage = Stage(BreakerPolicy(threshold=3, window=60, reset=5))
    stage.opened()
    stage.now += 5
    stage.permit().success()
    stage.failures(2)
    assert stage.states == [State.CLOSED] * 2
    stage.failures(1)
    assert stage.states == [State.OPEN] * 2
    stage.rows.close()


def test_nothing_passes_until_the_reset_time_is_over(stage: Stage) -> None:
    stage.opened()
    stage.now += 29.999
    assert stage.wait(1) == pytest.approx(0.001)
    stage.now += 0.001
    assert stage.states == [State.HALF_OPEN] * 2
    stage.permit(1)
    assert stage.states == [State.PROBING] * 2


def test_one_request_tries(stage: Stage) -> None:
    stage.opened()
    stage.now += 30
    stage.permit(1)
    assert stage.wait(0) == stage.wait(1) == 1.0


def test_its_success_closes(stage: Stage) -> None:
    stage.opened()
    stage.now += 30
    stage.permit(1).success()
    assert stage.states == [State.CLOSED] * 2
    stage.failures(2)
    assert stage.states == [State.CLOSED] * 2, "a new window"


def test_its_failure_opens_again(stage: Stage) -> None:
    stage.opened()
    stage.now += 40
    stage.permit(1).failure()
    assert stage.states == [State.OPEN] * 2
    assert stage.wait() == pytest.approx(30.0)


def test_one_that_tells_nothing_leaves_it_to_the_next(stage: Stage) -> None:
    stage.opened()
    stage.now += 30
    stage.permit(1).release()
    assert stage.states == [State.HALF_OPEN] * 2
    stage.permit(0).success()
    assert stage.states == [State.CLOSED] * 2


def test_one_that_is_not_heard_of_is_replaced(stage: Stage) -> None:
    stage.opened()
    stage.now += 30
    lost = stage.permit(1)
    stage.now += 29.9
    assert stage.wait() == 1.0
    stage.now += 0.1
    second = stage.permit(0)
    lost.failure()
    assert stage.states == [State.PROBING] * 2, "it has lost its say"
    second.success()
    assert stage.states == [State.CLOSED] * 2


def test_a_permit_counts_once(stage: Stage) -> None:
    permit = stage.permit()
    for _ in range(5):
        permit.failure()
    assert stage.states == [State.CLOSED] * 2
    permit = stage.permit()
    permit.release()
    permit.failure()
    stage.failures(1)
    assert stage.states == [State.CLOSED] * 2


def test_old_requests_have_no_say_in_a_new_state(stage: Stage) -> None:
    old = [stage.permit(1) for _ in range(20)]
    stage.opened()
    old.pop().success()
    assert stage.states == [State.OPEN] * 2
    stage.now += 30
    probe = stage.permit()
    old.pop().failure()
    old.pop().success()
    assert stage.states == [State.PROBING] * 2
    probe.success()
    stage.now += 1
    for permit in old:
        permit.failure()
    assert stage.states == [State.CLOSED] * 2


def test_a_successor_knows_what_the_dead_worker_knew(stage: Stage) -> None:
    stage.failures(2)
    stage.workers[0] = stage.worker(0)
    stage.failures(1)
    stage.workers = [stage.worker(own) for own in range(2)]
    assert stage.states == [State.OPEN] * 2


def test_providers_are_apart() -> None:
    rows = SharedRows.create(2, {SECTION: words(2)})
    here, there = (circuit_breakers(POLICY, rows.of(own), names) for own, names in enumerate(["ab", "ba"]))
    for _ in range(3):
        permit = here["a"].allow()
        assert isinstance(permit, Permit)
        permit.failure()
    assert {name: circuit.state for name, circuit in there.items()} == {"a": State.OPEN, "b": State.CLOSED}
    rows.close()


def test_a_threshold_of_zero_never_opens(stage: Stage) -> None:
    stage.opened()
    stage.policy = BreakerPolicy(0, 0, 0)
    stage.workers = [stage.worker(own) for own in range(2)]
    stage.failures(1000)
    assert stage.states == [State.CLOSED] * 2


def test_changes_within_one_instant_are_in_order() -> None:
    """The time of a change tells which is the last, so no two have the same."""
    stage = Stage(BreakerPolicy(threshold=1, window=10, reset=1e-9))
    for _ in range(20):
        stage.failures(1, worker=0)
        stage.now += 1e-6
        stage.permit(1).success()
        assert stage.states == [State.CLOSED] * 2
    stage.rows.close()


def test_processes_that_ask_at_one_instant_get_one_permit() -> None:
    rounds = [sum(got) for got in zip(*map(json.loads, contend("probe")), strict=True)]
    assert rounds == [1] * len(rounds)


class BreakerMachine(RuleBasedStateMachine):
    """Three workers against one breaker with plain attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.stage = Stage(BreakerPolicy(threshold=3, window=8, reset=4), workers=3)
        self.state = State.CLOSED
        self.era = 0
        """how often the state has changed"""
        self.changed = 0
        self.began: int | None = None
        self.failed = self.succeeded = 0
        self.permits: list[tuple[Permit, int]] = []

    @property
    def now(self) -> int:
        return round(self.stage.now * SECOND)

    def move(self, state: State) -> None:
        self.state, self.changed = state, max(self.now, self.changed + 1)
        self.era += 1
        self.began = None

    @rule(seconds=st.sampled_from([0.25, 1.0, 4.0, 7.75]))
    def time_passes(self, seconds: float) -> None:
        self.stage.now += seconds

    @rule(worker=st.integers(0, 2))
    def ask(self, worker: int) -> None:
        answer = self.stage.workers[worker].allow()
        left = self.changed + 4 * SECOND - self.now
        if self.state is State.CLOSED:
            assert isinstance(answer, Permit)
        elif self.state is State.HALF_OPEN or left <= 0:
            self.move(State.PROBING)
            assert isinstance(answer, Permit)
        else:
            assert answer == (1.0 if self.state is State.PROBING else left / SECOND)
        if isinstance(answer, Permit):
            self.permits.append((answer, self.era))

    @precondition(lambda self: self.permits)
    @rule(which=st.integers(0), outcome=st.sampled_from(["success", "failure", "failure", "release"]))
    def end(self, which: int, outcome: str) -> None:
        permit, era = self.permits.pop(which % len(self.permits))
        getattr(permit, outcome)()
        if era != self.era:
            return
        if self.state is State.PROBING:
            self.move({"success": State.CLOSED, "failure": State.OPEN, "release": State.HALF_OPEN}[outcome])
        elif outcome != "release":
            self.count(outcome)

    def count(self, outcome: str) -> None:
        if self.began is None or self.now - self.began >= 8 * SECOND:
            if outcome == "success":
                return
            self.began, self.failed, self.succeeded = max(self.now, self.changed), 0, 0
        self.failed += outcome == "failure"
        self.succeeded += outcome == "success"
        if outcome == "failure" and self.failed >= 3 and 2 * self.failed >= self.failed + self.succeeded:
            self.move(State.OPEN)

    @rule(worker=st.integers(0, 2))
    def worker_is_replaced(self, worker: int) -> None:
        self.stage.workers[worker] = self.stage.worker(worker)

    @invariant()
    def all_are_of_one_mind(self) -> None:
        over = self.state is State.OPEN and self.now - self.changed >= 4 * SECOND
        assert self.stage.states == [State.HALF_OPEN if over else self.state] * 3

    def teardown(self) -> None:
        self.stage.rows.close()


TestBreakerMachine = BreakerMachine.TestCase


def test_a_new_block_of_memory_begins_where_the_old_one_stands() -> None:
    old, new = SharedRows.create(2, {SECTION: words(2)}), SharedRows.create(3, {SECTION: words(3)})
    before = circuit_breakers(POLICY, old.of(1), ["acme", "other"])
    for _ in range(POLICY.threshold):
        permit = before["other"].allow()
        assert isinstance(permit, Permit)
        permit.failure()
    carry_over(old, ["acme", "other"], new, ["acme", "nova", "other"])
    after = circuit_breakers(POLICY, new.of(2), ["other", "acme", "nova"])
    assert {name: breaker.state for name, breaker in after.items()} == {
        "acme": State.CLOSED,
        "nova": State.CLOSED,
        "other": State.OPEN,
    }
    old.close()
    new.close()
