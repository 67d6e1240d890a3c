"""Work on files away from the event loop, that is done whole or not at all."""

import asyncio
from collections.abc import Callable
from itertools import count
from typing import TypeVar

T = TypeVar("T")


async def finish(work: Callable[[], T]) -> T:
    """What WORK returns, from a thread.

    When the caller is cancelled, work that has begun is waited for first, so that whoever writes the same file next
    comes after it; work that has not begun never does. A second cancellation no longer waits.
    """
    turn = count()  # who draws 0 decides: the thread, that work begins, or the caller, that it does not

    def begin() -> T:
        if next(turn):
            raise RuntimeError("cancelled before it began")
        return work()

    running = asyncio.get_running_loop().run_in_executor(None, begin)
    running.add_done_callback(lambda done: done.cancelled() or done.exception())  # else asyncio reports it as unseen
    try:
        await asyncio.wait({running})
    except asyncio.CancelledError:
        if next(turn):
            await asyncio.wait({running})
        raise
    return running.result()
