"""Globs as models write them, for paths below a folder.

`*` and `?` stay within a name, `**` crosses folders, `[a-z]` and `[!a-z]` are classes, `{a,b}` is a choice, a backslash
takes what follows literally. A glob without a slash is matched against names; with one it may begin at any folder, or,
with a leading slash, at the top only.
"""

import re
from typing import Final

MAX_CHOICES: Final = 256
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.*?-]+")
_CHOICE: Final = re.compile(r"\{([^{}]*)\}")


class GlobError(ValueError):
    """A glob that cannot be understood; the text says why."""


class Glob:
    """One glob; a leading `!` makes it one that excludes."""

    def __init__(self, text: str, *, ignore_case: bool = False) -> None:
        self.text = text
        self.ignore_case = ignore_case
        self.excludes = text.startswith("!")
        self.choices = _choices(text.removeprefix("!"))
        flags = re.DOTALL | (re.IGNORECASE if ignore_case else 0)
        self._match = re.compile("|".join(map(translate, self.choices)), flags).fullmatch

    def matches(self, path: str) -> bool:
        """Whether PATH, relative and without a slash at its end, is what it describes."""
        return self._match(path) is not None

    def matches_within(self, path: str) -> bool:
        """Whether PATH or a folder above it is."""
        while not self._match(path):
            path = path.rpartition("/")[0]
            if not path:
                return False
        return True

    def lets_pass(self, path: str, under: str = "") -> bool:
        """Whether the file PATH is wanted; a path that is meant from further up, from UNDER, will do too."""
        paths = (path, f"{under}/{path}") if under else (path,)
        if self.excludes:
            return not any(self.matches_within(each) for each in paths)
        return any(self.matches(each) for each in paths)

    @property
    def names(self) -> tuple[str, ...]:
        """Simple globs that the name of every file that it wants fits one of; empty when there are no such."""
        if self.excludes or self.ignore_case:
            return ()
        names = [choice.rpartition("/")[2] for choice in self.choices]
        return tuple(names) if all(_PLAIN.fullmatch(name) and "**" not in name for name in names) else ()


def _choices(text: str) -> list[str]:
    """TEXT with its braces multiplied out."""
    found = [text]
    done: list[str] = []
    while found:
        glob = found.pop()
        choice = _CHOICE.search(glob)
        if choice is None:
            done.append(f"{glob}**" if glob.endswith("/") else glob)
            continue
        found += [glob[: choice.start()] + part + glob[choice.end() :] for part in reversed(choice[1].split(","))]
        if len(found) + len(done) > MAX_CHOICES:
            raise GlobError("it has too many choices in braces")
    if not all(glob.strip("/") for glob in done):
        raise GlobError("it is empty")
    return done


def translate(glob: str, *, names: bool = False) -> str:
    """The regular expression of GLOB, which has no braces: of paths, or, for one without a slash, of NAMES alone."""
    parts = glob.removeprefix("./").split("/")
    anchored = not parts[0]
    if anchored:
        parts = parts[1:]
    regex = "" if anchored or names else "(?:.*/)?"
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        if part == "**":
            regex += ".+" if last else "(?:.*/)?"
        else:
            regex += _name(part) + ("" if last else "/")
    return regex


def _name(glob: str) -> str:
    """The regular expression of one part of a path."""
    regex, at = "", 0
    while at < len(glob):
        character = glob[at]
        at += 1
        if character == "*":
            regex += "[^/]*"
            while glob[at : at + 1] == "*":
                at += 1
        elif character == "?":
            regex += "[^/]"
        elif character == "[":
            end = glob.find("]", at + (2 if glob[at : at + 1] in ("!", "^") else 1))
            if end < 0:
                raise GlobError("a [ has no ]")
            regex += _class(glob[at:end])
            at = end + 1
        elif character == "\\" and at < len(glob):
            regex += re.escape(glob[at])
            at += 1
        else:
            regex += re.escape(character)
    return regex


def _class(inside: str) -> str:
    """The regular expression of a class; INSIDE is what stands between the brackets."""
    negated = inside[0] in "!^"
    body = inside[1:] if negated else inside
    ranges = re.findall(r"(.)-(.)|(.)", body, re.DOTALL)
    parts = []
    for first, last, single in ranges:
        if single:
            parts.append(re.escape(single))
        elif first <= last:
            parts.append(f"{re.escape(first)}-{re.escape(last)}")
        else:
            raise GlobError(f"the range {first}-{last} goes backwards")
    return f"(?!/)[{'^' if negated else ''}{''.join(parts)}]"
