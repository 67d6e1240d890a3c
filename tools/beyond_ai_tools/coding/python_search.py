"""Searching without ripgrep: a program of its own, so that a pattern that takes for ever can be killed.

It is given a search as JSON on its standard input and prints what it has found, as JSON in one line.
"""

import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from beyond_ai_tools.coding.found import Found, Search
from beyond_ai_tools.coding.globs import Glob
from beyond_ai_tools.coding.searched_text import WHOLE, BinaryFile, lines
from beyond_ai_tools.coding.walk import Walk

_POSIX: Final = {
    "alpha": "a-zA-Z",
    "digit": "0-9",
    "alnum": "a-zA-Z0-9",
    "upper": "A-Z",
    "lower": "a-z",
    "space": r"\t\n\v\f\r ",
    "blank": r" \t",
    "punct": r"!-/:-@\[-`{-~",
    "xdigit": "0-9A-Fa-f",
    "word": r"\w",
}
_LOOKS_AROUND: Final = re.compile(r"\(\?<?[=!]|\\[AZz]|\\[0-9]")
"""A pattern that may match a line though it matches nowhere in the whole text."""


def search(wanted: Search) -> Found:
    """Search. Raises re.error."""
    found = Found()
    pattern = compiled(wanted)
    anywhere = (
        None if _LOOKS_AROUND.search(pattern.pattern) else re.compile(pattern.pattern, pattern.flags | re.MULTILINE)
    )
    for path in _paths(wanted, found):
        try:
            with open(wanted.folder / path, "rb") as file:
                numbers = _matching(file, pattern, anywhere, wanted.limit + 1 - found.count)
        except BinaryFile:
            continue
        except OSError as error:
            found.unreadable.append((path, error.strerror or type(error).__name__))
            continue
        found.add(path, numbers, wanted.limit)
        if found.more:
            break
    return found


def compiled(wanted: Search) -> re.Pattern[str]:
    """The pattern as Python writes it. Raises re.error."""
    text = re.escape(wanted.pattern) if wanted.literal else _POSIX_CLASS.sub(_posix, wanted.pattern)
    return re.compile(text, re.IGNORECASE if wanted.ignore_case else 0)


_POSIX_CLASS: Final = re.compile(rf"\[:({'|'.join(_POSIX)}):\]")


def _posix(found: re.Match[str]) -> str:
    return _POSIX[found[1]]


def _paths(wanted: Search, found: Found) -> Iterator[str]:
    """The files to search, in order. What cannot be read is noted at once: it is told even if nothing is found."""
    if wanted.file is not None:
        yield wanted.file
        return
    walk = Walk(wanted.folder)
    paths = [
        entry.path
        for entry in walk
        if entry.is_file and (wanted.glob is None or wanted.glob.lets_pass(entry.path, wanted.under))
    ]
    found.unreadable += [(folder.path, folder.reason) for folder in walk.unreadable]
    yield from paths


def _matching(file: BinaryIO, pattern: re.Pattern[str], anywhere: re.Pattern[str] | None, limit: int) -> list[int]:
    """The numbers of the lines in FILE that PATTERN is in, LIMIT at most. Raises BinaryFile."""
    if anywhere is not None and os.fstat(file.fileno()).st_size <= WHOLE:
        data = file.read()
        if b"\0" in data and data[:2] not in (b"\xff\xfe", b"\xfe\xff"):
            raise BinaryFile
        text = data.decode(errors="surrogateescape").replace("\r\n", "\n").removesuffix("\r")
        if data[:2] not in (b"\xff\xfe", b"\xfe\xff") and not anywhere.search(text.removeprefix("\ufeff")):
            return []
        file.seek(0)
    numbers = [number for number, line in enumerate(lines(file), start=1) if pattern.search(line)]
    return numbers[:limit]


def main() -> None:
    """Read a search, print what was found."""
    given = json.load(sys.stdin)
    glob = None if given["glob"] is None else Glob(given["glob"])
    wanted = Search(**{**given, "folder": Path(given["folder"]), "glob": glob})
    answer: dict[str, object]
    try:
        found = search(wanted)
        answer = {"files": found.files, "more": found.more, "unreadable": found.unreadable}
    except (re.error, RecursionError, OverflowError) as error:
        answer = {"problem": str(error)}
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
