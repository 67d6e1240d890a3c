"""Ceilings a second: what passes, over all workers, and what a flood can and cannot do."""

import json
import random
import subprocess
import sys
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule
from tests.core.gateway.contender import CEILING, FLOODS, ROUNDS, SECTIONS, STEPS

from beyond_ai.gateway.rate_limit import SECTION, WORDS, Ceiling, RateLimiter, RateLimits
from beyond_ai.gateway.shared_rows import SharedRows
from beyond_ai.gateway.sketch import DEPTH, Cells, cells_of, size
from beyond_ai.gateway.sliding_window import LOG2_TICKS

SECOND = 1 << LOG2_TICKS
"""A second in ticks: in these the rule is exact."""
LOG2_WIDTH = 12
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


@pytest.mark.parametrize("began", [0.0, 7.0, 7.3, 7.5, 2047.9, 4095.5, 99_999_999.7])
def test_what_passed_is_forgotten_a_second_later(began: float) -> None:
    with limiters(RateLimits(5, 0)) as (limiter,):
        after = (0, 0.5, 0.999, 1.001, 2.0, 2.002, 20.5, 21.499, 21.501, 2069.1, 4117.0, 8213.0)
        assert [asked(limiter, 9, began + seconds) for seconds in after] == [5, 0, 0, 5, 0, 5, 5, 0, 5, 5, 5, 5]


def test_each_makes_room_for_another_exactly_a_second_later() -> None:
    with limiters(RateLimits(5, 0), workers=2) as (one, other):
        assert [asked(one, times, now) for times, now in ((1, 7.0), (1, 7.25), (9, 7.5))] == [1, 1, 3]
        before = 1 / SECOND
        assert [asked(other, 9, now) for now in (8 - before, 8.0, 8.25 - before, 8.25)] == [0, 1, 0, 1]
        assert [asked(one, 9, now) for now in (8.5 - before, 8.5, 9 - before, 9.0)] == [0, 3, 0, 1]


def test_what_is_refused_does_not_count() -> None:
    with limiters(RateLimits(5, 0), workers=2) as (one, other):
        assert asked(one, 1000, 7.4) == 5
        assert asked(other, 10, 8.39) == 0
        assert asked(other, 10, 8.4) == 5


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
def test_an_older_clock_finds_what_came_after_it(late: float) -> None:
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


def test_workers_agree_on_where_a_credential_is_counted() -> None:
    with limiters(RateLimits(5, 0), workers=2) as (one, other), limiters(RateLimits(5, 0)) as (stranger,):
        assert one.cells("sk-fake") == other.cells("sk-fake")
        assert one.cells("sk-fake") != stranger.cells("sk-fake"), "the hash has a secret key"


def test_memory_is_fixed_and_a_flood_of_invented_keys_harms_nobody() -> None:
    assert WORDS * 8 < 8.2 * 2**20
    with limiters(RateLimits(100, 0), workers=4) as those:
        for number in range(50_000):
            limiter = those[number % 4]
            limiter.admit(limiter.cells(f"sk-fake-{number}"), True, 7.0)
        through = [asked(those[number % 4], 200, 7.0, f"sk-fake-honest-{number}") for number in range(20)]
    assert max(through) <= 100
    assert sum(through) / 20 >= 92


@given(st.integers(0, 2**64 - 1), st.integers(1, 16))
def test_a_key_has_one_cell_in_each_line(bits: int, log2_width: int) -> None:
    cells = cells_of(bits, log2_width)
    assert [cell >> log2_width for cell in cells] == list(range(DEPTH))
    assert max(cells) < size(log2_width)


class Exact:
    """The rule: a plain list of the ticks at which requests of one key were let through."""

    def __init__(self, ceiling: int) -> None:
        self.ceiling = ceiling
        self.passed: list[int] = []

    def admits(self, tick: int) -> bool:
        admits = len(self.passed) < self.ceiling or tick - self.passed[-self.ceiling] >= SECOND
        if admits:
            self.passed.append(tick)
        return admits


def apart(key: int) -> Cells:
    """Cells that no two of 4,096 keys share."""
    return cells_of(key * sum(1 << line * LOG2_WIDTH for line in range(DEPTH)), LOG2_WIDTH)


