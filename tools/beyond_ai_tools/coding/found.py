"""What a search has found, whoever searched."""

from dataclasses import dataclass, field
from pathlib import Path

from beyond_ai_tools.coding.globs import Glob


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What is searched for.

    Attributes:
        folder: where, absolute.
        file: the name of the only file in it that is searched; None for all that git does not ignore.
        pattern: a regular expression, or, if `literal`, a text.
        glob: what the paths of files must fit.
        under: the path of the folder from the working folder; a glob may begin there too.
        limit: of matching lines.
    """

    folder: Path
    file: str | None
    pattern: str
    literal: bool
    ignore_case: bool
    glob: Glob | None
    under: str
    limit: int


@dataclass(slots=True)
class Found:
    """The first matching lines, in order of the paths.

    Attributes:
        files: paths relative to the folder, with the numbers of their lines, from 1.
        more: whether there are more matching lines than the limit.
        unreadable: what could not be read, and why; complete only if there are no more.
    """

    files: list[tuple[str, list[int]]] = field(default_factory=list)
    more: bool = False
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    count: int = 0

    def add(self, path: str, numbers: list[int], limit: int) -> None:
        """Take the matching lines NUMBERS of PATH, as far as LIMIT goes."""
        left = limit - self.count
        if len(numbers) > left:
            self.more = True
            numbers = numbers[:left]
        if numbers:
            self.files.append((path, numbers))
            self.count += len(numbers)


class PatternError(Exception):
    """The pattern cannot be understood; the text says why."""


def in_order(path: bytes) -> bytes:
    """What to sort paths by, so that they come as a walk through their folders meets them."""
    return path.replace(b"/", b"\0")
