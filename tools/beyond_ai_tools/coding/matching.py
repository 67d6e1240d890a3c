"""Where a text stands in another: exactly, or but for how quotes, dashes and blanks are written.

The second way compares both in a normal form: NFKC, with straight quotes, plain hyphens and plain spaces, and without
blanks at the ends of lines. What it finds is a span of the text as it is.
"""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, NamedTuple

_ALIKE: Final = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u2035\u02bc\u00b4", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033\u2036", '"'),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63", "-"),
        "\u1680": " ",
        **dict.fromkeys("\u200b\u2060\ufeff", ""),
    }
)
_TO_FOLD: Final = re.compile(f"[{''.join(map(chr, _ALIKE))}]")
_JAMO: Final = range(0x1160, 0x1200)
"""These join the character before them, though they are not called combining."""


class Span(NamedTuple):
    """Characters `start` to `end`."""

    start: int
    end: int


def exact(text: str, wanted: str) -> list[Span]:
    """All places of WANTED in TEXT, also those that overlap."""
    found = []
    start = text.find(wanted)
    while start >= 0:
        found.append(Span(start, start + len(wanted)))
        start = text.find(wanted, start + 1)
    return found


def apart(spans: list[Span]) -> list[Span]:
    """SPANS, which are in order, without those that overlap one before them."""
    kept: list[Span] = []
    for span in spans:
        if not kept or span.start >= kept[-1].end:
            kept.append(span)
    return kept


def common_start(one: Sequence[str], other: Sequence[str]) -> int:
    """How many elements, or characters, are the same in both from the start on."""
    shorter = min(len(one), len(other))
    return next((index for index in range(shorter) if one[index] != other[index]), shorter)


def fold(line: str) -> str:
    """LINE in normal form, blanks at its end included."""
    return line if _is_normal(line) else "".join(form for _, _, form in _clusters(line))


@dataclass(frozen=True, slots=True)
class _Line:
    """A line in normal form. `starts` and `ends` say for each of its characters where in the line it comes from."""

    text: str
    starts: list[int] | None
    ends: list[int] | None
    blank_from: int
    """where in the line the blanks at its end begin"""


class Normalised:
    """TEXT in normal form, to look for something in it."""

    def __init__(self, text: str) -> None:
        lines = text.split("\n")
        self._lines = [_normal(line) for line in lines]
        self._lengths = [len(line) for line in lines]
        self._origins = list(accumulate((length + 1 for length in self._lengths), initial=0))
        self._places = list(accumulate((len(line.text) + 1 for line in self._lines), initial=0))
        self._text = "\n".join(line.text for line in self._lines)

    def find(self, wanted: str) -> list[Span]:
        """All places of WANTED. None where nothing of it is left in normal form."""
        lines = wanted.split("\n")
        normal = "\n".join(_normal(line).text for line in lines)
        if not normal.strip("\n"):
            return []
        # blanks that were left out here must be left out there: they are not just anything that follows
        to_line_end = _normal(lines[-1]).blank_from < len(lines[-1])
        return list(self._spans(normal, to_line_end=to_line_end))

    def _spans(self, normal: str, *, to_line_end: bool) -> Iterator[Span]:
        for place in exact(self._text, normal):
            if to_line_end and self._text[place.end : place.end + 1] not in {"", "\n"}:
                continue
            start, end = self._start(place.start), self._end(place.end, to_line_end=to_line_end)
            if start is not None and end is not None:
                yield Span(start, end)

    def _start(self, place: int) -> int | None:
        """Where what begins at PLACE begins in the text; None when that is within a character."""
        index = bisect_right(self._places, place) - 1
        line, column = self._lines[index], place - self._places[index]
        origin = self._origins[index]
        if column == len(line.text):
            return origin + self._lengths[index]
        if line.starts is None:
            return origin + column
        if column and line.starts[column] == line.starts[column - 1]:
            return None
        return origin + line.starts[column]

    def _end(self, place: int, *, to_line_end: bool) -> int | None:
        """Where what ends before PLACE ends in the text; None when that is within a character."""
        index = bisect_right(self._places, place) - 1
        line, column = self._lines[index], place - self._places[index]
        origin = self._origins[index]
        if to_line_end:
            return origin + self._lengths[index]
        if not column or line.ends is None:
            return origin + column
        if column < len(line.text) and line.ends[column] == line.ends[column - 1]:
            return None
        return origin + line.ends[column - 1]


def _normal(line: str) -> _Line:
    if _is_normal(line):
        text = line.rstrip()
        return _Line(text, None, None, len(text))
    text, starts, ends = "", [], []
    for start, end, form in _clusters(line):
        text += form
        starts += [start] * len(form)
        ends += [end] * len(form)
    text = text.rstrip()
    return _Line(text, starts, ends, ends[len(text) - 1] if text else 0)


def _is_normal(line: str) -> bool:
    return line.isascii() or (unicodedata.is_normalized("NFKC", line) and not _TO_FOLD.search(line))


def _clusters(line: str) -> Iterator[tuple[int, int, str]]:
    """The characters of LINE with what combines with them: where they stand, and their normal form."""
    start = 0
    for position in range(1, len(line) + 1):
        if position < len(line) and (unicodedata.combining(line[position]) or ord(line[position]) in _JAMO):
            continue
        form = unicodedata.normalize("NFKC", line[start:position].translate(_ALIKE)).translate(_ALIKE)
        yield start, position, form
        start = position
