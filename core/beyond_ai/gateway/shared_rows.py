"""Numbers that the workers of one gateway share: a block of memory with a row for each worker.

A row has one writer, its worker; everybody reads all rows, and what holds for the whole gateway is a sum or a maximum
over them. So nothing is locked on the way of a request: a cell is 8 bytes, aligned, and CPython stores and loads it as
one machine word, which no reader sees half written. Nothing is promised about the order in which another worker sees
two cells change, so what must agree is kept in one cell (Herlihy and Shavit, *The Art of Multiprocessor Programming*,
chapter 4, on registers with a single writer).

The memory belongs to a file without a name: the supervisor makes it, and a worker inherits its descriptor, whether it
is forked or spawned (`pass_fds`). It is gone when the last process is. One process alone has a block of one row.
"""

import fcntl
import mmap
import os
import secrets
import struct
import tempfile
from collections.abc import Mapping
from typing import Final, Self, TypeAlias

Words: TypeAlias = "memoryview[int]"
"""Cells that hold unsigned 64-bit integers."""
Doubles: TypeAlias = "memoryview[float]"
"""Cells that hold doubles."""

_CELL: Final = 8
_LINE: Final = 128
"""Bytes that rows are aligned to, so that no two writers share a cache line, or the pair of them that is fetched."""
_HEADER: Final = struct.Struct("=QQQ16s")
"""What the block is, its rows, the bytes of a row, the secret; padded to `_LINE`."""
_MAGIC: Final = 0x62616972_00000001


class SharedRows:
    """The block, as the worker whose row is `own` has it.

    `sections` names what a row is made of, in order, with the number of cells of each. All processes of a gateway give
    the same ones.
    """

    __slots__ = ("_memory", "_spans", "_stride", "fd", "own", "rows", "secret", "sections")

    def __init__(self, fd: int, rows: int, sections: Mapping[str, int], own: int) -> None:
        """Map the block of FD, which stays open: locks are taken on it. ValueError when it was made for others."""
        if not 0 <= own < rows:
            raise ValueError(f"the shared block has {rows} rows, so there is no row {own}")
        self.fd, self.rows, self.own = fd, rows, own
        self.sections = dict(sections)
        self._spans, self._stride = _arranged(sections)
        size = _LINE + rows * self._stride
        if os.fstat(fd).st_size != size:
            raise ValueError(f"the shared block has {os.fstat(fd).st_size} bytes, not {size}: it has other sections")
        self._memory = memoryview(mmap.mmap(fd, size))
        magic, its_rows, its_stride, secret = _HEADER.unpack_from(self._memory)
        if (magic, its_rows, its_stride) != (_MAGIC, rows, self._stride):
            raise ValueError("the shared block has other rows or sections: is the supervisor of another version?")
        self.secret = bytes(secret)
        """random, and the same for all workers: the key of their hashes"""

    @classmethod
    def create(cls, rows: int, sections: Mapping[str, int]) -> Self:
        """Make a block of zeros, with a new secret; its maker has the first row."""
        stride = _arranged(sections)[1]
        fd = _unnamed_file()
        os.ftruncate(fd, _LINE + rows * stride)
        os.pwrite(fd, _HEADER.pack(_MAGIC, rows, stride, secrets.token_bytes(16)), 0)
        return cls(fd, rows, sections, 0)

    def of(self, own: int) -> "SharedRows":
        """The same block, as the worker whose row is OWN has it."""
        return SharedRows(self.fd, self.rows, self.sections, own)

    def words(self, section: str) -> tuple[Words, ...]:
        """The cells of SECTION as integers: a view for each row. Write to that of `own` alone."""
        return tuple(self._cells(section, row).cast("Q") for row in range(self.rows))

    def doubles(self, section: str) -> tuple[Doubles, ...]:
        """The cells of SECTION as doubles: a view for each row. Write to that of `own` alone."""
        return tuple(self._cells(section, row).cast("d") for row in range(self.rows))

    def clear(self, section: str, row: int) -> None:
        """Make SECTION of ROW zeros, for a worker that is dead or has just begun."""
        cells = self._cells(section, row)
        cells[:] = bytes(len(cells))

    def _cells(self, section: str, row: int) -> memoryview:
        start, end = self._spans[section]
        base = _LINE + row * self._stride
        return self._memory[base + start : base + end]

    def try_lock(self, number: int) -> bool:
        """Take the lock NUMBER if no other process has it; for what is rare, never for a request.

        A record lock of `fcntl`: the kernel takes it from a process that dies.
        """
        try:
            fcntl.lockf(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def unlock(self, number: int) -> None:
        """Give the lock NUMBER back."""
        fcntl.lockf(self.fd, fcntl.LOCK_UN, 1, number)

    def close(self) -> None:
        """Close the descriptor; the memory stays as long as a view of it."""
        os.close(self.fd)


def _arranged(sections: Mapping[str, int]) -> tuple[dict[str, tuple[int, int]], int]:
    """From where to where each of SECTIONS lies in a row, and the size of a row, in bytes."""
    spans, end = {}, 0
    for name, cells in sections.items():
        spans[name] = end, end + cells * _CELL
        end += cells * _CELL
    return spans, max(_LINE, -(-end // _LINE) * _LINE)


def _unnamed_file() -> int:
    """A descriptor of an empty file that nobody else can open: in memory on Linux, else a deleted one."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("beyond-ai-rows")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
