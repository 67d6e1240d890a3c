"""Writes log lines from a thread of its own: whoever logs is never held up by a pipe that nobody reads."""

import logging
import os
import select
import weakref
from queue import SimpleQueue
from threading import Thread
from typing import Final

MAX_WAITING: Final = 4 * 1024 * 1024
"""Bytes of lines that wait for a slow reader; what comes on top is dropped and counted."""
CLOSE_SECONDS: Final = 2.0
"""How long closing waits for a reader before it gives up on what is queued."""

_UNFORMATTED: Final = b'{"level":"ERROR","message":"a log record could not be formatted"}\n'


class LogWriter(logging.Handler):
    """Writes records to a file descriptor, formatted by its formatter; `dropped` counts those that did not fit.

    What was dropped is said in a line of its own as soon as there is a reader again. Into a pipe, lines leave in writes
    of at most `PIPE_BUF` bytes, which POSIX keeps whole, so that several processes can share it; a longer line is a
    write of its own. Works in a forked child, with an empty queue.
    """

    def __init__(self, fd: int, max_waiting: int = MAX_WAITING) -> None:
        """FD stays the caller's; it may be blocking or not."""
        super().__init__()
        self._fd = fd
        self._max_waiting = max_waiting
        self._closed = False
        self._begin()
        begin = weakref.WeakMethod(self._begin)

        def in_child() -> None:
            if (method := begin()) is not None:
                method()

        os.register_at_fork(after_in_child=in_child)

    def _begin(self) -> None:
        """Begin with an empty queue, and without a thread until there is something to write."""
        self.dropped = 0
        self._taken = 0  # bytes; written under the handler's lock
        self._done = 0  # bytes; written by the writer's thread only
        self._lines: SimpleQueue[bytes | None] = SimpleQueue()
        self._thread: Thread | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Queue RECORD, or drop it when the queue is full. Raises nothing."""
        line = self._line(record)
        if self._closed or self._taken - self._done + len(line) > self._max_waiting:
            self.dropped += 1
            return
        self._taken += len(line)
        self._lines.put(line)
        if self._thread is None:
            self._start()

    def close(self) -> None:
        """Write what is queued, for at most `CLOSE_SECONDS`; called at the end of the program too."""
        self._closed = True
        thread, self._thread = self._thread, None
        if thread is not None:
            self._lines.put(None)
            thread.join(CLOSE_SECONDS)
        super().close()

    def _line(self, record: logging.LogRecord) -> bytes:
        try:
            return self.format(record).encode("utf-8", "backslashreplace") + b"\n"
        except Exception:  # noqa: BLE001 - who logs must not fail by it
            return _UNFORMATTED

    def _start(self) -> None:
        thread = Thread(target=self._write_lines, args=(self._lines,), name="logs", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the interpreter is on its way out
            self._lines.put(None)
            self._write_lines(self._lines)
        else:
            self._thread = thread

    def _write_lines(self, lines: "SimpleQueue[bytes | None]") -> None:
        """Write LINES as they come, those that wait together, up to None."""
        batch, told = b"", 0
        while True:
            line = lines.get()
            if batch and (line is None or len(batch) + len(line) > select.PIPE_BUF):
                self._write_batch(batch)
                batch = b""
            if line is not None:
                batch += line
                if not lines.empty():
                    continue
                self._write_batch(batch)
                batch = b""
            if (dropped := self.dropped) > told and (line is None or lines.empty()):
                self._write(self._line(_gap(dropped - told)))
                told = dropped
            if line is None:
                return

    def _write_batch(self, data: bytes) -> None:
        self._write(data)
        self._done += len(data)

    def _write(self, data: bytes) -> None:
        """Write DATA, which is whole lines. Where that fails there is nowhere to say so."""
        sent = 0
        try:
            while sent < len(data):
                try:
                    sent += os.write(self._fd, data[sent:])
                except BlockingIOError:
                    _wait_writable(self._fd)
        except OSError:
            pass


def _gap(lines: int) -> logging.LogRecord:
    """The record that says that LINES are missing before it."""
    return logging.makeLogRecord(
        {
            "name": __name__,
            "levelno": logging.WARNING,
            "levelname": "WARNING",
            "msg": "log lines were dropped: stderr is not being read fast enough",
            "lines": lines,
        }
    )


def _wait_writable(fd: int) -> None:
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    poll.poll()
