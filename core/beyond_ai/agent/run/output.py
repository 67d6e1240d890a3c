"""Bytes to a descriptor, in order, without ever blocking the event loop: it must stay able to take signals.

A reader that does not keep up makes the run wait, and nothing is dropped; one that has gone away is a normal end. A
disk that is full is not.
"""

import asyncio
import errno
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

DIRECT: Final = select.PIPE_BUF
"""Bytes that a descriptor takes at once when it says that it is ready."""
ROOM: Final = 256 * 1024
"""Bytes that may wait before a writer waits too."""
PIECE: Final = 64 * 1024
"""Bytes of one write; what a slow reader has taken is seen in these steps."""
LONGEST_WAIT: Final = 3600.0
"""Seconds of one wait; more than some machines can count may be asked for."""
GONE: Final = (errno.EPIPE, errno.ECONNRESET)


class Output:
    """A descriptor that is written to. `on_broken` is called once, in the loop's thread, when it takes no more.

    `problem` says why, unless it is only that its reader has gone.
    """

    def __init__(self, descriptor: int, on_broken: Callable[[], None] = lambda: None) -> None:
        self.on_broken = on_broken
        self.broken = False
        self.problem: str | None = None
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)
        self._changed = threading.Condition()
        self._waiting: deque[bytes] = deque()
        self._held = 0
        self._thread: threading.Thread | None = None
        self._patient = True

    @property
    def waiting(self) -> bool:
        """Whether there is something that the descriptor has not taken."""
        return self._held > 0

    async def write(self, data: bytes) -> None:
        """Write DATA, or have it written; returns when there is room for more."""
        self.put(data)
        while self._held > ROOM and self._patient and not self.broken:  # noqa: ASYNC110 - rare, and what it waits for is a thread
            await asyncio.sleep(0.01)
        if self.broken:
            self._tell()

    def put(self, data: bytes) -> None:
        """Write DATA, or have it written, at once."""
        if self.broken or not data:
            return
        if not self._held and len(data) <= DIRECT and self._is_ready():
            try:
                data = data[os.write(self._descriptor, data) :]
            except BlockingIOError:
                pass
            except OSError as error:
                self._break(error)
                return
        if data:
            self._queue(data)

    def hurry(self) -> None:
        """Let no writer wait for the reader any more: the end is near."""
        self._patient = False

    def finish(self, within: float) -> bool:
        """Wait until all is written, at most WITHIN seconds; whether it was."""
        deadline = time.monotonic() + within
        with self._changed:
            while self._held and not self.broken:
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(min(left, LONGEST_WAIT))
        return not self.broken

    def finish_slowly(self, idle: float) -> bool:
        """Wait until all is written, however long, as long as some of it is within IDLE seconds; whether it was."""
        held = self._held + 1
        while 0 < self._held < held:
            held = self._held
            self.finish(idle)
        return not self._held and not self.broken

    def _is_ready(self) -> bool:
        return any(event & select.POLLOUT for _, event in self._poll.poll(0))

    def _queue(self, data: bytes) -> None:
        with self._changed:
            self._waiting.append(data)
            self._held += len(data)
            self._changed.notify_all()
        if self._thread is None:
            self._thread = threading.Thread(target=self._drain, name="output", daemon=True)
            self._thread.start()

    def _drain(self) -> None:
        while True:
            with self._changed:
                while not self._waiting:
                    self._changed.wait()
                data = self._waiting[0]
            try:
                written = os.write(self._descriptor, data[:PIECE])
            except BlockingIOError:  # somebody who shares it has made it so
                self._poll.poll()
                continue
            except OSError as error:
                self._break(error)
                return
            with self._changed:
                self._held -= written
                self._waiting.popleft()
                if written < len(data):
                    self._waiting.appendleft(data[written:])
                self._changed.notify_all()

    def _break(self, error: OSError) -> None:
        with self._changed:
            self.broken = True
            self.problem = None if error.errno in GONE else error.strerror
            self._waiting.clear()
            self._held = 0
            self._changed.notify_all()

    def _tell(self) -> None:
        told, self.on_broken = self.on_broken, lambda: None
        told()
