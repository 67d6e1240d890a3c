"""Ceilings a second: what passes, over all workers, and what a flood can and cannot do."""

import json
import random
import subprocess
import sys
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import accumulate
from math import ceil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule
from tests.core.gateway.contender import CEILING, ROUNDS, SECTIONS

from beyond_ai.gateway.rate_limit import SECTION, WORDS, Ceiling, RateLimiter, RateLimits
from beyond_ai.gateway.shared_rows import SharedRows
from beyond_ai.gateway.sketch import DEPTH, cells_of, size

CONTENDER = Path(__file__).with_name("contender.py")


@contextmanager
def limiters(limits: RateLimits, workers: int = 1) -> Iterator[list[RateLimiter]]:
    rows = SharedRows.create(workers, {SECTION: WORDS})
    yield [RateLimiter(limits, rows.of(own)) for own in range(workers)]
    rows.close()


def asked(limiter: RateLimiter, times: int, now: float, credential: str = "sk-fake", *, managed: bool = True) -> int:
    """How many of so many requests pass."""
    cells = limiter.cells(credential)
    return sum(limiter.admit(cells, managed, now) is None for _ in range(times))


def contend(what: str, workers: int = 4) -> list[str]:
    """What each of WORKERS processes printed."""
    rows = SharedRows.create(workers, SECTIONS)
    lines = [[sys.executable, str(CONTENDER), str(rows.fd), str(workers), str(own), what] for own in range(workers)]
    running = [subprocess.Popen(line, pass_fds=[rows.fd], stdout=subprocess.PIPE, text=True) for line in lines]
    printed = [process.communicate(timeout=90)[0] for process in running]
    assert [process.returncode for process in running] == [0] * workers
    rows.close()
    return printed


def test_a_ceiling_of_five() -> None:
    with limiters(RateLimits(5, 0)) as (limiter,):
        assert [limiter.admit(limiter.cells("sk-fake"), True, 7.0) for _ in range(7)] == [None] * 5 + [
            Ceiling.CREDENTIAL
        ] * 2


@pytest.mark.parametrize("began", [0.0, 7.0, 7.3, 7.5, 7.9, 99_999_999.7])
def test_what_passed_is_forgotten_a_second_later(began: float) -> None:
    with limiters(RateLimits(5, 0)) as (limiter,):
        after = (0, 0.5, 0.999, 1.0, 1.7, 1.999, 2.001, 20.5, 21.499, 21.501)
        assert [asked(limiter, 9, began + seconds) for seconds in after] == [5, 0, 0, 5, 0, 0, 5, 5, 0, 5]


def test_what_is_refused_does_not_count() -> None:
    with limiters(RateLimits(5, 0), workers=2) as (one, other):
        assert asked(one, 1000, 7.4) == 5
        assert asked(other, 10, 8.39) == 0
        assert asked(other, 10, 8.4) == 5


def test_a_few_early_requests_let_their_half_second_be_forgotten_early() -> None:
    """As a whole, when its first is a second old: the most that ever passes in a second is twice the ceiling."""
    with limiters(RateLimits(5, 0)) as (limiter,):
        assert [asked(limiter, times, now) for times, now in ((1, 7.0), (9, 7.4), (9, 7.999), (9, 8.0))] == [1, 4, 0, 5]
        assert [asked(limiter, 9, now) for now in (8.4, 8.999, 9.0)] == [0, 0, 5]


def test_credentials_are_apart() -> None:
    with limiters(RateLimits(5, 0)) as (limiter,):
        assert [
            asked(limiter, 9, 7.0, credential) for credential in ("sk-fake-1", "sk-fake-2", "é\udc80\U0001f511")
        ] == [5] * 3


def test_zero_is_no_limit() -> None:
    with limiters(RateLimits(0, 0)) as (limiter,):
        assert asked(limiter, 5000, 7.0, managed=False) == 5000


