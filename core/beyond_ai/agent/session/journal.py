"""The file under a session: lines of JSON, only ever appended, by one writer at a time."""

import contextlib
import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from beyond_ai.agent.json_line import json_line
from beyond_ai.errors import BeyondError
from beyond_ai.spec.conversation import JsonObject

VERSION: Final = 1


class SessionError(BeyondError):
    """A session could not be opened or written."""


class Journal:
    """A session's file, open and locked. `entries` are all whole lines behind the header, kinds unknown here too."""

    def __init__(
        self, path: Path, descriptor: int, header: JsonObject, entries: list[JsonObject], skipped: int
    ) -> None:
        self.path = path
        self.header = header
        self.entries = entries
        self.skipped = skipped
        """lines that were torn or are no JSON object"""
        self._descriptor = descriptor

    @classmethod
    def open(cls, path: Path, *, cwd: Path, model: str) -> "Journal":
        """The session in PATH; a new one, with CWD and MODEL in its header, where there is none.

        Raises SessionError: another process holds it, it is no session, a newer version wrote it, or the disk fails.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SessionError(
                f"{path}: cannot be opened: {error.strerror}", "name another file with --session"
            ) from None
        try:
            return cls._read(path, descriptor, cwd, model)
        except BaseException:
            os.close(descriptor)
            raise

    @classmethod
    def _read(cls, path: Path, descriptor: int, cwd: Path, model: str) -> "Journal":
        _lock(path, descriptor)
        content = _whole(descriptor)
        values, skipped = parse_lines(content)
        header = next((value for value in values if value.get("type") == "session"), None)
        if values and header is None and not any("parent_id" in value for value in values):
            values = []
        if content.strip() and not values:
            raise SessionError(f"{path}: is no session", "a session is a file that `beyond-ai agent` has written")
        version = 0 if header is None else header.get("version")
        if not isinstance(version, int) or version > VERSION:
            raise SessionError(f"{path}: has version {version}, this is {VERSION}", "upgrade beyond-ai")
        fresh = header is None
        if header is None:
            header = _header(cwd, model)
        journal = cls(path, descriptor, header, [value for value in values if value.get("type") != "session"], skipped)
        lines = [header] if fresh else []
        journal._write([*lines, {"type": "opened", "pid": os.getpid(), "timestamp": now()}])
        if fresh:
            _sync_folder(path.parent)
        return journal

    def append(self, entries: Iterable[JsonObject]) -> None:
        """Add ENTRIES, on disk when this returns. Raises SessionError; then none of them is in the file."""
        added = list(entries)
        if added:
            self._write(added)
            self.entries += added

    def close(self) -> None:
        """Give the file free."""
        os.close(self._descriptor)

    def _write(self, values: Iterable[Mapping[str, object]]) -> None:
        data = b"".join(map(json_line, values))
        size = os.fstat(self._descriptor).st_size
        if size and os.pread(self._descriptor, 1, size - 1) != b"\n":  # somebody's last line was cut off
            data = b"\n" + data
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(self._descriptor, left) :]
            os.fsync(self._descriptor)
        except OSError as error:
            with contextlib.suppress(OSError):  # else the torn line is passed over when the file is read
                os.ftruncate(self._descriptor, size)
            raise SessionError(f"{self.path}: cannot be written: {error.strerror}") from None


def parse_lines(content: bytes) -> tuple[list[JsonObject], int]:
    """The JSON objects in CONTENT, a line each, and how many lines are none. Only LF ends a line."""
    values: list[JsonObject] = []
    skipped = 0
    for line in content.split(b"\n"):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, dict):
            values.append(value)
        else:
            skipped += 1
    return values, skipped


def new_id() -> str:
    """An id for an entry."""
    return secrets.token_hex(6)


def now() -> float:
    """Unix seconds, to the millisecond."""
    return round(time.time(), 3)


def _header(cwd: Path, model: str) -> JsonObject:
    return {
        "type": "session",
        "version": VERSION,
        "id": secrets.token_hex(16),
        "created_at": now(),
        "cwd": str(cwd),
        "model": model,
    }


def _lock(path: Path, descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        openings = [value for value in parse_lines(_whole(descriptor))[0] if value.get("type") == "opened"]
        holder = openings[-1].get("pid") if openings else None
        who = f"process {holder}" if holder else "another process"
        raise SessionError(
            f"{path}: {who} is using this session", "wait for it, or start a session of your own"
        ) from None
    except OSError as error:
        raise SessionError(f"{path}: cannot be locked: {error.strerror}", "keep sessions on a local disk") from None


def _whole(descriptor: int) -> bytes:
    with open(descriptor, "rb", closefd=False) as file:
        file.seek(0)
        return file.read()


def _sync_folder(folder: Path) -> None:
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
