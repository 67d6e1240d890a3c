"""The lines of a `.gitignore` file, asked folder by folder, as a walk needs it.

Not the library `pathspec`: it decides about paths of files, where for it `build/**` names the folder `build` too; a
walk would then never see what a later `!build/keep` takes back.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from beyond_ai_tools.coding.globs import GlobError, translate

_SPECIAL: Final = re.compile(r"[*?\[\\]")


@dataclass(frozen=True, slots=True)
class _Pattern:
    """One line. `glob` has no slash at its ends; it is `anchored` where it had one before its last part."""

    excludes: bool
    glob: str
    anchored: bool
    folders_only: bool

    @property
    def regex(self) -> str:
        """What a path, or for one that is not anchored a name, must be; folders come with a slash at their end."""
        glob = f"/{self.glob}" if self.anchored else self.glob
        return f"(?:{translate(glob, names=not self.anchored)}){'/' if self.folders_only else '/?'}"


class _Run:
    """Patterns in a row that say the same, so that their order does not matter."""

    def __init__(self, excludes: bool, patterns: Iterable[_Pattern]) -> None:
        self.excludes = excludes
        names: set[str] = set()
        wild: list[str] = []
        anchored: list[str] = []
        for pattern in patterns:
            if pattern.anchored:
                anchored.append(pattern.regex)
            elif _SPECIAL.search(pattern.glob):
                wild.append(pattern.regex)
            else:
                names |= {f"{pattern.glob}/"} if pattern.folders_only else {pattern.glob, f"{pattern.glob}/"}
        self._names = names
        self._wild = re.compile("|".join(wild), re.DOTALL).fullmatch if wild else None
        self._anchored = re.compile("|".join(anchored), re.DOTALL).fullmatch if anchored else None

    def matches(self, path: str, name: str) -> bool:
        return bool(
            name in self._names
            or (self._wild is not None and self._wild(name))
            or (self._anchored is not None and self._anchored(path))
        )


class GitIgnore:
    """What a `.gitignore` file with this TEXT says. Lines that are no pattern are passed over."""

    def __init__(self, text: str) -> None:
        patterns = [pattern for line in text.split("\n") for pattern in _parsed(line.removesuffix("\r"))]
        runs = groupby(reversed(patterns), key=lambda pattern: pattern.excludes)
        self._runs = [_Run(excludes, run) for excludes, run in runs]

    def excludes(self, path: str, name: str) -> bool | None:
        """Whether it leaves PATH out, from the file's folder, or takes it in again; None when it says nothing.

        NAME is the last part of it. Both have a slash at their end for a folder.
        """
        return next((run.excludes for run in self._runs if run.matches(path, name)), None)


def _parsed(line: str) -> Iterator[_Pattern]:
    """The pattern in LINE, if there is one."""
    if line.startswith("#"):
        return
    glob = line.rstrip()
    if glob.endswith("\\") and len(glob) < len(line):
        glob += " "  # the blank was meant
    excludes = not glob.startswith("!")
    glob = glob.removeprefix("!")
    folders_only = glob.endswith("/")
    glob = glob.removesuffix("/")
    anchored = "/" in glob
    glob = glob.removeprefix("/")
    if not glob:
        return
    pattern = _Pattern(excludes, glob, anchored, folders_only)
    try:
        re.compile(pattern.regex)
    except (GlobError, re.error):
        return
    yield pattern
