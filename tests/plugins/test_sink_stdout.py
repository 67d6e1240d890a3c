"""The stdout sink on real pipes: whole lines, in order, nothing lost on a good reader, nothing blocked by a bad one."""

import asyncio
import fcntl
import json
import logging
import os
import select
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from beyond_ai import Context, Dialect, Outcome, UsageEvent, UsageSink
from beyond_ai.testing.conformance import usage_event
from beyond_ai_plugins.sinks import stdout
from beyond_ai_plugins.sinks.stdout import StdoutConfig, StdoutSink
from beyond_ai_plugins.sinks.usage_line import usage_line

EVENT = usage_event("1f-0", tenant_id=2**64 - 1, usage_wire=None, upstream_status=None, ttft_ms=None)


def numbered(number: int) -> UsageEvent:
    return replace(EVENT, request_id=str(number))


class Counts:
    """What the sink counted, from whichever thread."""

    def __init__(self) -> None:
        self.labels: Counter[str] = Counter()
        self.changed = threading.Condition()

    def __call__(self, name: str, label: str) -> None:
        assert name == "stdout"
        with self.changed:
            self.labels[label] += 1
            self.changed.notify_all()

    def wait(self, label: str, number: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.labels[label] >= number, timeout=10)


class Pipe:
    """A pipe whose writing end is the sink's stdout."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        self._open = {self.reader, self.writer}

    def close(self, *ends: int) -> None:
        for end in ends or tuple(self._open):
            if end in self._open:
                self._open.remove(end)
                os.close(end)

    def fill(self) -> int:
        """Fill the pipe so that nothing more fits; the bytes it took."""
        os.set_blocking(self.writer, False)
        filled = 0
        for size in (65536, 4096, 1):
            try:
                while True:
                    filled += os.write(self.writer, b"#" * size)
            except BlockingIOError:
                pass
        os.set_blocking(self.writer, True)
        return filled

    def read_all(self) -> list[str]:
        """Close the writing end and read the lines that are left, as request ids."""
        self.close(self.writer)
        with os.fdopen(self.reader, "rb", closefd=False) as file:
            return ids(file.read())


def ids(data: bytes) -> list[str]:
    assert data.endswith(b"\n") or not data
    return [json.loads(line)["fields"]["request_id"] for line in data.splitlines()]


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.close()


@pytest.fixture
def counts() -> Counts:
    return Counts()


@asynccontextmanager
async def running(fd: int, counts: Counts, **config: int) -> AsyncIterator[StdoutSink]:
    sink = StdoutSink(fd, StdoutConfig(**config), counts)
    await sink.start()
    yield sink
    await sink.aclose()


def test_a_line_has_the_reference_shape() -> None:
    line = usage_line(EVENT)
    assert line.endswith(b"}\n")
    assert line.count(b"\n") == 1
    assert json.loads(line) == {
        "timestamp": "2026-03-04T05:06:07.000089Z",
        "level": "INFO",
        "fields": {
            "message": "usage",
            "request_id": "1f-0",
            "tenant_id": 18446744073709551615,
            "vpc_id": 7,
            "provider": "openai",
            "model": "gpt-4o-2024-08-06",
            "requested_model": "gpt-4o",
            "stream": True,
            "input_tokens": 12,
            "output_tokens": 34,
            "cache_read_tokens": 0,
            "cache_write_tokens": 0,
            "usage_estimated": False,
            "outcome": "ok",
            "latency_ms": 56,
        },
        "target": "ai.usage",
    }


def test_optional_fields_appear_when_they_are_known_zero_included() -> None:
    event = replace(
        EVENT,
        key_id=0,
        cache_write_1h_tokens=0,
        reasoning_tokens=0,
        service_tier="priority",
        server_tool_calls=0,
        usage_wire=Dialect.ANTHROPIC,
        upstream_status=502,
        ttft_ms=0,
        upstream_cost_usd="0",
    )
    known = {
        "key_id": 0,
        "cache_write_1h_tokens": 0,
        "reasoning_tokens": 0,
        "service_tier": "priority",
        "server_tool_calls": 0,
        "usage_wire": "anthropic",
        "upstream_status": 502,
        "ttft_ms": 0,
        "upstream_cost_usd": "0",
    }
    plain = json.loads(usage_line(EVENT))["fields"]
    assert not known.keys() & plain.keys()
    assert json.loads(usage_line(event))["fields"] == plain | known


def test_estimates_and_outcomes_are_said() -> None:
    fields = json.loads(usage_line(replace(EVENT, usage_estimated=True, outcome=Outcome.CUT_SHORT)))["fields"]
    assert (fields["usage_estimated"], fields["outcome"]) == (True, "cut_short")


def test_a_cost_keeps_its_digits() -> None:
    for cost in ("0.00010130", "1.4e-07", "12345678901234567890.123456789"):
        assert json.loads(usage_line(replace(EVENT, upstream_cost_usd=cost)))["fields"]["upstream_cost_usd"] == cost


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, 0, tzinfo=UTC), "2026-01-02T03:04:05.000000Z"),
        (datetime(2026, 1, 2, 3, 4, 5, 120000, tzinfo=UTC), "2026-01-02T03:04:05.120000Z"),
        (datetime(2026, 1, 2, 3, 4, 5, 1, tzinfo=timezone(timedelta(hours=2))), "2026-01-02T01:04:05.000001Z"),
        (datetime(2026, 1, 2, 3, 4, 5, 0, tzinfo=timezone(timedelta(hours=-2))), "2026-01-02T05:04:05.000000Z"),
    ],
)
def test_times_are_utc_with_microseconds(time: datetime, text: str) -> None:
    assert json.loads(usage_line(replace(EVENT, time=time)))["timestamp"] == text


def test_what_a_client_sent_cannot_break_a_line() -> None:
    event = replace(EVENT, requested_model='a"\n\\\u2028\x00{', model="模型")
    line = usage_line(event)
    assert line.count(b"\n") == 1
    fields = json.loads(line)["fields"]
    assert (fields["requested_model"], fields["model"]) == (event.requested_model, event.model)


async def test_everything_arrives_in_order(pipe: Pipe, counts: Counts) -> None:
    received: list[str] = []
    reader = threading.Thread(target=lambda: received.extend(read_until_end(pipe.reader)))
    reader.start()
    async with running(pipe.writer, counts, flush_ms=1) as sink:
        for number in range(3000):
            sink.emit(numbered(number))
            if number % 100 == 0:
                await asyncio.sleep(0.001)  # lets some batches go out while more events come
    pipe.close(pipe.writer)
    reader.join(10)
    assert received == [str(number) for number in range(3000)]
    assert not counts.labels


def read_until_end(fd: int) -> list[str]:
    data = b""
    while chunk := os.read(fd, 65536):
        data += chunk
    return ids(data)


async def test_a_lone_event_is_written_without_waiting_for_more(pipe: Pipe, counts: Counts) -> None:
    async with running(pipe.writer, counts, flush_ms=1) as sink:
        sink.emit(numbered(1))
        data = await asyncio.wait_for(asyncio.to_thread(os.read, pipe.reader, 65536), 10)
        assert ids(data) == ["1"]


async def test_events_of_one_flush_share_their_writes(pipe: Pipe, counts: Counts) -> None:
    async with running(pipe.writer, counts, flush_ms=10_000) as sink:
        for number in range(100):
            sink.emit(numbered(number))
        await asyncio.sleep(0)
        assert not select.select([pipe.reader], [], [], 0)[0]
    assert pipe.read_all() == [str(number) for number in range(100)]


async def test_several_processes_can_share_a_pipe(pipe: Pipe, counts: Counts) -> None:
    """No write is bigger than what the pipe keeps in one piece, and each ends with a line."""
    sizes: list[int] = []
    real_write = os.write

    def write(fd: int, data: bytes) -> int:
        if fd == pipe.writer:
            assert data.endswith(b"\n")
            sizes.append(len(data))
        return real_write(fd, data)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "write", write)
        async with running(pipe.writer, counts) as sink:
            for number in range(100):
                sink.emit(numbered(number))
            sink.emit(replace(EVENT, request_id="long", model="m" * 5000))
            sink.emit(numbered(100))
    assert [size > select.PIPE_BUF for size in sizes].count(True) == 1
    assert len(sizes) < 30
    assert pipe.read_all() == [*map(str, range(100)), "long", "100"]


async def test_a_stuck_reader_costs_events_but_never_time(
    pipe: Pipe, counts: Counts, caplog: pytest.LogCaptureFixture
) -> None:
    filled = pipe.fill()
    async with running(pipe.writer, counts, flush_ms=0, queue_events=50) as sink:
        began = time.monotonic()
        for number in range(200):
            sink.emit(numbered(number))
            await asyncio.sleep(0)
        assert time.monotonic() - began < 2
        assert counts.labels == {"dropped": 150}
        messages = [record.message for record in caplog.records if record.levelno >= logging.ERROR]
        assert len(messages) == 1
        assert "not being read fast enough" in messages[0]

        drained = await asyncio.to_thread(drain, pipe.reader, filled, 50)
        assert ids(drained) == [str(number) for number in range(50)]
        sink.emit(numbered(999))
    assert pipe.read_all() == ["999"]
    assert counts.labels == {"dropped": 150}


def drain(fd: int, filled: int, lines: int) -> bytes:
    """What comes after FILLED bytes, up to LINES lines."""
    data = b""
    while data.count(b"\n") < lines:
        data += os.read(fd, 65536)
    return data[filled:]


async def test_closing_gives_up_on_a_stuck_reader(
    pipe: Pipe, counts: Counts, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stdout, "CLOSE_SECONDS", 0.2)
    filled = pipe.fill()
    async with running(pipe.writer, counts) as sink:
        for number in range(40):
            sink.emit(numbered(number))
    assert counts.labels == {"dropped": 40}
    assert "40 usage events are lost" in caplog.text
    # the writer, let go at last, ends after the write that it was stuck in
    data = await asyncio.to_thread(drain, pipe.reader, filled, 1)
    sink._writer.join(10)
    assert not sink._writer.is_alive()
    assert len(ids(data)) < 40


async def test_a_closed_reader_is_counted_and_logged_once(
    pipe: Pipe, counts: Counts, caplog: pytest.LogCaptureFixture
) -> None:
    pipe.close(pipe.reader)
    async with running(pipe.writer, counts, flush_ms=0, queue_events=10) as sink:
        for number in range(30):
            sink.emit(numbered(number))
            await asyncio.to_thread(counts.wait, "failed", number + 1)
    assert counts.labels == {"failed": 30}
    assert caplog.text.count("Broken pipe") == 1


async def test_a_non_blocking_stdout_is_waited_for(pipe: Pipe, counts: Counts) -> None:
    filled = pipe.fill()
    os.set_blocking(pipe.writer, False)
    async with running(pipe.writer, counts, flush_ms=0) as sink:
        for number in range(500):
            sink.emit(numbered(number))
        data = await asyncio.to_thread(drain, pipe.reader, filled, 500)
    assert ids(data) == [str(number) for number in range(500)]
    assert not counts.labels


@pytest.mark.skipif(not hasattr(fcntl, "F_SETPIPE_SZ"), reason="needs a pipe of a known size")
async def test_a_line_bigger_than_the_pipe_is_written_in_parts(pipe: Pipe, counts: Counts) -> None:
    fcntl.fcntl(pipe.writer, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(pipe.writer, False)
    async with running(pipe.writer, counts, flush_ms=0) as sink:
        sink.emit(replace(EVENT, request_id="long", model="m" * 50_000))
        sink.emit(numbered(1))
        data = await asyncio.to_thread(drain, pipe.reader, 0, 2)
    assert ids(data) == ["long", "1"]


def scripted_write(fd: int, script: list[int | OSError]) -> Callable[[int, bytes], int]:
    """An `os.write` that takes the bytes SCRIPT says of what goes to FD, or fails; all of it after the script."""
    real_write = os.write

    def write(to: int, data: bytes) -> int:
        if to != fd or not script:
            return real_write(to, data)
        step = script.pop(0)
        if isinstance(step, OSError):
            raise step
        return real_write(to, data[:step])

    return write


async def test_a_failure_in_mid_line_spoils_no_other_line(
    pipe: Pipe, counts: Counts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk takes one line and a half of three; later it has room again."""
    line = len(usage_line(numbered(0)))
    full = OSError(28, "No space left on device")
    monkeypatch.setattr(os, "write", scripted_write(pipe.writer, [line + 20, full, full]))
    async with running(pipe.writer, counts, flush_ms=0) as sink:
        for number in range(3):
            sink.emit(numbered(number))
        await asyncio.to_thread(counts.wait, "failed", 2)
        sink.emit(numbered(3))
        await asyncio.to_thread(counts.wait, "failed", 3)
        sink.emit(numbered(4))
    pipe.close(pipe.writer)
    whole, fragment, later = os.read(pipe.reader, 65536).splitlines()
    assert ids(whole + b"\n") == ["0"]
    assert fragment == usage_line(numbered(1))[:20]
    assert ids(later + b"\n") == ["4"]
    assert counts.labels == {"failed": 3}


async def test_closing_without_events_is_quick(pipe: Pipe, counts: Counts) -> None:
    began = time.monotonic()
    async with running(pipe.writer, counts):
        pass
    assert time.monotonic() - began < 2
    assert pipe.read_all() == []


def test_it_is_offered_with_its_settings() -> None:
    (component,) = stdout.beyond_usage_sinks()
    assert component.name == "stdout"
    assert component.config is StdoutConfig
    sink = component.create(Context(config=StdoutConfig()))
    assert isinstance(sink, UsageSink)
    with pytest.raises(ValueError, match="flush_s"):
        StdoutConfig.model_validate({"flush_s": 1})
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        StdoutConfig(queue_events=0)


def test_a_process_without_a_stdout_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Descriptor 1 may be anything there, a client's socket for one."""
    monkeypatch.setattr("sys.__stdout__", None)
    (component,) = stdout.beyond_usage_sinks()
    with pytest.raises(OSError, match="without a stdout"):
        component.create(Context(config=StdoutConfig()))
