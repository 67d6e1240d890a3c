"""The file under a session: lines of JSON, only ever appended, by one writer at a time."""

import contextlib
import fcntl
import json
import os
import secrets
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from beyond_ai.agent.json_line import json_line
from beyond_ai.errors import BeyondError
from beyond_ai.spec.conversation import JsonObject

VERSION: Final = 1
HEADER_START: Final = b'{"type":"session",'
RESTATED_BYTES: Final = 32_768
"""A title stands again in the file after so many bytes, so that a list finds it without reading the whole."""


class SessionError(BeyondError):
    """A session could not be opened or written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a session's file says: `header` is None in a new one, `entries` are all whole lines behind it.

    Kinds that are unknown here are among them. `skipped` counts lines that were torn or are no JSON object.
    """

    header: JsonObject | None
    entries: list[JsonObject]
    skipped: int

    @property
    def title(self) -> str | None:
        """The session's name."""
        return title_of(self.entries, self.header or {})


def read_content(path: Path) -> Content:
    """What PATH says, which somebody may be writing at. Raises SessionError."""
    try:
        return _content(path, path.read_bytes())
    except OSError as error:
        raise SessionError(f"{path}: cannot be read: {error.strerror}") from None


def title_of(entries: list[JsonObject], header: Mapping[str, object]) -> str | None:
    """The session's name as the last of ENTRIES, a part of it from anywhere to the end, or the HEADER has it."""
    stated = (value for value in reversed(entries) if value.get("type") in ("title_change", "opened"))
    title = next(stated, header).get("title")
    return title if isinstance(title, str) and title else None


class Journal:
    """A session's file, open and locked."""

    def __init__(self, path: Path, descriptor: int, header: JsonObject, content: Content) -> None:
        self.path = path
        self.header = header
        self.entries = content.entries
        self.skipped = content.skipped
        self.title = title_of(content.entries, header)
        self._descriptor = descriptor
        self._writing = threading.Lock()  # a checkpoint is made in a thread of its own
        self._since_title = 0

    @classmethod
    def open(cls, path: Path, *, cwd: Path, model: str, more: Mapping[str, object] | None = None) -> "Journal":
        """The session in PATH; a new one, with CWD, MODEL and MORE in its header, where there is none.

        Raises SessionError: another process holds it, it is no session, a newer version wrote it, or the disk fails.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SessionError(f"{path}: cannot be opened: {error.strerror}", "name another file") from None
        try:
            return cls._read(path, descriptor, _header(cwd, model, more or {}))
        except BaseException:
            os.close(descriptor)
            raise

    @classmethod
    def _read(cls, path: Path, descriptor: int, new: JsonObject) -> "Journal":
        lock(path, descriptor)
        content = _content(path, _whole(descriptor))
        fresh = content.header is None
        journal = cls(path, descriptor, new if content.header is None else content.header, content)
        opened: JsonObject = {"type": "opened", "pid": os.getpid(), "timestamp": now()}
        if journal.title is not None:
            opened["title"] = journal.title
        journal._write([new, opened] if fresh else [opened])
        if fresh:
            _sync_folder(path.parent)
        return journal

    def append(self, entries: Iterable[JsonObject]) -> None:
        """Add ENTRIES, on disk when this returns. Raises SessionError; then none of them is in the file."""
        added = list(entries)
        if added:
            self._write(added)
            self.entries += added

    def rename(self, title: str | None) -> None:
        """Give the session the name TITLE, or none. Raises SessionError."""
        self.append([_title_change(title)])
        self.title = title or None

    def close(self) -> None:
        """Give the file free."""
        os.close(self._descriptor)

    def _write(self, values: Iterable[Mapping[str, object]]) -> None:
        lines = list(map(json_line, values))
        with self._writing:
            self._since_title += sum(map(len, lines))
            if self._since_title > RESTATED_BYTES:
                if self.title is not None:
                    lines.append(json_line(_title_change(self.title)))
                self._since_title = 0
            self._add(b"".join(lines))

    def _add(self, data: bytes) -> None:
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


def _content(path: Path, content: bytes) -> Content:
    values, skipped = parse_lines(content)
    header = next((value for value in values if value.get("type") == "session"), None)
    if values and header is None and not any("parent_id" in value for value in values):
        values = []
    if content.strip() and not values and not _torn_header(content):
        raise SessionError(f"{path}: is no session", "a session is a file that `beyond-ai agent` has written")
    version = 0 if header is None else header.get("version")
    if not isinstance(version, int) or version > VERSION:
        raise SessionError(f"{path}: has version {version}, this is {VERSION}", "upgrade beyond-ai")
    entries = [value for value in values if value.get("type") != "session"]
    return Content(header=header, entries=entries, skipped=skipped)


def _torn_header(content: bytes) -> bool:
    """Whether CONTENT is what a session leaves that was killed when it began."""
    return b"\n" not in content and HEADER_START.startswith(content[: len(HEADER_START)])


def parse_lines(content: bytes) -> tuple[list[JsonObject], int]:
    """The JSON objects in CONTENT, a line each, and how many lines are none. Only LF ends a line."""
    import orjson  # an opening reads the whole file: this takes a third of the time

    values: list[JsonObject] = []
    skipped = 0
    for line in content.split(b"\n"):
        if not line.strip():
            continue
        try:
            value = orjson.loads(line)
        except ValueError:
            value = _lenient(line)
        if isinstance(value, dict):
            values.append(value)
        else:
            skipped += 1
    return values, skipped


def _lenient(line: bytes) -> object:
    """LINE as the standard library reads it, which takes numbers that are none and half surrogate pairs too."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def new_id() -> str:
    """An id for an entry."""
    return secrets.token_hex(6)


def now() -> float:
    """Unix seconds, to the millisecond."""
    return round(time.time(), 3)


def _title_change(title: str | None) -> JsonObject:
    return {"type": "title_change", "title": title, "timestamp": now()}


def _header(cwd: Path, model: str, more: Mapping[str, object]) -> JsonObject:
    return {
        "type": "session",
        "version": VERSION,
        "id": secrets.token_hex(16),
        "created_at": now(),
        "cwd": str(cwd),
        "model": model,
        **more,
    }


def lock(path: Path, descriptor: int) -> None:
    """Keep others from writing PATH until DESCRIPTOR is closed."""
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
