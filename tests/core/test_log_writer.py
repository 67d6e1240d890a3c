"""The log writer on real pipes: whoever logs is never held up, and what is written is whole lines."""

import logging
import os
import re
import select
import threading
import time
from collections.abc import Iterator

import orjson
import pytest

from beyond_ai import log_writer
from beyond_ai.log_writer import LogWriter
from beyond_ai.logs import JsonFormatter, Scrubber


def record(text: str) -> logging.LogRecord:
    return logging.makeLogRecord({"name": "test", "msg": text, "levelname": "INFO"})


class Pipe:
    """A pipe whose writing end is a writer's stderr."""

    def __init__(self) -> None:
        self.reader, self.fd = os.pipe()

    def close_writing(self) -> None:
        fd, self.fd = self.fd, -1
        os.close(fd)

    def close_reading(self) -> None:
        os.close(self.reader)
        self.reader = -1

    def lines(self, count: int, within: float = 10.0) -> list[bytes]:
        """The next lines, COUNT or more."""
        data, deadline = b"", time.monotonic() + within
        while data.count(b"\n") < count:
            ready, _, _ = select.select([self.reader], [], [], deadline - time.monotonic())
            assert ready, data[-300:]
            data += os.read(self.reader, 65_536)
        return data.splitlines()

    def closing(self, writer: LogWriter) -> list[bytes]:
        """Everything that is written up to the end of WRITER, which ends meanwhile."""

        def close() -> None:
            writer.close()
            self.close_writing()

        threading.Thread(target=close).start()
        return self.rest()

    def rest(self) -> list[bytes]:
        """Everything up to the end; the writing end is closed."""
        data = b""
        while got := os.read(self.reader, 65_536):
            data += got
        return data.splitlines()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    for end in (made.reader, made.fd):
        if end >= 0:
            os.close(end)


def test_lines_arrive_whole_and_in_order(pipe: Pipe) -> None:
    writer = LogWriter(pipe.fd)
    for number in range(1000):
        writer.handle(record(f"line {number} {'x' * (number % 300)}"))
    assert [line.split()[1] for line in pipe.closing(writer)] == [b"%d" % number for number in range(1000)]
    assert writer.dropped == 0


def test_a_line_above_what_a_pipe_keeps_whole(pipe: Pipe) -> None:
    writer = LogWriter(pipe.fd)
    long = "y" * (3 * select.PIPE_BUF)
    for text in ("before", long, "behind"):
        writer.handle(record(text))
    assert pipe.lines(3) == [b"before", long.encode(), b"behind"]
    writer.close()


@pytest.mark.parametrize("blocking", [True, False])
def test_nobody_reads(pipe: Pipe, blocking: bool) -> None:
    os.set_blocking(pipe.fd, blocking)
    writer = LogWriter(pipe.fd, max_waiting=200_000)
    writer.setFormatter(JsonFormatter(Scrubber()))
    for number in range(20_000):  # 4 MB; a pipe holds 64 KiB
        writer.handle(record(f"{number} {'x' * 100}"))
    assert writer.dropped > 15_000
    entries = [orjson.loads(line) for line in pipe.closing(writer)]
    kept = [int(entry["message"].split()[0]) for entry in entries if "lines" not in entry]
    assert kept == sorted(set(kept))
    assert len(kept) + sum(entry.get("lines", 0) for entry in entries) == 20_000
    assert entries[-1]["message"].startswith("log lines were dropped")


def test_closing_waits_for_a_reader_only_so_long(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_writer, "CLOSE_SECONDS", 0.1)
    writer = LogWriter(pipe.fd)
    for _ in range(2000):
        writer.handle(record("x" * 100))
    thread = writer._thread
    assert thread is not None
    started = time.monotonic()
    writer.close()
    assert time.monotonic() - started < 5
    assert thread.is_alive()
    pipe.close_reading()  # lets it go
    thread.join(10)
    assert not thread.is_alive()


def test_a_reader_that_left_is_no_error(pipe: Pipe) -> None:
    pipe.close_reading()
    writer = LogWriter(pipe.fd)
    writer.handle(record("to nobody"))
    writer.close()


def test_after_closing_nothing_is_written_and_nothing_raised(pipe: Pipe) -> None:
    writer = LogWriter(pipe.fd)
    writer.handle(record("one"))
    writer.close()
    writer.handle(record("two"))
    pipe.close_writing()
    assert pipe.rest() == [b"one"]


def test_a_formatter_that_fails_costs_its_line_alone(pipe: Pipe) -> None:
    class Failing(logging.Formatter):
        def format(self, made: logging.LogRecord) -> str:
            if made.msg == "bad":
                raise RuntimeError("made for this test")
            return super().format(made)

    writer = LogWriter(pipe.fd)
    writer.setFormatter(Failing())
    for text in ("good", "bad", "good"):
        writer.handle(record(text))
    lines = pipe.lines(3)
    assert (lines[0], lines[2]) == (b"good", b"good")
    assert b"could not be formatted" in lines[1]
    writer.close()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_forked_children_share_the_pipe(pipe: Pipe) -> None:
    """Each child has a thread of its own; no line is torn, doubled or lost."""
    writer = LogWriter(pipe.fd)
    writer.handle(record("parent 0"))
    assert pipe.lines(1) == [b"parent 0"]
    children = []
    for child in range(3):
        pid = os.fork()
        if pid == 0:
            for number in range(200):
                writer.handle(record(f"child{child} {number} {'x' * 200}"))
            writer.close()
            os._exit(0)
        children.append(pid)
    writer.handle(record("parent 1"))
    lines = pipe.lines(601)
    for pid in children:
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    writer.close()
    assert lines.count(b"parent 1") == 1
    for child in range(3):
        own = [line for line in lines if line.startswith(b"child%d " % child)]
        assert [int(line.split()[1]) for line in own] == list(range(200))
    assert all(re.fullmatch(rb"parent 1|child\d \d+ x{200}", line) for line in lines)
