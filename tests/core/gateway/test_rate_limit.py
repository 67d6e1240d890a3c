"""Ceilings a second: what passes, over all workers, and what a flood can and cannot do."""

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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


def test_a_window_is_a_second_of_the_clock() -> None:
    with limiters(RateLimits(5, 0)) as (limiter,):
        assert [asked(limiter, 9, now) for now in (7.0, 7.99, 8.0, 8.5, 20.0, 20.5)] == [5, 0, 5, 0, 5, 0]


def test_what_is_refused_counts_too() -> None:
    with limiters(RateLimits(5, 0), workers=2) as (one, other):
        assert asked(one, 1000, 7.0) == 5
        assert asked(other, 10, 7.0) == 0


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


def test_an_older_clock_counts_in_the_window_at_hand() -> None:
    with limiters(RateLimits(5, 0), workers=2) as (one, other):
        assert asked(one, 9, 8.0) == 5
        assert asked(one, 9, 7.9) == 0
        assert asked(other, 9, 7.9) == 0
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
    assert WORDS * 8 <= 1024 * 1024 + 8
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


class LimiterMachine(RuleBasedStateMachine):
    """Three workers with clocks that were read early or late against one table of exact counts."""

    LIMITS = RateLimits(credential=3, byo=5)

    def __init__(self) -> None:
        super().__init__()
        self.rows = SharedRows.create(3, {SECTION: WORDS})
        self.limiters = [RateLimiter(self.LIMITS, self.rows.of(own)) for own in range(3)]
        self.windows = [0, 0, 0]
        self.counts: dict[str, tuple[int, int]] = {}
        self.now = 10.0

    def charge(self, worker: int, key: str) -> int:
        window, count = self.counts.get(key, (0, 0))
        self.windows[worker] = max(window, self.windows[worker])
        if window < self.windows[worker]:
            count = 0
        self.counts[key] = self.windows[worker], count + 1
        return count

    @rule(seconds=st.sampled_from([0.1, 0.4, 1.0, 2.5]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(
        worker=st.integers(0, 2),
        credential=st.sampled_from(["sk-fake-1", "sk-fake-2", "sk-fake-3"]),
        managed=st.booleans(),
        late=st.sampled_from([0.0, 0.0, 0.0, 0.5, 2.0]),
        times=st.integers(1, 4),
    )
    def ask(self, worker: int, credential: str, managed: bool, late: float, times: int) -> None:
        limiter = self.limiters[worker]
        for _ in range(times):
            expected = None
            self.windows[worker] = max(self.windows[worker], int(self.now - late))
            if not managed and self.charge(worker, "byo") >= self.LIMITS.byo:
                expected = Ceiling.BYO
            elif self.charge(worker, credential) >= self.LIMITS.credential:
                expected = Ceiling.CREDENTIAL
            assert limiter.admit(limiter.cells(credential), managed, self.now - late) is expected

    @rule(worker=st.integers(0, 2))
    def worker_is_replaced(self, worker: int) -> None:
        self.limiters[worker] = RateLimiter(self.LIMITS, self.rows.of(worker))
        self.windows[worker] = 0

    def teardown(self) -> None:
        self.rows.close()


TestLimiterMachine = LimiterMachine.TestCase


@settings(max_examples=30)
@given(st.integers(0))
def test_a_flood_over_four_workers(seed: int) -> None:
    """Ten times the ceiling for 2.5 s, at any times and on any workers."""
    chance = random.Random(seed)
    requests = [(chance.randrange(2500), chance.randrange(4)) for _ in range(2500)]
    with limiters(RateLimits(100, 0), workers=4) as workers:
        cells = workers[0].cells("sk-fake")
        passed, came = [0, 0, 0], [0, 0, 0]
        for millisecond, worker in sorted(requests):
            came[millisecond // 1000] += 1
            passed[millisecond // 1000] += workers[worker].admit(cells, True, millisecond / 1000) is None
        assert passed == [min(count, 100) for count in came]


def test_four_processes_at_one_instant() -> None:
    """Each of four counts one that the others do not see yet, at most: 100 to 103 pass, whatever the race."""
    windows = zip(*map(json.loads, contend("flood")), strict=True)
    totals = [sum(through) for through in windows]
    assert len(totals) == ROUNDS
    assert all(CEILING <= total <= CEILING + 3 for total in totals), totals


def test_four_processes_by_the_real_clock() -> None:
    results = [json.loads(line) for line in contend("flood for a while")]
    whole = set.intersection(*(set(result) for result in results))
    assert whole
    for window in whole:
        passed = sum(result[window][0] for result in results)
        crossed = sum(result[window][1] for result in results)
        assert CEILING - crossed <= passed <= CEILING + 10
