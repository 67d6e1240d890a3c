"""The rate guardrail: how many requests a second one credential may make, and all clients with their own keys together.

It stands before verification, which costs far more, and so counts what nobody has verified: the credential as it was
presented. What counts is what was let through less than a second ago (`sliding_window`): no second of the whole gateway
holds more than the ceiling, and nobody is refused unless the second before held it, or wrongly, as told below.

**Fixed memory.** A window of 4 lines of 4,096 rings of 128 times for credentials, and one of a single ring of 1,024 a
line for own keys: 8.1 MiB a worker. Up to 128 and 1,024 a second a ceiling is exact; above, each worker may let through
a 128th or a 1,024th of it more.

**Wrong refusals.** Credentials share rings by their hash, so one may find less than its ceiling, never more. While four
workers get 50,000 invented tokens a second, each of its rings has 3 of these in each row, and it finds 6 less than its
ceiling on average and more than 12 less once in a thousand times; with one worker 9 and 15. To be refused outright it
must share all of its rings with others that make 100 a second together. Of those that do so alone there are at most 500
at 50,000 a second, and then that happens to one credential in 5,800; where there are 50, to one in 50 million.
"""

from dataclasses import dataclass
from enum import Enum
from hashlib import blake2b
from typing import Final

from beyond_ai.gateway import sliding_window
from beyond_ai.gateway.shared_rows import SharedRows, Words
from beyond_ai.gateway.sketch import Cells, cells_of
from beyond_ai.gateway.sliding_window import LOG2_TICKS, MOST, SlidingWindow

SECTION: Final = "rate_limit"
_LOG2_WIDTH: Final = 12
_LOG2_RING: Final = 7
_LOG2_BYO_RING: Final = 10
_BYO_CELLS: Final = cells_of(0, 0)
_BYO_WORDS: Final = sliding_window.words(0, _LOG2_BYO_RING)
WORDS: Final = _BYO_WORDS + sliding_window.words(_LOG2_WIDTH, _LOG2_RING)
_TICKS: Final = 1 << LOG2_TICKS


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

    __slots__ = ("_byo", "_credential", "_key", "_tick")

    def __init__(self, limits: RateLimits, rows: SharedRows) -> None:
        byo = [row[:_BYO_WORDS] for row in rows.words(SECTION)]
        credentials = [row[_BYO_WORDS:] for row in rows.words(SECTION)]
        self._byo = _window(byo, rows.own, limits.byo, 0, _LOG2_BYO_RING)
        self._credential = _window(credentials, rows.own, limits.credential, _LOG2_WIDTH, _LOG2_RING)
        self._key = rows.secret
        self._tick = 0
        """the time, which never goes back"""

    def cells(self, credential: str) -> Cells:
        """Where CREDENTIAL, as it was presented, is counted; worth keeping with the head that it came in."""
        digest = blake2b(credential.encode(errors="surrogatepass"), digest_size=8, key=self._key).digest()
        return cells_of(int.from_bytes(digest, "little"), _LOG2_WIDTH)

    def admit(self, cells: Cells, managed: bool, now: float) -> Ceiling | None:
        """Count a request of the credential of CELLS at NOW, in seconds; the ceiling that it must stop at, if any.

        A managed one is not counted with the clients that bring their own keys; one that is refused with those is not
        counted for its credential. A NOW before the latest counts as that.
        """
        tick = int(now * _TICKS)
        if tick > self._tick:
            self._tick = tick
        if not managed and self._byo is not None and not self._byo.admit(_BYO_CELLS, self._tick):
            return Ceiling.BYO
        if self._credential is not None and not self._credential.admit(cells, self._tick):
            return Ceiling.CREDENTIAL
        return None


def _window(rows: list[Words], own: int, ceiling: int, log2_width: int, log2_ring: int) -> SlidingWindow | None:
    return SlidingWindow(rows, own, min(ceiling, MOST), log2_width, log2_ring) if ceiling else None
