"""The rate guardrail: how many requests a second one credential may make, and all clients with their own keys together.

It stands before verification, which costs far more, and so counts what nobody has verified: the credential as it was
presented. Windows last one second and are those of the monotonic clock, which is one for all processes of a machine.
A request that is refused counts as well, so a client that hammers stays refused. Two windows' worth can pass around a
border.

**For the whole gateway.** A worker counts in its own row and decides on the sum over all. It looks first and counts
then, so what it may miss is a request that another worker is looking at just now: under any flood, a window lets at
least the ceiling through and at most `workers - 1` more.

**Fixed memory.** Counts are kept in a count-min sketch of 4 lines of 32,768 cells, 1 MiB a worker. A cell holds the
number of its window beside the count, so an old one counts as zero and nothing is ever wiped. As a row has one writer,
only the cells that would be too low are raised (Estan and Varghese, *New directions in traffic measurement and
accounting*, SIGCOMM 2002: conservative update), and each row's error is at most the sketch's, for the requests that
its worker saw.

At 50,000 requests a second in all, the bound of `sketch` says: fewer than 1.8 % of credentials are over-estimated by
more than 4. To be refused wrongly a credential must share all four cells with others that make 100; of
those there are at most 500, so that happens to one in (32768 / 500) ** 4 = 18 million.
"""

from dataclasses import dataclass
from enum import Enum
from hashlib import blake2b
from typing import Final

from beyond_ai.gateway.shared_rows import SharedRows
from beyond_ai.gateway.sketch import Cells, cells_of, least, size

SECTION: Final = "rate_limit"
_LOG2_WIDTH: Final = 15
_BYO: Final = size(_LOG2_WIDTH)
"""The cell of all clients with their own keys."""
_BYO_CELLS: Final[Cells] = (_BYO, _BYO, _BYO, _BYO)
WORDS: Final = _BYO + 1

_SHIFT: Final = 32
"""A cell is `window << 32 | count`: enough windows for 136 years of uptime, and no second has 2 ** 32 requests."""
_COUNT: Final = (1 << _SHIFT) - 1


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

    __slots__ = ("_base", "_byo", "_credential", "_key", "_others", "_own")

    def __init__(self, limits: RateLimits, rows: SharedRows) -> None:
        views = rows.words(SECTION)
        self._credential, self._byo = limits.credential, limits.byo
        self._own = views[rows.own]
        self._others = views[: rows.own] + views[rows.own + 1 :]
        self._key = rows.secret
        self._base = 0
        """the window as it stands in a cell, with a count of 0; it never goes back"""

    def cells(self, credential: str) -> Cells:
        """Where CREDENTIAL, as it was presented, is counted; worth keeping with the head that it came in."""
        digest = blake2b(credential.encode(errors="surrogatepass"), digest_size=8, key=self._key).digest()
        return cells_of(int.from_bytes(digest, "little"), _LOG2_WIDTH)

    def admit(self, cells: Cells, managed: bool, now: float) -> Ceiling | None:
        """Count a request of the credential of CELLS at NOW, in seconds; the ceiling that it must stop at, if any.

        A managed one is not counted with the clients that bring their own keys; one that is refused with those is not
        counted for its credential. A NOW from before the window at hand counts in that one.
        """
        base = int(now) << _SHIFT
        if base > self._base:
            self._base = base
        if self._byo and not managed and self._charge_byo() >= self._byo:
            return Ceiling.BYO
        if self._credential and self._charge(cells) >= self._credential:
            return Ceiling.CREDENTIAL
        return None

    def _charge(self, cells: Cells) -> int:
        """Count one in CELLS; returns how many there were before, over all workers, or more."""
        own = self._own
        base, low = self._base, least(own, cells)
        seen = low - base if low > base else 0
        for row in self._others:
            word = least(row, cells)
            if word > base:
                seen += word - base
        if seen > _COUNT:
            return self._charge_later(cells)
        word = max(low, base) + 1
        for cell in cells:
            if own[cell] < word:
                own[cell] = word
        return seen

    def _charge_later(self, cells: Cells) -> int:
        """The same in a later window: another worker, whose clock was read after this one's, is in it already."""
        latest = max(least(row, cells) for row in (self._own, *self._others))
        self._base = latest & ~_COUNT
        return self._charge(cells)

    def _charge_byo(self) -> int:
        """Count one of all clients with their own keys; returns as `_charge` does."""
        own = self._own
        base, low = self._base, own[_BYO]
        seen = low - base if low > base else 0
        for row in self._others:
            word = row[_BYO]
            if word > base:
                seen += word - base
        if seen > _COUNT:
            return self._charge_later(_BYO_CELLS)
        own[_BYO] = max(low, base) + 1
        return seen
