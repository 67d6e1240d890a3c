"""Some lines of a file that may be larger than memory."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, Final

BLOCK: Final = 2**20
MAX_BYTES_COUNTED: Final = 2**30
"""How far a file is read only to say how many lines it has."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line without its LF: its first bytes, and how many it has."""

    start: bytes
    length: int


@dataclass(frozen=True, slots=True)
class Window:
    """Lines of a file, and how many lines it has; None when that was not counted to the end."""

    lines: list[Line]
    total: int | None


def window(
    file: BinaryIO, first: int, count: int, *, line_bytes: int, total_bytes: int, stop: Callable[[], bool]
) -> Window:
    """From FILE, which is at its start, COUNT lines from number FIRST on, which counts from 1.

    Of each line LINE_BYTES are kept. No line follows once those kept come to more than TOTAL_BYTES. Ends early when
    STOP says so.
    """
    reader = _Reader(first, count, line_bytes, total_bytes)
    size = 0
    while not stop():
        block = file.read(BLOCK)
        if not block:
            return Window(reader.lines, reader.end())
        reader.feed(block)
        size += len(block)
        if reader.full and size > MAX_BYTES_COUNTED:
            break
    return Window(reader.lines, None)


class _Reader:
    """Takes a file block by block."""

    def __init__(self, first: int, count: int, line_bytes: int, total_bytes: int) -> None:
        self.lines: list[Line] = []
        self._skip = first - 1
        self._count = count
        self._line_bytes = line_bytes
        self._room = total_bytes
        self._ends = 0
        self._open = False
        """whether the last line has no LF so far"""
        self._start = b""
        self._length = 0

    @property
    def full(self) -> bool:
        """Whether all lines are there that are wanted."""
        return len(self.lines) >= self._count or self._room < 0

    def feed(self, block: bytes) -> None:
        """The next bytes of the file, not none."""
        ends = block.count(b"\n")
        if not self.full and self._ends + ends >= self._skip:
            self._take(block)
        self._ends += ends
        self._open = not block.endswith(b"\n")

    def end(self) -> int:
        """How many lines there were in all."""
        if self._open and not self.full and self._ends >= self._skip:
            self._close()
        return self._ends + self._open

    def _take(self, block: bytes) -> None:
        skipped = max(self._skip - self._ends, 0)
        *lines, rest = block.split(b"\n", skipped)[-1].split(b"\n") if skipped else block.split(b"\n")
        for part in lines:
            self._add(part)
            self._close()
            if self.full:
                return
        self._add(rest)

    def _add(self, part: bytes) -> None:
        self._start += part[: max(self._line_bytes - len(self._start), 0)]
        self._length += len(part)

    def _close(self) -> None:
        self.lines.append(Line(self._start, self._length))
        self._room -= len(self._start)
        self._start, self._length = b"", 0
