"""Why an edit was refused, in words that let a model get it right the next time.

What is shown of the file is shown as `read` shows it.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Final, NamedTuple

from beyond_ai_tools.coding.document import Document
from beyond_ai_tools.coding.matching import Span, common_start, fold
from beyond_ai_tools.coding.numbering import numbered
from beyond_ai_tools.coding.truncation import clip

_LINES_SHOWN: Final = 20
_PLACES_SHOWN: Final = 10
LISTED: Final = 20
"""How many places are told by their numbers."""
_LINE_BYTES_SHOWN: Final = 300
_LINES_COMPARED: Final = 5_000
_CHARACTERS_COMPARED: Final = 200
_LEAST_LIKENESS: Final = 0.6
_EXCERPT: Final = 80
_SURELY_APPLIED: Final = 4
"""How many characters a new text must have to say that it is in the file already."""

_NUMBERED: Final = re.compile(r"^ *\d+\t", re.MULTILINE)
_ESCAPES: Final = {"\\n": "\n", "\\t": "\t", '\\"': '"', "\\'": "'", "\\\\": "\\"}
_ESCAPE: Final = re.compile("|".join(map(re.escape, _ESCAPES)))


class _Region(NamedTuple):
    """Lines `start` to `end` of the file, from 0."""

    start: int
    end: int


def not_unique(document: Document, places: Sequence[Span]) -> str:
    """That a text is found in several PLACES, and where."""
    lines = document.text.split("\n")
    numbers = [document.line_at(place.start) for place in places[:LISTED]]
    shown = "\n".join(_show(lines, number - 1, number) for number in numbers[:_PLACES_SHOWN])
    return (
        f"old_string is found {len(places)} times, at lines {listed(numbers, len(places))}. Add lines around it until "
        f"only one place fits, or set replace_all to change every one. They begin:\n{shown}"
    )


def not_found(document: Document, wanted: str, new: str) -> str:
    """That WANTED is not in the file: what may be the reason, and what comes nearest to it."""
    message = "old_string is not in the file."
    if not document.text:
        return f"{message} The file is empty: use write."
    if reason := _miswritten(document.text, wanted):
        return f"{message} {reason}"
    lines = document.text.removesuffix("\n").split("\n")
    applied = _applied(document, new)
    if applied is not None:
        message += f" new_string is there already, at line {applied.start + 1}: this edit may have been made before."
    wanted_lines = wanted.removesuffix("\n").split("\n")
    region = _nearest(lines, wanted_lines)
    if region is not None:
        message += _first_difference(lines, wanted_lines, region)
    region = region or applied
    if region is None:
        return f"{message} Nothing in it comes near: read the file again."
    return f"{message} The nearest lines are:\n{_show(lines, *region)}"


def _applied(document: Document, new: str) -> _Region | None:
    """The lines in which NEW is; None where it is not, or is too short to mean anything."""
    start = document.text.find(new) if len(new.strip()) >= _SURELY_APPLIED else -1
    if start < 0:
        return None
    return _Region(document.line_at(start) - 1, document.line_at(start + len(new.rstrip())))


def listed(items: Sequence[object], total: int) -> str:
    """ITEMS for people: the first, at most LISTED, of a TOTAL."""
    shown = [str(item) for item in items]
    if total > len(shown):
        shown.append("...")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def _show(lines: Sequence[str], start: int, end: int) -> str:
    shown = [
        numbered(number, clip(line, _LINE_BYTES_SHOWN))
        for number, line in enumerate(lines[start:end][:_LINES_SHOWN], start=start + 1)
    ]
    if end - start > _LINES_SHOWN:
        shown.append(f"... and {end - start - _LINES_SHOWN} more lines")
    return "\n".join(shown)


def _miswritten(text: str, wanted: str) -> str:
    """What went wrong in writing WANTED, if it would be found but for that."""
    bare = _NUMBERED.sub("", wanted)
    if bare != wanted and bare in text:
        return "It would be without the line numbers of read: leave out each line's number and tab."
    unescaped = _ESCAPE.sub(lambda match: _ESCAPES[match[0]], wanted)
    if unescaped != wanted and unescaped in text:
        return "It would be if it were not escaped twice: it has a backslash and a letter or quote for one character."
    if "\n" in wanted and wanted.replace("\n", "\r") in text:
        return "It would be if its lines ended as the file's do, in CR alone: write \\r for each line end."
    return ""


def _nearest(lines: Sequence[str], wanted: Sequence[str]) -> _Region | None:
    """The lines that have most in common with WANTED; None when no line comes near any."""
    loose = _loose(wanted)
    where: dict[str, list[int]] = {}
    for index, key in enumerate(loose):
        if key:
            where.setdefault(key, []).append(index)
    if not where:
        return None
    keys = _loose(lines)
    votes: Counter[int] = Counter()
    for number, key in enumerate(keys):
        for index in where.get(key, ()):
            votes[number - index] += len(loose[index])
    if not votes:
        votes = _alike(keys, loose)
    if not votes:
        return None
    start = max(votes, key=lambda start: (votes[start], -start))
    return _Region(max(start, 0), min(start + len(wanted), len(lines)))


def _alike(keys: Sequence[str], loose: Sequence[str]) -> Counter[int]:
    """Where a line is like the longest of those that are LOOSE, or holds it, though none is the same."""
    index = max(range(len(loose)), key=lambda index: len(loose[index]))
    matcher = SequenceMatcher(autojunk=False)
    wanted = loose[index][:_CHARACTERS_COMPARED]
    matcher.set_seq2(wanted)
    votes: Counter[int] = Counter()
    compared = 0
    for number, key in enumerate(keys):
        if loose[index] in key:
            votes[number - index] = 100
        elif len(key) <= 2 * len(wanted) <= 4 * len(key) and compared < _LINES_COMPARED:
            compared += 1
            matcher.set_seq1(key[:_CHARACTERS_COMPARED])
            if matcher.quick_ratio() >= _LEAST_LIKENESS and (ratio := matcher.ratio()) >= _LEAST_LIKENESS:
                votes[number - index] = max(votes[number - index], int(99 * ratio))
    return votes


def _loose(lines: Sequence[str]) -> list[str]:
    """LINES without what is easily written otherwise: case, blanks, quotes."""
    return ["".join(line.split()) for line in fold("\n".join(lines)).casefold().split("\n")]


def _first_difference(lines: Sequence[str], wanted: Sequence[str], region: _Region) -> str:
    """A space, and a sentence on where the file and WANTED part; empty when no line of theirs differs."""
    for index, line in enumerate(wanted):
        number = region.start + index
        if number >= len(lines):
            return f" The file ends at line {len(lines)}, before the end of old_string."
        there, last = lines[number], index == len(wanted) - 1
        if not _fits(there, line, first=index == 0, last=last):
            if last and there.lstrip().startswith(line.lstrip()):
                there = there[: there.index(line.lstrip()) + len(line.lstrip())]
            return f" At line {number + 1} {_difference(there, line)}."
    return ""


def _fits(there: str, here: str, *, first: bool, last: bool) -> bool:
    """Whether HERE can be in a text that has THERE in its line; it may begin and end within a line."""
    if first and last:
        return here in there
    if first:
        return there.endswith(here)
    return there.startswith(here) if last else there == here


def _difference(there: str, here: str) -> str:
    """What differs between a line of the file, THERE, and the line HERE of an edit."""
    if not there.strip():
        return f"the file has an empty line, old_string has {_excerpt(here, 0)}"
    if not here.strip():
        return f"old_string has an empty line, the file has {_excerpt(there, 0)}"
    if there.strip() == here.strip():
        return _blanks_differ(there, here)
    if fold(there).strip() == fold(here).strip():
        for one, other in zip(there.strip(), here.strip(), strict=False):
            if one != other:
                return f"the file has {_character(one)} where old_string has {_character(other)}"
    if there.strip().casefold() == here.strip().casefold():
        there, here = there.strip(), here.strip()
        at = common_start(there, here)
        return f"upper and lower case differ: the file has {_excerpt(there, at)}, old_string {_excerpt(here, at)}"
    if "".join(there.split()) == "".join(here.split()):
        return "the blanks between words differ"
    there, here = there.strip(), here.strip()
    at = common_start(there, here)
    return f"the file has {_excerpt(there, at)}, old_string has {_excerpt(here, at)}"


def _blanks_differ(there: str, here: str) -> str:
    ours, theirs = (line[: len(line) - len(line.lstrip())] for line in (there, here))
    if ours != theirs:
        return f"the indentation differs: the file has {_blanks(ours)}, old_string {_blanks(theirs)}"
    return "the blanks at the end of the line differ"


def _blanks(blanks: str) -> str:
    counts = [(blanks.count("\t"), "tab"), (blanks.count(" "), "space")]
    counts.append((len(blanks) - counts[0][0] - counts[1][0], "other blank"))
    said = [f"{count} {name}{'s' if count > 1 else ''}" for count, name in counts if count]
    return " and ".join(said) or "none"


def _character(character: str) -> str:
    name = unicodedata.name(character, "").lower()
    return f"U+{ord(character):04X}" + (f" ({name})" if name else "")


def _excerpt(line: str, at: int) -> str:
    """LINE in backquotes, or what of it is around AT when it is long."""
    start = max(at - _EXCERPT // 4, 0) if len(line) > _EXCERPT else 0
    end = start + _EXCERPT
    return f"`{'...' if start else ''}{line[start:end]}{'...' if line[end:] else ''}`"
