"""What connections have to send when all sockets that are ready now have been read.

A write is a system call that may wake the peer's processor, so what many exchanges send goes out back to back; and the
loop is asked once for all of them.
"""

import asyncio
from collections.abc import Callable


class Outbox:
    """Calls each `flush` that was put into it once, at the end of the loop's turn."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: list[Callable[[], None]] = []

    def put(self, flush: Callable[[], None]) -> None:
        """Have FLUSH, which raises nothing, called at the end of the turn."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._empty)
        self._waiting.append(flush)

    def _empty(self) -> None:
        waiting, self._waiting = self._waiting, []
        for flush in waiting:
            flush()
