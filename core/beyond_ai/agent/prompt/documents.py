"""Text files with a head of `key: value` lines between two `---`, as skills and templates have."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LARGEST: Final = 256 * 1024
"""Bytes of a file that is put into a prompt."""
MEMBER: Final = re.compile(r"([A-Za-z][\w-]*)\s*:\s*(.*)")


@dataclass(frozen=True, slots=True)
class Document:
    """A file's head and what follows it."""

    head: dict[str, str]
    body: str


def opened(name: str, flags: int) -> int:
    """An opener that never waits for a pipe that nobody writes to: it reads as empty."""
    descriptor = os.open(name, flags | os.O_NONBLOCK)
    os.set_blocking(descriptor, True)
    return descriptor


def read_text(path: Path) -> str:
    """The text of PATH, its byte order mark left out. Raises OSError, and ValueError when it is too large."""
    with open(path, "rb", opener=opened) as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ValueError(f"is larger than {LARGEST // 1024} KiB")
    return content.removeprefix(b"\xef\xbb\xbf").decode(errors="replace").replace("\r\n", "\n")


def parse(text: str) -> Document:
    """TEXT with its head read: plain and quoted values, and blocks after `|` and `>`. Nested values are passed over."""
    lines = text.split("\n")
    if lines[0].rstrip() != "---":
        return Document({}, text)
    end = next((place for place, line in enumerate(lines[1:], 1) if line.rstrip() in ("---", "...")), None)
    if end is None:
        return Document({}, text)
    head: dict[str, str] = {}
    place = 1
    while place < end:
        found = MEMBER.fullmatch(lines[place].rstrip())
        place += 1
        if found is None:
            continue
        key, value = found.groups()
        if value[:1] in ("|", ">") and value.strip("|>+-") == "":
            start = place
            while place < end and (not lines[place].strip() or lines[place][:1] in " \t"):
                place += 1
            joint = " " if value.startswith(">") else "\n"
            value = joint.join(line.strip() for line in lines[start:place]).strip()
        head[key] = _unquoted(value)
    return Document(head, "\n".join(lines[end + 1 :]).strip("\n"))


def _unquoted(value: str) -> str:
    value = value.strip()
    for quote in "\"'":
        if len(value) > 1 and value[0] == quote and value[-1] == quote:
            return value[1:-1].replace(quote * 2, quote) if quote == "'" else value[1:-1].replace('\\"', '"')
    return value.partition(" #")[0].rstrip()
