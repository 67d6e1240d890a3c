"""What was let through in the second before, for any number of keys, in memory of fixed size and over all workers.

A count-min sketch (`sketch`) whose cells are logs: a ring of the times at which requests were let through, and how many
of the latest may still count, being less than a second old. A request is let through unless as many as the ceiling
count for its key: in each worker's row in one of its cells, and that is its own count or more. So whatever comes,
however it comes, no second holds more than the ceiling, and each request makes room for another a second later.

**Over all workers.** A worker writes to the cells in its own row and reads those of all. It looks first and counts
then, so what it may miss is a request that another worker is looking at just now: at most `workers - 1` more than the
ceiling count at once. A time is written before the word that speaks of it; a reader that sees these in another order,
or sleeps until a ring has gone round, misjudges the one request that it is looking at.

**Large ceilings.** Where a ring of M has to serve a higher ceiling, it holds the time of each q-th request,
q = ceil(ceiling / M), and with that q of them are forgotten. So of each worker's up to q - 1 are forgotten early, which
is less than ceiling / M.

**Time** is in ticks of 2 ** -20 s of a clock that is one for all processes of a machine. A ring holds their last 32
bits, which is enough for half an hour. A word says in which second it was written, and is nothing once the one after
that is over. So there is nothing to wipe, and a key may stay away as long as it likes.
"""

from collections.abc import Sequence
from typing import Final

from beyond_ai.gateway.shared_rows import Words
from beyond_ai.gateway.sketch import Cells, size

LOG2_TICKS: Final = 20
_SECOND: Final = 1 << LOG2_TICKS
_TIME: Final = (1 << 32) - 1
_LATER: Final = 1 << 31
"""The difference of two times is below this if the first is the later one, or they are the same."""

_HEAD_AT: Final = 22
_SECOND_AT: Final = 32
"""A word is `second << 32 | head << 22 | live`: in which second it was written, where in the ring the next time goes,
and how many requests may count. 34 years of uptime fit into a small int of mypyc."""
_LIVE: Final = (1 << _HEAD_AT) - 1
_NEXT: Final = 1 << _HEAD_AT
_HEAD: Final = (1 << _SECOND_AT) - _NEXT
_PASSED: Final = 1 << _SECOND_AT
MOST: Final = _LIVE // 2
"""The highest ceiling: two million a second."""
_KEPT: Final = 512
"""A cell that says more is rid of old ones when it is written; less takes nine minutes at most, a second each."""


def words(log2_width: int, log2_ring: int) -> int:
    """What a window with lines of so many cells, and rings of so many times, takes of a shared row."""
    return size(log2_width) + (size(log2_width) << log2_ring) // 2


class SlidingWindow:
    """The window of one kind of key, as one worker sees it."""

    __slots__ = ("_ceiling", "_group", "_kept", "_log2_ring", "_mask", "_own", "_rows")

    def __init__(self, rows: Sequence[Words], own: int, ceiling: int, log2_width: int, log2_ring: int) -> None:
        """Over ROWS, the `words` of each worker, this one's at OWN; LOG2_RING is at most 10, and CEILING `MOST`."""
        cells, ring = size(log2_width), 1 << log2_ring
        self._rows = tuple((row[:cells], row[cells:].cast("B").cast("I")) for row in rows)
        self._own = self._rows[own]
        self._ceiling = ceiling
        self._log2_ring, self._mask = log2_ring, ring - 1
        self._group = -(-ceiling // ring)
        """requests to each time in a ring"""
        self._kept = min(_KEPT, max(1, ceiling // len(rows)))
        """So many in each row are not above the ceiling, so until then old ones may stay."""

    def admit(self, cells: Cells, tick: int) -> bool:
        """Count one in CELLS at TICK, unless a ceiling of requests counts there already, over all workers."""
        written = (tick >> LOG2_TICKS) - 1 << _SECOND_AT
        cell, seen = cells[0], 0
        for words, _ in self._rows:
            if (word := words[cell]) >= written:
                seen += word & _LIVE
        # one line of the sketch says enough, most times
        if seen >= self._ceiling and self._count(cells, tick) >= self._ceiling:
            return False
        self._log(cells, tick)
        return True

    def _count(self, cells: Cells, tick: int) -> int:
        """How many count in CELLS at TICK, over all workers: in each row in the cell that says the least."""
        written = (tick >> LOG2_TICKS) - 1 << _SECOND_AT
        count = 0
        for words, times in self._rows:
            least, its_cell, its_word = _LIVE, 0, 0
            for cell in cells:
                word = words[cell]
                live = word & _LIVE if word >= written else 0
                if live < least:
                    least, its_cell, its_word = live, cell, word
            if least:
                count += self._live(its_word, times, its_cell, tick)
        return count

    def _live(self, word: int, times: Words, cell: int, tick: int) -> int:
        """How many of those that WORD says of CELL count at TICK: a search for the oldest, from the oldest on."""
        live, start, edge = word & _LIVE, cell << self._log2_ring, tick - _SECOND
        old, groups = 0, -(-live // self._group)
        first, step = (word >> _HEAD_AT) - groups, 1
        while old < groups:
            at = min(old + step, groups) - 1
            if (edge - times[start + (first + at & self._mask)]) & _TIME < _LATER:
                old, step = at + 1, 2 * step
            else:
                groups, step = at, max(step // 2, 1)
        return max(live - old * self._group, 0)

    def _log(self, cells: Cells, tick: int) -> None:
        """Count one in CELLS at TICK."""
        words, times = self._own
        group, kept, mask, log2_ring = self._group, self._kept, self._mask, self._log2_ring
        second = tick >> LOG2_TICKS << _SECOND_AT
        written, time = second - _PASSED, tick & _TIME
        for cell in cells:
            word = words[cell]
            head = word & _HEAD
            live = word & _LIVE if word >= written else 0
            if live >= kept:
                live = self._live(word, times, cell, tick)
            if live % group == 0:
                times[(cell << log2_ring) + (head >> _HEAD_AT & mask)] = time
                head = head + _NEXT & _HEAD
                if live > mask * group:
                    live -= group  # the oldest, in a ring that is full
            words[cell] = second + head + live + 1
