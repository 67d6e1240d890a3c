"""The request body between the relay and the network: a bounded queue."""

import asyncio
from collections import deque
from typing import Final

from beyond_ai import UpstreamEvents

HIGH_MARK: Final = 65_536
"""Bytes queued at which the relay is told to stop."""
LOW_MARK: Final = 16_384
"""Bytes queued at which it is told to go on."""


class Upload:
    """What is still to be sent. The relay may overshoot the mark by what it had in hand when it was told to stop."""

    def __init__(self, events: UpstreamEvents, *, complete: bool) -> None:
        self.complete = complete
        """nothing more will be put in"""
        self.paused = False
        self._events = events
        self._queue: deque[bytes] = deque()
        self._size = 0
        self._changed = asyncio.Event()

    def put(self, data: bytes) -> None:
        """Queue DATA."""
        if not data:
            return
        self._queue.append(data)
        self._size += len(data)
        self._changed.set()
        if self._size >= HIGH_MARK and not self.paused:
            self.paused = True
            self._events.upstream_pause()

    def end(self) -> None:
        """Nothing follows."""
        self.complete = True
        self._changed.set()

    def wake(self) -> None:
        """Let whoever waits look again."""
        self._changed.set()

    def drop(self) -> None:
        """Forget what is queued, and tell the relay nothing more."""
        self._queue.clear()
        self._size = 0
        self.paused = True

    @property
    def waiting(self) -> bool:
        """Whether there is something to take."""
        return bool(self._queue)

    def take(self) -> bytes:
        """Take the next bytes; there must be some."""
        data = self._queue.popleft()
        self._size -= len(data)
        if self.paused and self._size <= LOW_MARK:
            self.paused = False
            self._events.upstream_resume()
        return data

    async def wait(self) -> None:
        """Wait until something has changed."""
        self._changed.clear()
        await self._changed.wait()