def test_clients_with_their_own_keys_share_a_ceiling() -> None:
    with limiters(RateLimits(0, 5), workers=2) as (one, other):
        assert asked(one, 3, 7.0, "sk-fake-1", managed=False) == 3
        assert asked(other, 3, 7.0, "sk-fake-2", managed=False) == 2
        assert one.admit(one.cells("sk-fake-3"), False, 7.0) is Ceiling.BYO
        assert asked(other, 10, 7.0, managed=True) == 10
        assert asked(other, 10, 8.0, managed=False) == 5


def test_one_refused_with_all_is_not_charged_to_its_credential() -> None:
    with limiters(RateLimits(2, 3)) as (limiter,):
        assert asked(limiter, 9, 7.0, "sk-fake-1", managed=False) == 2
        assert asked(limiter, 9, 7.0, "sk-fake-2", managed=False) == 0
        assert asked(limiter, 9, 7.0, "sk-fake-2", managed=True) == 2


@pytest.mark.parametrize("late", [0.1, 0.6, 1.1, 1.6, 2.1])
def test_an_older_clock_counts_in_the_half_second_at_hand(late: float) -> None:
    with limiters(RateLimits(5, 0), workers=2) as (one, other):
        assert asked(one, 9, 8.0) == 5
        assert asked(one, 9, 8.0 - late) == 0
        assert asked(other, 9, 8.0 - late) == 0
        assert asked(one, 9, 9.0) == 5


def test_a_successor_goes_on_where_the_dead_worker_was() -> None:
    rows = SharedRows.create(2, {SECTION: WORDS})
    asked(RateLimiter(RateLimits(5, 0), rows.of(1)), 3, 7.0)
    assert asked(RateLimiter(RateLimits(5, 0), rows.of(1)), 9, 7.0) == 2
    rows.close()


def test_keys_that_share_cells_are_never_under_estimated() -> None:
    with limiters(RateLimits(5, 0)) as (limiter,):
        one, other = limiter.cells("sk-fake-1"), limiter.cells("sk-fake-2")
        mixed = (one[0], one[1], one[2], other[3])
        for _ in range(5):
            assert limiter.admit(one, True, 7.0) is None
        assert limiter.admit(mixed, True, 7.0) is None
        assert limiter.admit(one, True, 7.0) is Ceiling.CREDENTIAL


@pytest.mark.parametrize("shared", [0, 1, 2, 3, 4])
def test_a_flood_is_forgotten_early_only_if_others_came_first_in_all_its_cells(shared: int) -> None:
    with limiters(RateLimits(5, 0)) as (limiter,):
        cells = limiter.cells("sk-fake")
        others = [limiter.cells(f"sk-fake-{line}") for line in range(shared)]
        for line, other in enumerate(others):
            mixed = [*other[:line], cells[line], *other[line + 1 :]]
            assert limiter.admit((mixed[0], mixed[1], mixed[2], mixed[3]), True, 7.0) is None
        passed = [asked(limiter, 9, now) for now in (7.3, 7.999, 8.0, 8.299, 8.3)]
        assert passed == ([4, 0, 5, 0, 0] if shared == 4 else [5, 0, 0, 0, 5])


def test_workers_agree_on_where_a_credential_is_counted() -> None:
    with limiters(RateLimits(5, 0), workers=2) as (one, other), limiters(RateLimits(5, 0)) as (stranger,):
        assert one.cells("sk-fake") == other.cells("sk-fake")
        assert one.cells("sk-fake") != stranger.cells("sk-fake"), "the hash has a secret key"


def test_memory_is_fixed_and_a_flood_of_invented_keys_harms_nobody() -> None:
    assert WORDS * 8 <= 3 * (1024 * 1024 + 8)
    with limiters(RateLimits(100, 0), workers=2) as (one, other):
        for number in range(50_000):
            (one if number % 2 else other).admit(one.cells(f"sk-fake-{number}"), True, 7.0)
        for number in range(20):
            assert 90 <= asked(one, 200, 7.0, f"sk-fake-honest-{number}") <= 100


