"""A worker process of the tests of what workers share: it takes one row and contends, then prints what it got.

Run as `contender.py FD ROWS ROW WHAT`. All of them go from round to round together.
"""

import json
import os
import sys
import time
from collections.abc import Callable

from beyond_ai.gateway import breaker, rate_limit
from beyond_ai.gateway.breaker import BreakerPolicy, CircuitBreaker, Permit
from beyond_ai.gateway.rate_limit import RateLimiter, RateLimits
from beyond_ai.gateway.shared_rows import SharedRows

SECTIONS = {rate_limit.SECTION: rate_limit.WORDS, breaker.SECTION: breaker.words(1), "rounds": 1}
CEILING = 100
ROUNDS = 30
RESET = 30
STEPS = 256
"""Steps of a flood in a second."""
FLOODS: dict[str, Callable[[int], int]] = {
    "steady": lambda step: 1,
    "bursts": lambda step: 64 if step % 64 == 0 else 0,
    "stalls": lambda step: 4 if step % 128 < 32 else 0,
    "trickle, then flood": lambda step: int(step % 24 == 0) if step < 200 else 2,
}
"""How many requests each of four processes makes in a step: about ten times the ceiling, over all."""


class Rounds:
    """Where all contenders are."""

    def __init__(self, rows: SharedRows) -> None:
        self._all = rows.words("rounds")
        self._own = self._all[rows.own]

    def meet(self) -> None:
        """Go on once everybody is here."""
        self._own[0] += 1
        deadline = time.monotonic() + 60
        while any(row[0] < self._own[0] for row in self._all):
            os.sched_yield()
            if time.monotonic() > deadline:
                sys.exit("the others have not come")


def flood(rows: SharedRows) -> list[int]:
    """What was let through in each of ROUNDS windows, all requests of a window at one instant."""
    rounds, limiter = Rounds(rows), RateLimiter(RateLimits(CEILING, 0), rows)
    cells = limiter.cells("sk-fake-flooding")
    through = []
    for window in range(1, ROUNDS + 1):
        rounds.meet()
        through.append(sum(limiter.admit(cells, True, float(window)) is None for _ in range(250)))
    return through


def floods(rows: SharedRows) -> dict[str, list[tuple[float, float, bool]]]:
    """All FLOODS by the real clock: when each request was made, when it was decided, and whether it passed."""
    rounds, limiter = Rounds(rows), RateLimiter(RateLimits(CEILING, 0), rows)
    cells = {arrivals: limiter.cells(arrivals) for arrivals in FLOODS}
    asked: dict[str, list[tuple[float, float, bool]]] = {arrivals: [] for arrivals in FLOODS}
    rounds.meet()
    begun = time.monotonic()
    for step in range(int(2.6 * STEPS)):
        for arrivals, times in FLOODS.items():
            for _ in range(times(step)):
                now = time.monotonic()
                admitted = limiter.admit(cells[arrivals], True, now) is None
                asked[arrivals].append((now, time.monotonic(), admitted))
        time.sleep(max(0.0, begun + (step + 1) / STEPS - time.monotonic()))
    return asked


def probe(rows: SharedRows) -> list[int]:
    """In each round, whether it was this one that got the permit."""
    now = 1
    rounds, got = Rounds(rows), []
    circuit = CircuitBreaker(BreakerPolicy(1, 10, RESET), rows, 0, lambda: now)
    rounds.meet()
    if rows.own == 0:
        permit = circuit.allow()
        assert isinstance(permit, Permit)
        permit.failure()
    for _ in range(ROUNDS):
        now += 2 * RESET * 1_000_000_000
        rounds.meet()
        permit = circuit.allow()
        rounds.meet()
        got.append(int(isinstance(permit, Permit)))
        if isinstance(permit, Permit):
            permit.failure()
    return got


if __name__ == "__main__":
    block = SharedRows(int(sys.argv[1]), int(sys.argv[2]), SECTIONS, int(sys.argv[3]))
    contest = {"flood": flood, "floods": floods, "probe": probe}[sys.argv[4]]
    print(json.dumps(contest(block)))
