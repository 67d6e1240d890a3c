"""The rate guardrail: how many requests a second one credential may make, and all clients with their own keys together.

It stands before verification, which costs far more, and so counts what nobody has verified: the credential as it was
presented. What it lets through is counted in half seconds of the monotonic clock, which is one for all processes of a
machine. With each count stands when the first of it was let through, and one second after that it is forgotten as a
whole: the half second at hand and the one before always count, the one before those until its first is a second old.

**What that promises.** Nobody is refused unless the second before held the ceiling. Two half seconds in a row, any two,
never hold more. A flood from nothing, steady and twice the ceiling or more, finds the same in *any* second, its first
included, wherever in a half second it begins: what it got at once it gets again a second later, and not before. That
is the ceiling, one more or less where a border of the second cuts, and what arrives in the 1/2048 s to which the first
is rounded down. (Exactly the ceiling in every second is impossible: the first request after a border would have to
arrive at it.) One that is not so steady may get as many more as its own seconds differ by. Other traffic may get up to
twice the ceiling in a second, as with fixed windows: if a few early requests let most of a half second be forgotten
early.

**For the whole gateway.** A worker counts in its own row and decides on the sum over all. It looks first and counts
then, so what it may miss is a request that another worker is looking at just now: at most `workers - 1` more than the
ceiling count at once.

**Fixed memory.** Counts are kept in a count-min sketch of 4 lines of 32,768 cells of 3 half seconds, 3 MiB a worker. A
count holds the number of its half second, so an old one counts as zero and nothing is ever wiped. As a row has one
writer, only the cells that would be too low are raised (Estan and Varghese, *New directions in traffic measurement and
accounting*, SIGCOMM 2002: conservative update), and each row's error is at most the sketch's, for the requests that
its worker let through.

Whatever counts was let through less than a second ago. At 50,000 requests a second in all, the bound of `sketch` says:
fewer than 1.8 % of credentials are over-estimated by more than 4. To be refused wrongly a credential must share all
four cells with others that make 100; of those there are at most 500, so that happens to one in
(32768 / 500) ** 4 = 18 million. A cell's first may be another credential's, and earlier; the latest among the cells
with the least count is taken, so a credential is forgotten early only if others came before it in each of those. Below
1,000 credentials in a half second that is one in a million; at 25,000 one in twelve, and a flood of those may be let
through as other traffic is.
"""

from dataclasses import dataclass
from enum import Enum
from hashlib import blake2b
from typing import Final

from beyond_ai.gateway.shared_rows import SharedRows, Words
from beyond_ai.gateway.sketch import Cells, cells_of, least, size

SECTION: Final = "rate_limit"
_LOG2_WIDTH: Final = 15
_SLOTS: Final = 3
"""Half seconds that a cell holds: each is at its number modulo this."""
_BYO: Final = _SLOTS * size(_LOG2_WIDTH)
"""The cell of all clients with their own keys."""
_BYO_CELLS: Final[Cells] = (_BYO, _BYO, _BYO, _BYO)
WORDS: Final = _BYO + _SLOTS

_TICKS: Final = 2048
"""Ticks a second: how finely it is known when the first was let through."""
_LOG2_HALF: Final = 10
_HALF: Final = 1 << _LOG2_HALF
"""Half a second in ticks, and one request in a word."""
_PHASE: Final = _HALF - 1
_SHIFT: Final = 32
"""A word is `half << 32 | count << 10 | 1023 - phase`, the phase being the ticks from the beginning of the half second
to the first: 17 years of uptime fit into a small int of mypyc, and no half second has 2 ** 22 requests. The least of
some words of a half second has the least count and, of those with that, the latest first."""
_ONE: Final = 1 << _SHIFT


@dataclass(frozen=True, slots=True)
class RateLimits:
    """Requests a second: for each credential, and for all clients with their own keys together. 0 is no limit."""

    credential: int
    byo: int


class Ceiling(Enum):
    """What a request ran into."""

    BYO = "rate_limit_byo_global"
    CREDENTIAL = "rate_limit"


