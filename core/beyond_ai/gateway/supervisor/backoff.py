"""How long to wait before a worker that died is started again."""

from typing import Final

FIRST: Final = 0.1
"""Seconds before the first restart."""
LONGEST: Final = 30.0
STABLE: Final = 60.0
"""Seconds of life after which a death is no longer one of a series."""


class Backoff:
    """Twice as long after each death as after the one before, until one comes after a long life."""

    __slots__ = ("_delay",)

    def __init__(self) -> None:
        self._delay = FIRST

    def after(self, lived: float) -> float:
        """Seconds to wait after the death of a worker that LIVED so many."""
        delay = FIRST if lived >= STABLE else self._delay
        self._delay = min(2 * delay, LONGEST)
        return delay
