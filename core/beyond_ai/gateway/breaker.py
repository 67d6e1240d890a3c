"""The circuit breaker of a provider: while it fails, requests are refused at once instead of waiting for it too.

The pattern is Nygard's (*Release It!*, 2nd edition, 2018, section 5.2). One table says what follows what, `_NEXT`:

    CLOSED     requests pass, and their outcomes are counted
    OPEN       none passes, until the reset time is over
    HALF_OPEN  the next one passes, to try
    PROBING    that one is under way, and none else passes

It opens when, within a window, failures reach the threshold and are at least half of all outcomes. A window has a fixed
length and begins with its first failure. An outcome counts only in the state that its request was admitted in: what a
request from before says about a provider that has recovered since is old news.

**For the whole gateway.** The status is one cell, the time of the last change and the state that it led to; each worker
writes its own row, and the latest in any row is what holds. So all workers see a change at once, and a worker that
takes over the row of a dead one takes over what it knew. The probe is claimed under a lock: exactly one request has the
permit, whatever happens at the same instant. Two limits: a worker that is stopped just between deciding and
writing opens the breaker late, and first failures at the same instant in two workers begin two windows that far apart.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from beyond_ai.gateway.shared_rows import SharedRows, Words

SECTION: Final = "breaker"
_STATUS: Final = 0
"""Offset of the cell `nanoseconds of the last change << 2 | state`; 2 ** 62 of them are 146 years of uptime."""
_START: Final = 1
"""Offset of the cell for when the window began, in nanoseconds; 0 before the first."""
_COUNTS: Final = 2
"""Offset of the cell for what this worker counted in it, `failures << 32 | successes`."""
_CELLS: Final = 3
_FAILURE: Final = 1 << 32
_SUCCESS: Final = 1
_SECOND: Final = 1_000_000_000
_PROBE_SECONDS: Final = 1.0
"""When to come back while a probe is under way: its answer decides."""


class State(IntEnum):
    """Where a breaker stands."""

    CLOSED = 0
    OPEN = 1
    HALF_OPEN = 2
    PROBING = 3


class Step(IntEnum):
    """What moves a breaker on."""

    TRIP = 0
    """there were too many failures"""
    PROBE = 1
    """a request is let through to try; also in place of one that was not heard of for a whole reset time"""
    SUCCESS = 2
    FAILURE = 3
    RELEASE = 4
    """the probe ended without telling anything of the provider"""


_NEXT: Final = {
    (State.CLOSED, Step.TRIP): State.OPEN,
    (State.OPEN, Step.PROBE): State.PROBING,
    (State.HALF_OPEN, Step.PROBE): State.PROBING,
    (State.PROBING, Step.PROBE): State.PROBING,
    (State.PROBING, Step.SUCCESS): State.CLOSED,
    (State.PROBING, Step.FAILURE): State.OPEN,
    (State.PROBING, Step.RELEASE): State.HALF_OPEN,
}
_STATE: Final = 3
_CLOSED: Final = 0
"""`State.CLOSED` as it stands in a cell: what every request compares with."""


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """`threshold` failures (0: never opens) within `window` seconds open a breaker for `reset` seconds."""

    threshold: int
    window: float
    reset: float


class Permit:
    """Leave to ask the provider; the first of `success`, `failure` and `release` counts, what follows does not."""

    __slots__ = ("_breaker", "_status")

    def __init__(self, breaker: "CircuitBreaker", status: int) -> None:
        self._breaker: CircuitBreaker | None = breaker
        self._status = status

    def success(self) -> None:
        """The provider answered: any status below 500, 429 included."""
        self._resolve(Step.SUCCESS)

    def failure(self) -> None:
        """The provider answered with a status of 500 or more, or failed without an answer."""
        self._resolve(Step.FAILURE)

    def release(self) -> None:
        """It ended and the provider is not to blame: the client left, or was refused later on."""
        self._resolve(Step.RELEASE)

    def _resolve(self, step: Step) -> None:
        breaker = self._breaker
        if breaker is not None:
            self._breaker = None
            breaker.resolve(self._status, step)


class CircuitBreaker:
    """The breaker of the provider with the number INDEX, as one worker sees it. CLOCK is monotonic, in nanoseconds."""

    __slots__ = ("_clock", "_index", "_own", "_reset", "_rows", "_shared", "_threshold", "_window")

    def __init__(
        self, policy: BreakerPolicy, rows: SharedRows, index: int, clock: Callable[[], int] = time.monotonic_ns
    ) -> None:
        first, end = index * _CELLS, (index + 1) * _CELLS
        views = [row[first:end] for row in rows.words(SECTION)]
        self._rows: tuple[Words, ...] = tuple(views) if policy.threshold else ()
        self._own = views[rows.own]
        self._shared, self._index, self._clock = rows, index, clock
        self._threshold = policy.threshold
        self._window, self._reset = round(policy.window * _SECOND), round(policy.reset * _SECOND)

    @property
    def state(self) -> State:
        """Where it stands; an open one whose time is over is half-open."""
        status = self._status()
        state = State(status & _STATE)
        return State.HALF_OPEN if state is State.OPEN and self._wait(status) <= 0 else state

    def allow(self) -> Permit | float:
        """Leave to ask the provider, or the seconds after which to come back."""
        status = self._status()
        if status & _STATE == _CLOSED:
            return Permit(self, status)
        wait = self._wait(status)
        if wait <= 0:
            return self._probe()
        return _PROBE_SECONDS if status & _STATE == State.PROBING else wait / _SECOND

    def resolve(self, status: int, step: Step) -> None:
        """Take the outcome of a request that was admitted in STATUS."""
        if not self._threshold or self._status() != status:
            return
        if status & _STATE == State.PROBING:
            self._move(status, step)
        elif step is Step.SUCCESS:
            self._succeeded(status)
        elif step is Step.FAILURE and self._failed(status):
            self._move(status, Step.TRIP)

    def _status(self) -> int:
        """The latest of all rows."""
        latest = 0
        for row in self._rows:
            if (status := row[_STATUS]) > latest:
                latest = status
        return latest

    def _wait(self, status: int) -> int:
        """Nanoseconds until a request may try, at STATUS; after a probe that is not heard of, another may."""
        if status & _STATE == State.HALF_OPEN:
            return 0
        return (status >> 2) + self._reset - self._clock()

    def _probe(self) -> Permit | float:
        """Leave to try, unless another worker has just taken it."""
        if not self._shared.try_lock(self._index):
            return _PROBE_SECONDS
        try:
            status = self._status()
            if status & _STATE == _CLOSED:
                return Permit(self, status)
            if self._wait(status) > 0:
                return _PROBE_SECONDS
            return Permit(self, self._move(status, Step.PROBE))
        finally:
            self._shared.unlock(self._index)

    def _move(self, status: int, step: Step) -> int:
        """Take STEP from STATUS; returns the new one, which is later than any before."""
        following = _NEXT[State(status & _STATE), step]
        now = max(self._clock(), (status >> 2) + 1)
        self._own[_STATUS] = moved = now << 2 | following
        return moved

    def _succeeded(self, status: int) -> None:
        """Count a success, if a window is running."""
        start = self._start()
        if start and start >= (since := self._since(status, self._clock())):
            self._count(start, since, _SUCCESS)

    def _failed(self, status: int) -> bool:
        """Count a failure, which begins a window if none is running; whether there are too many in it."""
        now = self._clock()
        start, since = self._start(), self._since(status, now)
        self._count(start if start >= since else max(now, since), since, _FAILURE)
        counts = sum([row[_COUNTS] for row in self._rows if row[_START] >= since])
        failures, successes = counts >> 32, counts & (_FAILURE - 1)
        return failures >= self._threshold and failures >= successes

    def _start(self) -> int:
        """When the latest window of any worker began."""
        return max([row[_START] for row in self._rows])

    def _since(self, status: int, now: int) -> int:
        """The earliest beginning of a window that is running at NOW; the state of STATUS began with none."""
        return max(status >> 2, now - self._window + 1, 1)

    def _count(self, start: int, since: int, outcome: int) -> None:
        """Count OUTCOME in this worker's part of the window that began at START, unless it has a part since SINCE."""
        own = self._own
        if own[_START] < since:
            own[_COUNTS] = 0
            own[_START] = start
        own[_COUNTS] += outcome


def carry_over(old: SharedRows, old_names: Iterable[str], new: SharedRows, new_names: Iterable[str]) -> None:
    """Let the breakers of NEW, which nobody uses yet, begin where those of OLD stand; counts of failures begin anew."""
    places = {name: index for index, name in enumerate(sorted(old_names))}
    rows, first = old.words(SECTION), new.words(SECTION)[0]
    for index, name in enumerate(sorted(new_names)):
        if name in places:
            place = places[name] * _CELLS + _STATUS
            first[index * _CELLS + _STATUS] = max(row[place] for row in rows)


def words(providers: int) -> int:
    """The cells that the breakers of so many PROVIDERS take in a row."""
    return providers * _CELLS


def circuit_breakers(policy: BreakerPolicy, rows: SharedRows, providers: Iterable[str]) -> dict[str, CircuitBreaker]:
    """A breaker for each of PROVIDERS, by name; in every worker they are the same ones."""
    return {name: CircuitBreaker(policy, rows, index) for index, name in enumerate(sorted(providers))}