class LimiterMachine(RuleBasedStateMachine):
    """Three workers against plain lists."""

    LIMITS = RateLimits(credential=3, byo=5)

    def __init__(self) -> None:
        super().__init__()
        self.rows = SharedRows.create(3, {SECTION: WORDS})
        self.limiters = [RateLimiter(self.LIMITS, self.rows.of(own)) for own in range(3)]
        self.byo = Exact(self.LIMITS.byo)
        self.credentials: defaultdict[int, Exact] = defaultdict(lambda: Exact(self.LIMITS.credential))
        self.tick = 10 * SECOND

    @rule(ticks=st.sampled_from([1, 70_000, SECOND // 3, SECOND // 2, SECOND - 1, SECOND, 5 * SECOND // 2, 1 << 32]))
    def time_passes(self, ticks: int) -> None:
        self.tick += ticks

    @rule(worker=st.integers(0, 2), key=st.integers(0, 2), managed=st.booleans(), times=st.integers(1, 4))
    def ask(self, worker: int, key: int, managed: bool, times: int) -> None:
        for _ in range(times):
            expected = None
            if not managed and not self.byo.admits(self.tick):
                expected = Ceiling.BYO
            elif not self.credentials[key].admits(self.tick):
                expected = Ceiling.CREDENTIAL
            assert self.limiters[worker].admit(apart(key), managed, self.tick / SECOND) is expected

    @rule(worker=st.integers(0, 2))
    def worker_is_replaced(self, worker: int) -> None:
        self.limiters[worker] = RateLimiter(self.LIMITS, self.rows.of(worker))

    def teardown(self) -> None:
        self.rows.close()


TestLimiterMachine = LimiterMachine.TestCase


def let_through(ceiling: int, workers: int, requests: Iterable[tuple[int, int]], *, managed: bool) -> list[int]:
    """Which of REQUESTS, each a tick and a worker, passed."""
    limits = RateLimits(ceiling, 0) if managed else RateLimits(0, ceiling)
    with limiters(limits, workers) as those:
        cells = those[0].cells("sk-fake")
        return [tick for tick, worker in requests if those[worker].admit(cells, managed, tick / SECOND) is None]


def most_in_a_second(passed: list[int]) -> int:
    return max((bisect_left(passed, tick + SECOND) - index for index, tick in enumerate(passed)), default=0)


@st.composite
def arrivals(draw: st.DrawFn, workers: int) -> list[tuple[int, int]]:
    """Trickles, bursts, floods and stalls, one after the other, each on one worker or on all."""
    tick = draw(st.sampled_from([5 * SECOND, (1 << 31) - SECOND, (1 << 32) - SECOND // 2])) + draw(
        st.integers(0, SECOND)
    )
    chance = random.Random(draw(st.integers(0, 99)))
    requests = []
    for times, gap, alone in draw(
        st.lists(
            st.tuples(
                st.sampled_from([1, 1, 5, 60, 200]),
                st.sampled_from([0, 1, 300, SECOND // 1000, SECOND // 90, SECOND // 10, 13 * SECOND // 10]),
                st.booleans(),
            ),
            min_size=3,
            max_size=12,
        )
    ):
        worker = chance.randrange(workers)
        for _ in range(times):
            requests.append((tick, worker if alone else chance.randrange(workers)))
            tick += gap
        tick += draw(st.sampled_from([0, SECOND // 7, SECOND, 2 * SECOND, 4096 * SECOND]))
    return requests


@settings(max_examples=120, deadline=None)
@given(st.data(), st.integers(1, 8), st.booleans())
def test_whatever_comes_is_judged_as_by_a_plain_list(data: st.DataObject, workers: int, managed: bool) -> None:
    ceiling = data.draw(st.sampled_from([1, 2, 5, 40, 100, 128] if managed else [1, 7, 100, 513, 1024]))
    requests = data.draw(arrivals(workers))
    exact = Exact(ceiling)
    expected = [tick for tick, _ in requests if exact.admits(tick)]
    assert let_through(ceiling, workers, requests, managed=managed) == expected
    assert most_in_a_second(expected) <= ceiling


def in_the_second_before(ticks: list[int], tick: int) -> int:
    return bisect_right(ticks, tick) - bisect_right(ticks, tick - SECOND)


@settings(max_examples=80, deadline=None)
@given(st.data(), st.integers(1, 4), st.sampled_from([3, 100, 128]), st.integers(0))
def test_keys_in_each_others_cells(data: st.DataObject, workers: int, ceiling: int, seed: int) -> None:
    """Each gets no more than alone, and no less than the fullest of its cells leaves, of which many overflow."""
    requests = data.draw(arrivals(workers))
    chance = random.Random(seed)
    passed: defaultdict[Cells, list[int]] = defaultdict(list)
    counted: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    with limiters(RateLimits(ceiling, 0), workers) as those:
        for tick, worker in requests:
            cells = cells_of(sum(chance.choice([0, 0, 0, 1, 2, 3]) << 12 * line for line in range(DEPTH)), LOG2_WIDTH)
            if those[worker].admit(cells, True, tick / SECOND) is None:
                passed[cells].append(tick)
                for cell in cells:
                    counted[worker, cell].append(tick)
            else:
                fullest = [
                    max(in_the_second_before(counted[row, cell], tick) for cell in cells) for row in range(workers)
                ]
                assert sum(fullest) >= ceiling
    assert max(map(most_in_a_second, passed.values())) <= ceiling


def test_rings_that_overflow_remember_the_latest() -> None:
    with limiters(RateLimits(100, 0)) as (limiter,):
        a, b, c, d = apart(0)
        for tick, times in ((7 * SECOND, 250), (39 * SECOND // 5, 50)):
            for key in range(1, times + 1):
                e, f, g, h = apart(key)
                assert limiter.admit((a, b, c, h), True, tick / SECOND) is None
                assert limiter.admit((e, f, g, d), True, tick / SECOND) is None
        passed = [sum(limiter.admit((a, b, c, d), True, now) is None for _ in range(200)) for now in (7.9, 8.1, 8.9)]
        assert passed == [0, 50, 50]


@pytest.mark.parametrize(("ceiling", "managed"), [(1, True), (100, True), (3_000, True), (1_000, False)])
def test_a_trickle_is_never_refused(ceiling: int, managed: bool) -> None:
    """For hours, and never so slow that its log is over: what is in there does not come of age again."""
    requests = [(number * SECOND, 0) for number in range(5_000)]
    assert len(let_through(ceiling, 1, requests, managed=managed)) == len(requests)


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(1, 4), st.sampled_from([129, 250, 256, 1000]))
def test_a_high_ceiling_lets_a_little_more_through(data: st.DataObject, workers: int, ceiling: int) -> None:
    """With a ring of 128, each worker forgets less than a 128th of it early, and nobody is refused too early."""
    requests = data.draw(arrivals(workers))
    passed = let_through(ceiling, workers, requests, managed=True)
    assert most_in_a_second(passed) <= ceiling + workers * ((ceiling - 1) // 128)
    refused = {tick for tick, _ in requests} - set(passed)
    assert all(in_the_second_before(passed, tick) >= ceiling for tick in refused)


@pytest.mark.parametrize(("ceiling", "managed"), [(10_000, True), (10_000, False), (1_000, False)])
def test_a_flood_at_a_high_ceiling(ceiling: int, managed: bool) -> None:
    """Twice as much as may be, by four workers: 100 to 110 percent in any second."""
    gap = SECOND // (2 * ceiling)
    ticks = range(5 * SECOND, 15 * SECOND // 2, gap)
    passed = let_through(ceiling, 4, ((tick, number % 4) for number, tick in enumerate(ticks)), managed=managed)
    seconds = [bisect_left(passed, tick + SECOND) - bisect_left(passed, tick) for tick in ticks[: len(ticks) * 3 // 5]]
    assert ceiling - 1 <= min(seconds)
    assert max(seconds) <= ceiling * 1.1


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("arrivals", FLOODS)
def test_a_flood(arrivals: str, workers: int) -> None:
    """Ten times the ceiling, by a clock of the test's: no second holds more, and none of an even flood holds less."""
    requests = [
        (5 * SECOND + step * SECOND // STEPS, turn % workers)
        for step in range(3 * STEPS)
        for _ in range(FLOODS[arrivals](step))
        for turn in range(4)
    ]
    exact = Exact(CEILING)
    expected = [tick for tick, _ in requests if exact.admits(tick)]
    passed = let_through(CEILING, workers, requests, managed=True)
    assert passed == expected
    assert len(requests) > 8 * len(passed)
    in_each = [bisect_left(passed, tick + SECOND) - bisect_left(passed, tick) for tick, _ in requests]
    assert max(in_each) == CEILING
    if arrivals in ("steady", "bursts"):
        assert set(in_each[: len(requests) // 2]) == {CEILING}


def test_four_processes_at_one_instant() -> None:
    """Each of four counts one that the others do not see yet, at most: 100 to 103 pass, whatever the race."""
    windows = zip(*map(json.loads, contend("flood")), strict=True)
    totals = [sum(through) for through in windows]
    assert len(totals) == ROUNDS
    assert all(CEILING <= total <= CEILING + 3 for total in totals), totals


@pytest.fixture(scope="module")
def floods() -> dict[str, list[tuple[float, float, bool]]]:
    """What four processes asked by the real clock: when each request was made and decided, and whether it passed."""
    printed = [json.loads(line) for line in contend("floods")]
    return {
        arrivals: sorted(tuple(request) for process in printed for request in process[arrivals]) for arrivals in FLOODS
    }


@pytest.mark.parametrize("arrivals", FLOODS)
def test_four_processes_by_the_real_clock(floods: dict[str, list[tuple[float, float, bool]]], arrivals: str) -> None:
    """100 to 110 pass in any second: no second holds more, and each that ends in a refusal holds as much."""
    asked = floods[arrivals]
    passed = [began for began, _, admitted in asked if admitted]
    ended = sorted(end for _, end, admitted in asked if admitted)
    refused = [(began, end) for began, end, admitted in asked if not admitted]
    assert len(refused) > 3 * len(passed), "this machine is too busy to flood it"
    assert len(passed) > CEILING
    assert max(bisect_left(passed, began + 1) - index for index, began in enumerate(passed)) <= 1.1 * CEILING
    for began, end in refused:
        assert bisect_right(passed, end) - bisect_right(ended, began - 1 - 1 / SECOND) >= CEILING
