"""One worker, from the supervisor's side: a process of its own, made from scratch, and the talk with it."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from beyond_ai.errors import BeyondError
from beyond_ai.gateway.shared_rows import SharedRows
from beyond_ai.gateway.supervisor.messages import (
    REPORT,
    Assembled,
    Counted,
    Failed,
    Leave,
    Order,
    Publish,
    Ready,
    Report,
    Retired,
    Rows,
    Start,
    line,
)

MODULE: Final = "beyond_ai.gateway.supervisor.worker"
SUPERVISORS: Final = (signal.SIGINT, signal.SIGHUP)
"""Signals that a terminal sends to all processes at once, and whose meaning is the supervisor's business."""
FAIR: Final = {"UV_TCP_SINGLE_ACCEPT": "1"}
"""Has libuv, below uvloop, leave something to the others after each connection that it accepts: by itself, the worker
that wakes first takes all that wait, and keeps them for as long as they last."""
MAX_LINE: Final = 4 << 20
"""Bytes of a message."""
LAST_WORDS: Final = 2.0
"""Seconds to read what a dead worker said."""


class WorkerProcess:
    """The worker whose row is ROW. It accepts at LISTENER; ROWS_FOR makes or gives the shared memory for its providers.

    `ready` comes true when it serves, or fails with a BeyondError; `ended` is its exit code in the end, negative for a
    signal.
    """

    def __init__(
        self,
        start: Start,
        row: int,
        listener: socket.socket,
        rows_for: Callable[[Sequence[str]], SharedRows],
        *,
        alone: bool,
    ) -> None:
        """ALONE is whether no other worker accepts at LISTENER."""
        loop = asyncio.get_running_loop()
        self.row = row
        self.ready: asyncio.Future[Ready] = loop.create_future()
        self.ended: asyncio.Future[int] = loop.create_future()
        self.events: dict[tuple[str, str], int] = {}
        self.started = time.monotonic()
        self._rows_for = rows_for
        self._asked: dict[int, asyncio.Future[None]] = {}
        self._number = 0
        self._retired = asyncio.Event()
        self._leave: Leave | None = None
        self._ours, theirs = socket.socketpair()
        with theirs:
            descriptors = (theirs.fileno(), listener.fileno())
            # not with the folder it is started in on its path, which -m would put there
            command = [sys.executable, "-P", "-m", MODULE, *map(str, descriptors)]
            with _blocked(SUPERVISORS):
                self._process = subprocess.Popen(  # noqa: S603
                    command,
                    stdin=subprocess.DEVNULL,
                    pass_fds=descriptors,
                    env=os.environ if alone else {**FAIR, **os.environ},
                )
        self._ours.setblocking(False)
        self._talk = loop.create_task(self._converse(start))

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def serving(self) -> bool:
        """Whether it has begun to serve and lives."""
        return self.ready.done() and not self.ended.done() and self.ready.exception() is None

    def reap(self) -> None:
        """Notice its end; called whenever some child has ended."""
        if not self.ended.done() and self._process.poll() is not None:
            self.ended.set_result(self._process.returncode)

    def leave(self, how: Leave) -> None:
        """Tell it to leave; while it starts, it is told when it serves, or, to be cut, ended."""
        if self.ready.done():
            self._send(how)
        elif how.kind == "cut":
            self.kill()
        else:
            self._leave = how

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    async def retired(self) -> None:
        """Return when no new connection reaches it any more, or it is gone."""
        told = asyncio.create_task(self._retired.wait())
        await asyncio.wait([told, self._talk], return_when=asyncio.FIRST_COMPLETED)
        told.cancel()

    async def publish(self) -> None:
        """Return when it has published what it counted, or is gone."""
        self._number += 1
        asked = self._asked[self._number] = asyncio.get_running_loop().create_future()
        number = self._number
        self._send(Publish(number))
        try:
            await asyncio.wait([asked, self._talk], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._asked.pop(number, None)

    async def last_words(self) -> None:
        """Return when all that it said has been heard; it is dead."""
        await asyncio.wait([self._talk], timeout=LAST_WORDS)
        self._talk.cancel()
        if not self.ready.done():
            self._fail(BeyondError(f"a worker ended before it served, {how_ended(await self.ended)}"))

    def _fail(self, error: BeyondError) -> None:
        self.ready.set_exception(error)
        self.ready.exception()  # so that asyncio does not miss somebody who asks

    def _send(self, order: Order) -> None:
        """Send a short message. One that does not fit finds a worker that stands still, and needs no words."""
        with contextlib.suppress(OSError):
            self._ours.send(line(order))

    async def _converse(self, start: Start) -> None:
        loop = asyncio.get_running_loop()
        with self._ours, contextlib.suppress(OSError):
            await loop.sock_sendall(self._ours, line(start))
            buffer = b""
            while len(buffer) < MAX_LINE and (data := await loop.sock_recv(self._ours, 262_144)):
                *lines, buffer = (buffer + data).split(b"\n")
                for text in lines:
                    self._hear(REPORT.validate_json(text))

    def _hear(self, report: Report) -> None:
        if isinstance(report, Assembled):
            try:
                rows = self._rows_for(report.providers)
            except BeyondError as error:
                self._fail(error)
                self.kill()
                return
            socket.send_fds(self._ours, [line(Rows(rows.rows, self.row))], [rows.fd])
        elif isinstance(report, Ready):
            self.ready.set_result(report)
            if self._leave is not None:
                self._send(self._leave)
        elif isinstance(report, Failed):
            failure = BeyondError(report.message, report.hint)
            failure.exit_code = report.exit_code
            self._fail(failure)
        elif isinstance(report, Counted):
            self.events = {(event, label): count for event, label, count in report.events}
        elif isinstance(report, Retired):
            self._retired.set()
        elif (asked := self._asked.get(report.number)) is not None and not asked.done():
            asked.set_result(None)


@contextlib.contextmanager
def _blocked(signals: Iterable[signal.Signals]) -> Iterator[None]:
    """Hold SIGNALS back meanwhile; a process that is started has them held back until it is ready for them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def how_ended(code: int) -> str:
    """How a process ended, from its exit CODE."""
    if code >= 0:
        return f"exit code {code}"
    with contextlib.suppress(ValueError):
        return f"by {signal.Signals(-code).name}"
    return f"by signal {-code}"