@given(st.integers(0, 2**64 - 1), st.integers(1, 16))
def test_a_key_has_one_cell_in_each_line(bits: int, log2_width: int) -> None:
    cells = cells_of(bits, log2_width)
    assert [cell >> log2_width for cell in cells] == list(range(DEPTH))
    assert max(cells) < size(log2_width)


@dataclass
class Exact:
    """The rule in exact counts: what passed of one key, each as its half second, worker and tick."""

    ceiling: int
    passed: list[tuple[int, int, int]] = field(default_factory=list)

    def latest(self) -> int:
        return max((half for half, _, _ in self.passed), default=0)

    def admits(self, worker: int, tick: int) -> bool:
        half = tick // 1024
        firsts: dict[tuple[int, int], int] = {}
        for its_half, its_worker, its_tick in self.passed:
            firsts.setdefault((its_half, its_worker), its_tick)
        count = sum(
            half - its_half < 2 or (half - its_half == 2 and firsts[its_half, its_worker] > tick - 2048)
            for its_half, its_worker, _ in self.passed
        )
        if count < self.ceiling:
            self.passed.append((half, worker, tick))
        return count < self.ceiling


class LimiterMachine(RuleBasedStateMachine):
    """Three workers with clocks that were read early or late against exact counts."""

    LIMITS = RateLimits(credential=3, byo=5)

    def __init__(self) -> None:
        super().__init__()
        self.rows = SharedRows.create(3, {SECTION: WORDS})
        self.limiters = [RateLimiter(self.LIMITS, self.rows.of(own)) for own in range(3)]
        self.ticks = [0, 0, 0]
        self.byo = Exact(self.LIMITS.byo)
        self.credentials: defaultdict[str, Exact] = defaultdict(lambda: Exact(self.LIMITS.credential))
        self.now = 10.0

    def admits(self, worker: int, exact: Exact) -> bool:
        if exact.latest() > self.ticks[worker] // 1024:
            self.ticks[worker] = exact.latest() * 1024
        return exact.admits(worker, self.ticks[worker])

    @rule(seconds=st.sampled_from([0.0625, 0.3, 0.4, 0.5, 1.0, 2.5]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(
        worker=st.integers(0, 2),
        credential=st.sampled_from(["sk-fake-1", "sk-fake-2", "sk-fake-3"]),
        managed=st.booleans(),
        late=st.sampled_from([0.0, 0.0, 0.0, 0.25, 0.5, 2.0]),
        times=st.integers(1, 4),
    )
    def ask(self, worker: int, credential: str, managed: bool, late: float, times: int) -> None:
        limiter = self.limiters[worker]
        for _ in range(times):
            expected = None
            self.ticks[worker] = max(self.ticks[worker], int((self.now - late) * 2048))
            if not managed and not self.admits(worker, self.byo):
                expected = Ceiling.BYO
            elif not self.admits(worker, self.credentials[credential]):
                expected = Ceiling.CREDENTIAL
            assert limiter.admit(limiter.cells(credential), managed, self.now - late) is expected

    @rule(worker=st.integers(0, 2))
    def worker_is_replaced(self, worker: int) -> None:
        self.limiters[worker] = RateLimiter(self.LIMITS, self.rows.of(worker))
        self.ticks[worker] = 0

    def teardown(self) -> None:
        self.rows.close()


TestLimiterMachine = LimiterMachine.TestCase

SECOND = 1_000_000_000


def let_through(ceiling: int, workers: int, requests: Iterable[tuple[int, int]], *, managed: bool) -> list[int]:
    """Which of REQUESTS, each a time in nanoseconds and a worker, passed; every refusal follows a full second."""
    passed: list[int] = []
    limits = RateLimits(ceiling, 0) if managed else RateLimits(0, ceiling)
    with limiters(limits, workers) as those:
        cells = those[0].cells("sk-fake")
        for time, worker in requests:
            if those[worker].admit(cells, managed, time / SECOND) is None:
                passed.append(time)
            else:
                assert len(passed) - bisect_right(passed, time - SECOND) >= ceiling
    return passed


def most_in_a_second(passed: list[int], length: int = SECOND) -> int:
    return max(bisect_left(passed, time + length) - index for index, time in enumerate(passed))


@settings(max_examples=80, deadline=None)
@given(
    ceiling=st.integers(2, 120),
    times=st.floats(2, 50),
    began=st.integers(0, 2 * SECOND),
    workers=st.integers(1, 8),
    managed=st.booleans(),
    seed=st.integers(0),
    turns=st.sampled_from([1, 7, 40, 1000]),
)
def test_a_steady_flood_finds_the_ceiling_in_any_second(
    ceiling: int, times: float, began: int, workers: int, managed: bool, seed: int, turns: int
) -> None:
    """Whenever it begins and wherever its requests go; in TURNS, so many to a worker, one after the other."""
    gap = int(SECOND / (ceiling * times))
    ends = began + 7 * SECOND // 2
    stamps = range(began, ends, gap)
    chance = random.Random(seed)
    weights = [chance.random() + 0.01 for _ in range(workers)]
    turn = chance.choices(range(workers), weights, k=len(stamps) // turns + 1)
    passed = let_through(
        ceiling, workers, ((time, turn[number // turns]) for number, time in enumerate(stamps)), managed=managed
    )
    assert passed[:ceiling] == list(stamps[:ceiling])
    assert most_in_a_second(passed) <= ceiling + 1 + ceil(ceiling * times / 2048)
    for index, time in enumerate(passed):
        if time + SECOND < ends - gap:
            assert bisect_right(passed, time + SECOND) - index - 1 >= ceiling - 1


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 6),
    st.lists(st.tuples(st.sampled_from([0, 0, 0, 1, 9, 50, 100, 240, 499, 500, 990]), st.integers(0, 2)), max_size=80),
    st.booleans(),
)
def test_any_traffic_at_all(ceiling: int, steps: list[tuple[int, int]], managed: bool) -> None:
    """No two half seconds in a row hold more than the ceiling, and no second more than twice as many."""
    times = accumulate((step * SECOND // 1000 for step, _ in steps), initial=5 * SECOND)
    passed = let_through(ceiling, 3, zip(times, (worker for _, worker in steps), strict=False), managed=managed)
    if passed:
        assert most_in_a_second(passed) <= 2 * ceiling
    halves = Counter(time * 2 // SECOND for time in passed)
    assert all(halves[half] + halves[half + 1] <= ceiling for half in list(halves))


def test_four_processes_at_one_instant() -> None:
    """Each of four counts one that the others do not see yet, at most: 100 to 103 pass, whatever the race."""
    windows = zip(*map(json.loads, contend("flood")), strict=True)
    totals = [sum(through) for through in windows]
    assert len(totals) == ROUNDS
    assert all(CEILING <= total <= CEILING + 3 for total in totals), totals


def test_four_processes_by_the_real_clock() -> None:
    """Of a flood over all, 100 to 104 pass in any second, and as many more as its own seconds differ by."""
    asked = sorted(tuple(request) for line in contend("flood for a while") for request in json.loads(line))
    passed = [began for began, _, admitted in asked if admitted]
    ended = sorted(end for _, end, admitted in asked if admitted)
    refused = [(began, end) for began, end, admitted in asked if not admitted]
    assert len(refused) > 3 * len(passed), "this machine is too busy to flood it"
    times = [began for began, _, _ in asked]
    came = [bisect_left(times, time + 1) - index for index, time in enumerate(times) if time + 1 < times[-1]]
    most = max(bisect_left(passed, time + 1) - index for index, time in enumerate(passed))
    assert most <= CEILING + 4 + max(came) - min(came)
    for began, end in refused:
        assert bisect_right(passed, end) - bisect_right(ended, began - 1) >= CEILING
