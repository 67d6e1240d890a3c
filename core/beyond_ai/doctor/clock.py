"""This machine's clock, beside the clocks of whoever answered.

Virtual keys do not expire, so a wrong clock refuses nobody; it dates usage events wrongly, and far off it makes
certificates look expired.
"""

from collections.abc import Sequence
from statistics import median
from typing import Final

from beyond_ai.doctor.finding import Finding, fail, note, ok

MAX_SKEW: Final = 30.0
"""Seconds that this clock may be off; providers tell theirs in whole seconds."""


def check_clock(skews: Sequence[float]) -> Finding:
    """SKEWS are seconds by which this clock was ahead of others'. The median counts: one of them may be wrong."""
    if not skews:
        return note("clock", "not checked: nobody who could be reached told the time")
    skew = median(skews)
    others = f"{len(skews)} other clock{'s' if len(skews) > 1 else ''}"
    if abs(skew) <= MAX_SKEW:
        return ok("clock", f"within {max(1, round(abs(skew)))} s of {others}")
    way = "ahead of" if skew > 0 else "behind"
    return fail(
        "clock",
        f"{abs(skew):.0f} s {way} {others}: usage events are dated by it, and certificates judged",
        "let NTP set it: timedatectl set-ntp true, or chronyd",
    )
