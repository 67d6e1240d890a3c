"""The snapshot on the disk: read at the start, written anew after each scan, appended to between.

One process writes: the one that holds the lock on `<path>.lock`; others, workers of one gateway say, only read.
Whatever the disk does is said once, and the store goes on without a file.
"""

import asyncio
import contextlib
import fcntl
import logging
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from beyond_ai_plugins.deny.nats.snapshot import Contents, CorruptError, Stored, replay, whole

COMPACT_AFTER: Final = 1024 * 1024
"""Bytes that are appended before the file is written anew."""

R = TypeVar("R")

_log = logging.getLogger(__name__)


class SnapshotFile:
    """The file at PATH. Its methods run in a thread of its own, one at a time, and raise nothing about the disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="deny-snapshot")
        self._lock: int | None = None
        self._log: int | None = None
        self._appended = 0
        self._complained = False

    async def load(self) -> Contents | None:
        """What the file holds; None when there is none or it cannot be believed."""
        return await self._run(self._load)

    async def rebuild(self, entries: Mapping[bytes, Stored], cursor: int) -> None:
        """Write the file anew with ENTRIES alone. When that fails it is deleted: it would bring back what is gone."""
        await self._run(lambda: self._rebuild(entries, cursor))

    async def append(self, records: bytes) -> None:
        """Append RECORDS to what `rebuild` wrote."""
        await self._run(lambda: self._append(records))

    async def aclose(self) -> None:
        """Close the file."""
        await self._run(self._close)
        self._thread.shutdown(wait=False)

    async def _run(self, work: Callable[[], R]) -> R:
        # a cancelled caller leaves: the work itself is done to its end
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _load(self) -> Contents | None:
        try:
            contents = replay(self.path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            self._complain(f"cannot be read: {error.strerror}")
            return None
        except CorruptError as error:
            _log.warning("the snapshot %s is left unread until NATS answers: %s", self.path, error)
            return None
        if not contents.compact and self._locked():
            self._write(contents.entries, contents.cursor)
        return contents

    def _rebuild(self, entries: Mapping[bytes, Stored], cursor: int) -> None:
        if self._locked():
            self._write(entries, cursor)

    def _append(self, records: bytes) -> None:
        if self._log is None:
            return
        try:
            rest = memoryview(records)
            while rest:  # a full disk takes a part and says so at the next attempt
                rest = rest[os.write(self._log, rest) :]
            self._appended += len(records)
            if self._appended >= COMPACT_AFTER:
                contents = replay(self.path.read_bytes())
                self._write(contents.entries, contents.cursor)
        except (OSError, CorruptError) as error:
            self._give_up(error)

    def _write(self, entries: Mapping[bytes, Stored], cursor: int | None) -> None:
        """Put a compact file in the place of the one that is there, at once and to the disk."""
        self._close_log()
        fresh = self.path.with_name(f"{self.path.name}.new")
        try:
            fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(whole(entries, cursor))
                file.flush()
                os.fsync(fd)
            fresh.replace(self.path)
            folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
            self._log = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            self._appended = 0
        except OSError as error:
            with contextlib.suppress(OSError):
                fresh.unlink()
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        """Go on without a file until the next scan, and leave no stale one behind."""
        self._close_log()
        self._complain(f"cannot be written: {error.strerror if isinstance(error, OSError) else error}")
        with contextlib.suppress(OSError):
            self.path.unlink()

    def _complain(self, problem: str) -> None:
        if not self._complained:
            self._complained = True
            _log.warning("the snapshot %s %s; the deny-set does without (said once)", self.path, problem)

    def _locked(self) -> bool:
        """Whether this process may write."""
        if self._lock is not None:
            return True
        try:
            fd = os.open(self.path.with_name(f"{self.path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            self._complain(f"cannot be written: {error.strerror}")
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            return False
        self._lock = fd
        return True

    def _close_log(self) -> None:
        if self._log is not None:
            os.close(self._log)
            self._log = None

    def _close(self) -> None:
        self._close_log()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
