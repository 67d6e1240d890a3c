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
from datetime import UTC
from queue import SimpleQueue
from threading import Thread
from typing import Final

import orjson
from pydantic import BaseModel, ConfigDict, Field

from beyond_ai import Component, Context, UsageEvent, UsageSink, hookimpl

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


def usage_line(event: UsageEvent) -> bytes:
    """EVENT as one line of JSON, newline included. What is None in EVENT is left out."""
    time = event.time.astimezone(UTC) if event.time.utcoffset() else event.time
    fields: dict[str, object] = {
        "message": "usage",
        "request_id": event.request_id,
        "tenant_id": event.tenant_id,
        "vpc_id": event.vpc_id,
    }
    if event.key_id is not None:
        fields["key_id"] = event.key_id
    fields["provider"] = event.provider
    fields["model"] = event.model
    fields["requested_model"] = event.requested_model
    fields["stream"] = event.stream
    fields["input_tokens"] = event.input_tokens
    fields["output_tokens"] = event.output_tokens
    fields["cache_read_tokens"] = event.cache_read_tokens
    fields["cache_write_tokens"] = event.cache_write_tokens
    if event.cache_write_1h_tokens is not None:
        fields["cache_write_1h_tokens"] = event.cache_write_1h_tokens
    if event.reasoning_tokens is not None:
        fields["reasoning_tokens"] = event.reasoning_tokens
    if event.service_tier is not None:
        fields["service_tier"] = event.service_tier
    if event.server_tool_calls is not None:
        fields["server_tool_calls"] = event.server_tool_calls
    if event.usage_wire is not None:
        fields["usage_wire"] = event.usage_wire
    fields["usage_estimated"] = event.usage_estimated
    fields["outcome"] = event.outcome
    if event.upstream_status is not None:
        fields["upstream_status"] = event.upstream_status
    fields["latency_ms"] = event.latency_ms
    if event.ttft_ms is not None:
        fields["ttft_ms"] = event.ttft_ms
    if event.upstream_cost_usd is not None:
        fields["upstream_cost_usd"] = event.upstream_cost_usd
    # orjson writes a time four times faster than isoformat does, but leaves out a fraction of zero
    timestamp = time if time.microsecond else time.strftime("%Y-%m-%dT%H:%M:%S.000000Z")
    line = {"timestamp": timestamp, "level": "INFO", "fields": fields, "target": "ai.usage"}
    return orjson.dumps(line, option=orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC | orjson.OPT_APPEND_NEWLINE)


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
