"""The memory that request bodies may take while they are held, over all workers of the gateway.

One body is bounded by its own limit; many at a time are not. What counts is a body that has to be whole before it goes
up, from its second read on: one that came in a single read is sent in the same breath. Each worker's bytes are one cell
of its shared row. It looks first and takes then, so workers that take at the same instant may pass the limit by what
they take just then.
"""

from typing import Final

from beyond_ai.gateway.shared_rows import SharedRows

SECTION: Final = "body_budget"
WORDS: Final = 1


class Reservation:
    """What one body holds, in bytes; `release` it once the body was sent or dropped."""

    __slots__ = ("_budget", "size")

    def __init__(self, budget: "BodyBudget") -> None:
        self._budget = budget
        self.size = 0

    def grow(self, size: int) -> bool:
        """Reserve SIZE bytes more; False, and no change, when they are not to be had."""
        if not self._budget.take(size):
            return False
        self.size += size
        return True

    def release(self) -> None:
        """Give all of it back; the second call does nothing."""
        self._budget.give(self.size)
        self.size = 0


class BodyBudget:
    """`limit` bytes, as one worker sees them; it begins with none taken, whatever a predecessor left in its row."""

    __slots__ = ("_own", "_rows", "limit")

    def __init__(self, limit: int, rows: SharedRows) -> None:
        rows.clear(SECTION, rows.own)
        self.limit = limit
        self._rows = rows.words(SECTION)
        self._own = self._rows[rows.own]

    def reservation(self) -> Reservation:
        """One of no bytes yet."""
        return Reservation(self)

    def held(self) -> int:
        """The bytes that are taken, over all workers."""
        return sum([row[0] for row in self._rows])

    def take(self, size: int) -> bool:
        """Take SIZE bytes, if they are to be had."""
        if self.held() + size > self.limit:
            return False
        self._own[0] += size
        return True

    def give(self, size: int) -> None:
        """Give SIZE bytes back."""
        self._own[0] -= size
