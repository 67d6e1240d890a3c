"""A limit of time for what a plugin does while it is loaded.

The work stays in the main thread, where plugins are promised to be loaded, and is interrupted there, as Ctrl-C would:
a sleep, a socket, a lock, a child and an endless loop all end, and nothing of them lingers. What waits within a call in
C that no signal ends, as a name server may, is interrupted when that call returns.
"""

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Final, TypeVar

from beyond_ai.registry.plugin import Unusable, place_of

R = TypeVar("R")

AGAIN: Final = 0.5
"""Seconds to the next interruption of work that has swallowed one."""


class _Expired(BaseException):
    """Raised within the work; no plugin's `except Exception` takes it for a failure of its own."""


def within(seconds: float, moment: str, work: Callable[[], R]) -> R:
    """What WORK returns. Raises what it raises, and Unusable where it does not end in SECONDS.

    MOMENT is what the reason says of it. No limit holds outside the main thread, and where signals cannot be timed.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        return work()
    expired = False
    working = True

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        nonlocal expired
        if working:
            expired = True
            raise _Expired

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN)
            result = work()
        finally:
            working = False
            signal.setitimer(signal.ITIMER_REAL, 0)
    except BaseException as error:
        if not expired:
            raise
        place = place_of(error)
        raise Unusable(f"{moment} did not end in {seconds:g} s" + (f" ({place})" if place else "")) from error
    finally:
        working = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    if expired:
        raise Unusable(f"{moment} did not end in {seconds:g} s")
    return result
