"""The output of a command: its end in memory, bounded, and all of it in a file once it is too much for a result."""

import os
import secrets
from dataclasses import replace
from pathlib import Path
from typing import Final

from beyond_ai import ToolLimits
from beyond_ai_tools.coding.truncation import Cut, last_bytes, size, tail
from beyond_ai_tools.processes.terminal_text import TerminalText

MAX_FILE: Final = 256 << 20
"""Bytes that the file takes; what comes after them is only counted."""


class CommandOutput:
    """What a command has written so far. `scratch` is where the file goes, should there be need of one."""

    def __init__(self, limits: ToolLimits, scratch: Path) -> None:
        self.path: Path | None = None
        self.written = 0
        """bytes in the file"""
        self.problem = ""
        """why not all of it is in the file"""
        self._limits = limits
        self._scratch = scratch
        self._text = TerminalText()
        self._parts: list[str] = []
        self._held = 0
        self._bytes = 0
        self._lines = 0
        self._file: int | None = None

    @property
    def end(self) -> str:
        """All of it, or as much of its end as is kept."""
        if len(self._parts) > 1:
            self._parts = ["".join(self._parts)]
        return self._parts[0] if self._parts else ""

    @property
    def _total(self) -> int:
        """How many lines it has."""
        return self._lines + bool(self._parts and not self._parts[-1].endswith("\n"))

    def take(self, data: bytes, *, final: bool = False) -> None:
        """Take in what the command wrote next; FINAL, nothing follows."""
        text = self._text.feed(data, final=final)
        if not text:
            return
        taken = size(text)
        self._parts.append(text)
        self._held += taken
        self._bytes += taken
        self._lines += text.count("\n")
        if self._file is not None:
            self._write(text)
        elif not self.problem and (self._bytes > self._limits.bytes or self._total > self._limits.lines):
            self.keep()
        if self._held > 2 * self._limits.bytes + (1 << 16):
            self._trim()

    def keep(self) -> None:
        """Write all of it to a file, from here on too. For as long as nothing was dropped."""
        if self._file is not None or self.problem:
            return
        path = self._scratch / f"bash-{secrets.token_hex(8)}.log"
        try:
            self._scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            self.problem = f"{self._scratch}: {error.strerror}"
            return
        self.path = path
        self._write(self.end)

    def cut(self) -> Cut:
        """What a result may show of it."""
        shown = tail(self.end, self._limits)
        total = self._total
        hidden = total - shown.total
        return replace(
            shown, first=shown.first + hidden, last=shown.last + hidden, total=total, total_bytes=self._bytes
        )

    def close(self, *, remove: bool = False) -> None:
        """Close the file; REMOVE it, too, where the result shows everything."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
        if remove and self.path is not None:
            self.path.unlink(missing_ok=True)
            self.path = None

    def _write(self, text: str) -> None:
        data = text.encode(errors="replace")[: MAX_FILE - self.written]
        try:
            while data and self._file is not None:
                count = os.write(self._file, data)
                self.written += count
                data = data[count:]
        except OSError as error:
            self.problem = str(error.strerror)
            self.close()
            return
        if self.written >= MAX_FILE:
            self.problem = f"the file is full at {MAX_FILE >> 20} MiB"
            self.close()

    def _trim(self) -> None:
        """Forget what no result could show. Twice the limit stays, so that a line cut here is never taken for whole."""
        kept = last_bytes(self.end, 2 * self._limits.bytes)
        self._parts, self._held = [kept], size(kept)
