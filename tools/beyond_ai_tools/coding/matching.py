"""Where a text stands in another: exactly, or but for how quotes, dashes and blanks are written.

The second way compares both in a normal form: NFKC, with straight quotes, plain hyphens and plain spaces, and without
blanks at the ends of lines. What it finds is a span of the text as it is.
"""

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
_JAMO: Final = range(0x1160, 0x1200)
"""These join the character before them, though they are not called combining."""


class Span(NamedTuple):
    """Characters `start` to `end`."""

    start: int
    end: int


def exact(text: str, wanted: str) -> Iterator[Span]:
    """All places of WANTED in TEXT, also those that overlap."""
    start = text.find(wanted)
    while start >= 0:
        yield Span(start, start + len(wanted))
        start = text.find(wanted, start + 1)


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


def fold(text: str) -> str:
    """TEXT in normal form, line by line, but with the blanks at the ends of lines."""
    return text if text.isascii() else unicodedata.normalize("NFKC", text.translate(_ALIKE)).translate(_ALIKE)


@dataclass(frozen=True, slots=True)
class _Line:
    """A line in normal form. `starts` and `ends` say for each of its characters where in the line it comes from."""

    text: str
    starts: Sequence[int]
    ends: Sequence[int]


class Normalised:
    """TEXT in normal form, to look for something in it."""

    def __init__(self, text: str) -> None:
        self._lines = text.split("\n")
        self._forms = [line.rstrip() for line in fold(text).split("\n")]
        self._origins = list(accumulate((len(line) + 1 for line in self._lines), initial=0))
        self._places = list(accumulate((len(form) + 1 for form in self._forms), initial=0))
        self._text = "\n".join(self._forms)

    def find(self, wanted: str) -> Iterator[Span]:
        """All places of WANTED. None where nothing of it is left in normal form."""
        lines = fold(wanted).split("\n")
        normal = "\n".join(line.rstrip() for line in lines)
        if not normal.strip("\n"):
            return
        # blanks that were left out here must be left out there: they are not just anything that follows
        to_line_end = lines[-1] != lines[-1].rstrip()
        for place in exact(self._text, normal):
            if to_line_end and self._text[place.end : place.end + 1] not in {"", "\n"}:
                continue
            start, end = self._start(place.start), self._end(place.end, to_line_end=to_line_end)
            if start is not None and end is not None:
                yield Span(start, end)

    def _start(self, place: int) -> int | None:
        """Where what begins at PLACE begins in the text; None when that is within a character."""
        index = bisect_right(self._places, place) - 1
        column = place - self._places[index]
        if column == len(self._forms[index]):
            return self._origins[index] + len(self._lines[index])
        line = _mapped(self._lines[index])
        if line.text != self._forms[index] or (column and line.starts[column] == line.starts[column - 1]):
            return None
        return self._origins[index] + line.starts[column]

    def _end(self, place: int, *, to_line_end: bool) -> int | None:
        """Where what ends before PLACE ends in the text; None when that is within a character."""
        index = bisect_right(self._places, place) - 1
        column = place - self._places[index]
        if to_line_end:
            return self._origins[index] + len(self._lines[index])
        if not column:
            return self._origins[index]
        line = _mapped(self._lines[index])
        if line.text != self._forms[index]:
            return None
        if column < len(line.text) and line.ends[column] == line.ends[column - 1]:
            return None
        return self._origins[index] + line.ends[column - 1]


def _mapped(line: str) -> _Line:
    if line.isascii():
        text = line.rstrip()
        return _Line(text, range(len(text)), range(1, len(text) + 1))
    text = ""
    starts: list[int] = []
    ends: list[int] = []
    for start, end, form in _clusters(line):
        text += form
        starts += [start] * len(form)
        ends += [end] * len(form)
    return _Line(text.rstrip(), starts, ends)


def _clusters(line: str) -> Iterator[tuple[int, int, str]]:
    """The characters of LINE with what combines with them: where they stand, and their normal form."""
    start = 0
    for position in range(1, len(line) + 1):
        if position < len(line) and _joins(line[position]):
            continue
        yield start, position, fold(line[start:position])
        start = position


def _joins(character: str) -> bool:
    """Whether CHARACTER is one with what stands before it, or leaves no trace."""
    form = fold(character)
    return not form or unicodedata.combining(form[0]) > 0 or ord(form[0]) in _JAMO
