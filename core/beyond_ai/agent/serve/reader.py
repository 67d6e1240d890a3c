"""Lines out of bytes, however these are cut, and none longer than a bound."""

import asyncio
import os
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

LARGEST: Final = 8 * 1024 * 1024
"""Bytes of a line that is read."""
HEAD: Final = 4_096
"""Bytes that are kept of a longer one, for its id."""
PIECE: Final = 65_536
STDIN: Final = 0
MEMBER: Final = re.compile(
    rb'\s*"((?:[^"\\]|\\.)*)"\s*:\s*("(?:[^"\\]|\\.)*"|[-+.\deE]+|true|false|null)\s*(?:,|$|\})', re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Line:
    """One line without its end; `whole` is false where it was longer than allowed, and only its head is here."""

    data: bytes
    whole: bool = True


class LineSplitter:
    """LF ends a line, a CR before it goes too, and blank lines are none."""

    def __init__(self, largest: int = LARGEST) -> None:
        self._largest = largest
        self._held = bytearray()
        self._over = False

    def feed(self, data: bytes) -> Iterator[Line]:
        """The lines that end in DATA."""
        *ended, rest = data.split(b"\n")
        for piece in ended:
            self._hold(piece)
            yield from self._take()
        self._hold(rest)

    def end(self) -> Iterator[Line]:
        """The last line, where no LF ended it."""
        yield from self._take()

    def _hold(self, piece: bytes) -> None:
        if self._over:
            return
        self._held += piece
        if len(self._held) > self._largest + 1:  # a CR is not counted
            self._over = True
            del self._held[HEAD:]

    def _take(self) -> Iterator[Line]:
        data = bytes(self._held).removesuffix(b"\r")
        whole = not self._over and len(data) <= self._largest
        self._held.clear()
        self._over = False
        if data.strip():
            yield Line(data if whole else data[:HEAD], whole)


def id_in(line: bytes) -> str | None:
    """The id in a LINE that is no JSON, if it stands among plain members at the start."""
    start = re.match(rb"\s*\{", line)
    position = start.end() if start else len(line)
    while (found := MEMBER.match(line, position)) is not None:
        if found[1] == b"id" and found[2].startswith(b'"'):
            return _text(found[2])
        position = found.end()
    return None


def _text(literal: bytes) -> str | None:
    import json

    try:
        value = json.loads(literal)
    except ValueError:
        return None
    return value if isinstance(value, str) else None


class StdinReader:
    """Reads in a thread of its own, which nothing waits for, and no further ahead than one line."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lines: asyncio.Queue[Line | None] = asyncio.Queue(1)
        threading.Thread(target=self._read, name="stdin", daemon=True).start()

    async def next(self) -> Line | None:
        """The next line; None at the end."""
        return await self._lines.get()

    def _read(self) -> None:
        splitter = LineSplitter()
        while True:
            try:
                data = os.read(STDIN, PIECE)
            except OSError:
                data = b""
            for line in splitter.feed(data) if data else splitter.end():
                self._put(line)
            if not data:
                self._put(None)
                return

    def _put(self, line: Line | None) -> None:
        asyncio.run_coroutine_threadsafe(self._lines.put(line), self._loop).result()
