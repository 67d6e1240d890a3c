"""Walking a folder as git sees it: what `.gitignore` files name is left out, and so is `.git`.

The rules are git's: a deeper file is asked first, in each the last line that matches decides, and what lies in a folder
that is ignored is ignored. Files above the folder count too, up to the top of the repository that it is in, and those
of one repository say nothing about another within it. Where there is no repository around the folder, all files count.
Hidden files are no exception, and links are not followed.
"""

import codecs
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from beyond_ai_tools.coding.gitignore import GitIgnore

IGNORE_FILE: Final = ".gitignore"
REPOSITORY: Final = ".git"
MAX_IGNORE_FILE: Final = 4 << 20
"""Bytes; what is longer is no list of patterns."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Something in the tree. `path` is relative to the top, with slashes."""

    path: str
    is_folder: bool
    is_link: bool
    is_file: bool


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A folder, or a file, that could not be read, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class _Rules:
    """One file, and the rules that are asked after it.

    `start` is where, in a path from the root of the file system, the part begins that the file is about.
    """

    start: int
    file: GitIgnore
    above: "_Rules | None"


def in_repository(top: Path) -> bool:
    """Whether TOP is within a repository."""
    return any(os.path.lexists(folder / REPOSITORY) for folder in (top, *top.parents))


class Walk:
    """One walk through the folder TOP, in the order of paths part by part. `unreadable` fills on the way."""

    def __init__(self, top: Path) -> None:
        self.unreadable: list[Unreadable] = []
        self._top = str(top)
        self._bounded = in_repository(top)

    def __iter__(self) -> Iterator[Entry]:
        stack = [self._folder(self._top, "", _above(Path(self._top)))]
        while stack:
            for entry, folder, rules in stack[-1]:
                yield entry
                if entry.is_folder:
                    stack.append(self._folder(folder, entry.path, rules))
                    break
            else:
                stack.pop()

    def _folder(self, folder: str, path: str, above: _Rules | None) -> Iterator[tuple[Entry, str, _Rules | None]]:
        """What is in FOLDER, with each one's whole path and the rules that hold below it."""
        try:
            with os.scandir(folder) as found:
                entries = sorted(found, key=lambda entry: os.fsencode(entry.name))
        except OSError as error:
            self.unreadable.append(Unreadable(path or ".", error.strerror or type(error).__name__))
            return
        names = {entry.name for entry in entries}
        if REPOSITORY in names and self._bounded:
            above = None
        rules = _within(folder, above) if IGNORE_FILE in names else above
        for entry in entries:
            if entry.name == REPOSITORY:
                continue
            is_link = entry.is_symlink()
            is_folder = not is_link and entry.is_dir(follow_symlinks=False)
            slash = "/" * is_folder
            if rules is not None and _ignored(entry.path + slash, entry.name + slash, rules):
                continue
            below = f"{path}/{entry.name}" if path else entry.name
            yield Entry(below, is_folder, is_link, entry.is_file(follow_symlinks=False)), entry.path, rules


class OutsideRepositories:
    """What a walk through TOP, which is in no repository, would meet; for paths that are known already."""

    def __init__(self, top: Path) -> None:
        self._top = str(top)
        self._rules = {"": _within(self._top, _above(top))}
        self._ignored = {"": False}

    def meets(self, path: str) -> bool:
        """Whether it meets the file PATH."""
        folder, _, name = path.rpartition("/")
        return not self._leaves_out(folder) and not _ignored(os.path.join(self._top, path), name, self._rules[folder])

    def _leaves_out(self, folder: str) -> bool:
        """Whether it does not go into FOLDER. Its rules are known afterwards if it does."""
        known = self._ignored.get(folder)
        if known is not None:
            return known
        parent, _, name = folder.rpartition("/")
        path = os.path.join(self._top, folder)
        ignored = self._leaves_out(parent) or _ignored(f"{path}/", f"{name}/", self._rules[parent])
        self._ignored[folder] = ignored
        if not ignored:
            self._rules[folder] = _within(path, self._rules[parent])
        return ignored


def _above(top: Path) -> _Rules | None:
    """The rules of the folders above TOP, as far as its repository goes."""
    folders: list[Path] = []
    if not os.path.lexists(top / REPOSITORY):
        for folder in top.parents:
            folders.append(folder)
            if os.path.lexists(folder / REPOSITORY):
                break
    rules = None
    for folder in reversed(folders):
        rules = _within(str(folder), rules)
    return rules


def _within(folder: str, above: _Rules | None) -> _Rules | None:
    """The rules within FOLDER, given those ABOVE it."""
    try:
        # without waiting: it may be a pipe
        descriptor = os.open(os.path.join(folder, IGNORE_FILE), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            data = file.read(MAX_IGNORE_FILE)
    except OSError:
        return above
    text = data.removeprefix(codecs.BOM_UTF8).decode(errors="surrogateescape")
    return _Rules(len(folder.rstrip("/")) + 1, GitIgnore(text), above)


def _ignored(path: str, name: str, rules: _Rules | None) -> bool:
    """Whether PATH, from the root of the file system, is left out; it and its NAME end in a slash for a folder."""
    while rules is not None:
        excludes = rules.file.excludes(path[rules.start :], name)
        if excludes is not None:
            return excludes
        rules = rules.above
    return False
