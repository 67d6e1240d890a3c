"""The `stdout` sink: one JSON line for each usage event, in the form of the log line that collectors already read.

Writing is another thread's: a pipe that nobody reads stalls that thread and never the gateway. Events wait in a bounded
queue; when it is full they are dropped and counted. Into a pipe, lines leave in writes of at most `PIPE_BUF` bytes,
which POSIX keeps whole, so that several workers can share it.
"""

import asyncio
import logging
import os
import select
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from queue import SimpleQueue
from threading import Thread
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from beyond_ai import Component, Context, UsageEvent, UsageSink, hookimpl
from beyond_ai_plugins.sinks.usage_line import usage_line

CLOSE_SECONDS: Final = 5.0
"""How long closing waits for a reader before it gives up on what is queued."""

MAX_WRITE: Final = 262_144
"""Bytes of one write to what is not a pipe."""

_log = logging.getLogger(__name__)


class StdoutConfig(BaseModel):
    """The table `[plugins.stdout]`."""

    model_config = ConfigDict(extra="forbid")

    flush_ms: int = Field(default=20, ge=0, le=10_000)
    """How long events are gathered before they are written together, milliseconds."""
    queue_events: int = Field(default=100_000, ge=1)
    """How many events may wait for a slow reader; about 0.5 KiB each."""


class StdoutSink:
    """Writes usage lines to a file descriptor. `count` is told of each event that was `dropped` or `failed`."""

    def __init__(self, fd: int, config: StdoutConfig, count: Callable[[str, str], None]) -> None:
        """FD stays the caller's; it may be blocking or not."""
        self._fd = fd
        self._most = select.PIPE_BUF if stat.S_ISFIFO(os.fstat(fd).st_mode) else MAX_WRITE
        self._flush_seconds = config.flush_ms / 1000
        self._capacity = config.queue_events
        self._count = count
        self._batch: list[bytes] = []
        self._flush: asyncio.TimerHandle | None = None
        self._taken = 0  # events; written by the loop's thread only
        self._done = 0  # events, lost ones included; written by the writer's thread only
        self._queue: SimpleQueue[list[bytes] | None] = SimpleQueue()
        self._writer = Thread(target=self._write_batches, name="usage-stdout", daemon=True)
        self._abandoned = False
        self._torn = False
        self._logged: set[str] = set()

    async def start(self) -> None:
        """Start the writer."""
        self._writer.start()

    def emit(self, event: UsageEvent) -> None:
        """Queue EVENT, or drop it when the queue is full."""
        if self._taken - self._done >= self._capacity:
            self._lose(1, "dropped", "stdout is not being read fast enough: usage events are dropped")
            return
        self._batch.append(usage_line(event))
        self._taken += 1
        if self._flush is None:
            self._flush = asyncio.get_running_loop().call_later(self._flush_seconds, self._hand_over)

    async def aclose(self) -> None:
        """Write what is queued, for at most `CLOSE_SECONDS`."""
        if self._flush is not None:
            self._flush.cancel()
            self._hand_over()
        self._queue.put(None)
        await asyncio.to_thread(self._writer.join, CLOSE_SECONDS)
        self._abandoned = True
        if lost := self._taken - self._done:
            self._lose(lost, "dropped", f"stdout was not read to the end: {lost} usage events are lost")

    def _hand_over(self) -> None:
        self._flush = None
        self._queue.put(self._batch)
        self._batch = []

    def _write_batches(self) -> None:
        while (batch := self._queue.get()) is not None:
            for lines in _writes(batch, self._most):
                if self._abandoned:
                    return
                self._write(lines)
                self._done += len(lines)

    def _write(self, lines: list[bytes]) -> None:
        """Write LINES together; those that do not get out whole are counted as failed."""
        # a failure in mid-line left a fragment behind: end it, so that it spoils no other line
        data = (b"\n" if self._torn else b"") + b"".join(lines)
        sent = 0
        try:
            while sent < len(data):
                try:
                    sent += os.write(self._fd, data[sent:] if sent else data)
                except BlockingIOError:
                    _wait_writable(self._fd)
            self._torn = False
        except OSError as error:
            if sent:
                self._torn = data[sent - 1] != ord("\n")
            failed = min(len(lines), data.count(b"\n", sent))
            self._lose(failed, "failed", f"usage events cannot be written to stdout: {error}")

    def _lose(self, events: int, label: str, message: str) -> None:
        for _ in range(events):
            self._count("stdout", label)
        if label not in self._logged:
            self._logged.add(label)
            _log.error("%s (said once; ai_plugin_events_total counts them)", message)


def _writes(batch: Iterable[bytes], most: int) -> Iterator[list[bytes]]:
    """Group the lines of BATCH into writes of at most MOST bytes; a longer line is a write of its own."""
    lines: list[bytes] = []
    size = 0
    for line in batch:
        if lines and size + len(line) > most:
            yield lines
            lines, size = [], 0
        lines.append(line)
        size += len(line)
    if lines:
        yield lines


def _wait_writable(fd: int) -> None:
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    poll.poll()


def _create(context: Context) -> StdoutSink:
    if sys.__stdout__ is None:
        raise OSError("this process was started without a stdout")
    return StdoutSink(sys.__stdout__.fileno(), context.settings(StdoutConfig), context.count)


@hookimpl
def beyond_usage_sinks() -> Iterable[Component[UsageSink]]:
    """Offer stdout."""
    yield Component(name="stdout", summary="one JSON line per event on stdout", create=_create, config=StdoutConfig)
