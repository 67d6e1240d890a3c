"""Cutting text to what a result may hold, in whole lines, and saying what was left out.

Lines end with LF and are counted from 1; sizes are bytes of UTF-8. An LF at the end begins no further line.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate, takewhile

from beyond_ai import ToolLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """What is shown of a text.

    Attributes:
        text: the part that is shown, without an LF at its end.
        first: number of its first line.
        last: number of its last line; less than `first` when nothing is shown.
        total: lines of the whole text.
        total_bytes: of the whole text.
        partial: whether it is part of one line that is too long by itself.
    """

    text: str
    first: int
    last: int
    total: int
    total_bytes: int
    partial: bool = False

    @property
    def truncated(self) -> bool:
        """Whether anything was left out."""
        return self.partial or self.last - self.first + 1 < self.total

    def marker(self, rest: str) -> str:
        """What to put below (or above) the text: what is shown of what, and REST, how to get the rest; else empty."""
        if not self.truncated:
            return ""
        if self.partial:
            shown = f"{size(self.text)} bytes of line {self.first} of {self.total} shown ({self.total_bytes} in all)"
        else:
            shown = f"{lines_shown(self.first, self.last)} of {self.total} shown"
        return f"[{shown}. {rest}]"


def lines_shown(first: int, last: int) -> str:
    """What lines these are, at the start of a sentence."""
    return f"Line {first}" if first == last else f"Lines {first}-{last}"


def size(text: str) -> int:
    """Bytes of TEXT in UTF-8."""
    return len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))


def split(text: str) -> list[str]:
    """The lines of TEXT, without their LF."""
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    return lines


def head(text: str, limits: ToolLimits) -> Cut:
    """The first lines of TEXT that fit."""
    lines = split(text)
    kept = fitting(lines, limits)
    shown, partial = "\n".join(lines[:kept]), False
    if lines and not kept:
        kept, shown, partial = 1, first_bytes(lines[0], limits.bytes), True
    return Cut(text=shown, first=1, last=kept, total=len(lines), total_bytes=size(text), partial=partial)


def tail(text: str, limits: ToolLimits) -> Cut:
    """The last lines of TEXT that fit."""
    lines = split(text)
    kept = fitting(reversed(lines), limits)
    shown, partial = "\n".join(lines[len(lines) - kept :]), False
    if lines and not kept:
        kept, shown, partial = 1, last_bytes(lines[-1], limits.bytes), True
    total = len(lines)
    return Cut(text=shown, first=total - kept + 1, last=total, total=total, total_bytes=size(text), partial=partial)


def fitting(lines: Iterable[str], limits: ToolLimits) -> int:
    """How many of LINES, from the first on, fit into LIMITS; the LF between them counts."""
    ends = accumulate((size(line) + 1 for line in lines), initial=-1)
    next(ends)
    kept = 0
    for kept, _ in enumerate(takewhile(lambda end: end <= limits.bytes, ends), start=1):
        if kept == limits.lines:
            break
    return kept


def clip(line: str, limit: int) -> str:
    """LINE, or its first LIMIT bytes and how many there are more."""
    whole = size(line)
    if whole <= limit:
        return line
    shown = first_bytes(line, limit)
    return f"{shown}... [{whole - size(shown)} more bytes in this line]"


def first_bytes(text: str, limit: int) -> str:
    """The first characters of TEXT that fit into LIMIT bytes."""
    if size(text) <= limit:
        return text
    # a character has at least one byte
    return text[:limit].encode(errors="replace")[:limit].decode(errors="ignore")


def last_bytes(text: str, limit: int) -> str:
    """The last characters of TEXT that fit into LIMIT bytes."""
    if size(text) <= limit:
        return text
    if limit <= 0:
        return ""
    return text[-limit:].encode(errors="replace")[-limit:].decode(errors="ignore")