class RateLimiter:
    """The ceilings, as one worker sees them."""

    __slots__ = ("_byo", "_credential", "_key", "_own", "_rows", "_tick")

    def __init__(self, limits: RateLimits, rows: SharedRows) -> None:
        self._rows = rows.words(SECTION)
        self._credential, self._byo = limits.credential, limits.byo
        self._own = self._rows[rows.own]
        self._key = rows.secret
        self._tick = _TICKS
        """the time, which never goes back; a second ahead, so that there are two half seconds before the first"""

    def cells(self, credential: str) -> Cells:
        """Where CREDENTIAL, as it was presented, is counted; worth keeping with the head that it came in."""
        digest = blake2b(credential.encode(errors="surrogatepass"), digest_size=8, key=self._key).digest()
        a, b, c, d = cells_of(int.from_bytes(digest, "little"), _LOG2_WIDTH)
        return a * _SLOTS, b * _SLOTS, c * _SLOTS, d * _SLOTS

    def admit(self, cells: Cells, managed: bool, now: float) -> Ceiling | None:
        """Count a request of the credential of CELLS at NOW, in seconds; the ceiling that it must stop at, if any.

        A managed one is not counted with the clients that bring their own keys; one that is refused with those is not
        counted for its credential. A NOW from before the half second at hand counts in that one.
        """
        tick = int(now * _TICKS) + _TICKS
        if tick > self._tick:
            self._tick = tick
        if self._byo and not managed and not self._charge(_BYO_CELLS, self._byo):
            return Ceiling.BYO
        if self._credential and not self._charge(cells, self._credential):
            return Ceiling.CREDENTIAL
        return None

    def _charge(self, cells: Cells, ceiling: int) -> bool:
        """Count one in CELLS, unless CEILING count there already, over all workers."""
        half = self._tick >> _LOG2_HALF
        base = half << _SHIFT
        cell = cells[0]
        present, last, oldest = cell + half % _SLOTS, cell + (half + 2) % _SLOTS, cell + (half + 1) % _SLOTS
        seen = 0
        for row in self._rows:
            if (word := row[present]) > base:
                seen += word - base
            if (word := row[last]) > base - _ONE:
                seen += word - base + _ONE
            if (word := row[oldest]) > base - 2 * _ONE:
                seen += word - base + 2 * _ONE
        if seen >= _ONE:
            return self._charge_later(cells, ceiling)
        # one line of the sketch says enough, most times; its phases add up to less than a request each
        if seen >> _LOG2_HALF >= ceiling and self._count(cells, half) >= ceiling:
            return False
        self._raise(cells, half)
        return True

    def _charge_later(self, cells: Cells, ceiling: int) -> bool:
        """The same in a later half second: another worker, whose clock was read after this one's, is in it already."""
        cell = cells[0]
        latest = max(max(row[cell : cell + _SLOTS]) for row in self._rows)
        self._tick = latest >> _SHIFT << _LOG2_HALF
        return self._charge(cells, ceiling)

    def _count(self, cells: Cells, half: int) -> int:
        """How many count in CELLS in the half second HALF, over all workers, or more."""
        count, phase = 0, self._tick & _PHASE
        for age in range(_SLOTS):
            base, slot = (half - age) << _SHIFT, (half - age) % _SLOTS
            for row in self._rows:
                if row[cells[0] + slot] <= base:
                    continue
                word = _least(row, cells, slot) - base
                if 0 < word < _ONE and (age < 2 or _PHASE - (word & _PHASE) > phase):
                    count += word >> _LOG2_HALF
        return count

    def _raise(self, cells: Cells, half: int) -> None:
        """Count one in CELLS in the half second HALF; a cell that has counted in it keeps when its first was."""
        own, base, slot = self._own, half << _SHIFT, half % _SLOTS
        count = (max(_least(own, cells, slot), base) | _PHASE) + 1
        first = _PHASE - (self._tick & _PHASE)
        for cell in cells:
            word = own[cell + slot]
            if word < count:
                own[cell + slot] = count | (word & _PHASE if word > base else first)


def _least(row: Words, cells: Cells, slot: int) -> int:
    """The least of CELLS in ROW, of those in SLOT."""
    a, b, c, d = cells
    return least(row, (a + slot, b + slot, c + slot, d + slot))
