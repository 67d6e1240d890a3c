"""What words of a shell command stand for, as far as that can be told without running it."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from glob import escape
from itertools import islice, product
from typing import Final

from beyond_ai.agent.policy.shell_words import Piece, Word

MOST: Final = 64
"""Words that one word may become; more cannot be told."""
_GLOB: Final = re.compile(r"[*?\[]")
_BRACES: Final = re.compile(r"\{([^{}]*,[^{}]*)\}")
_RANGE: Final = re.compile(r"\{[^{}]+\.\.[^{}]+\}")


@dataclass(frozen=True, slots=True)
class Operand:
    """A word as a command gets it.

    Attributes:
        text: None when it cannot be told.
        pattern: whether `text` is a glob that stands for paths; quoted signs in it are escaped.
        fresh: whether it is below something that this very command makes, as a temporary folder.
    """

    text: str | None
    pattern: bool = False
    fresh: bool = False


UNKNOWN: Final = Operand(None)
FRESH: Final = Operand(None, fresh=True)


class Scope:
    """The folder and the variables that a part of a command sees."""

    def __init__(self, cwd: Operand, environment: Mapping[str, str]) -> None:
        self.cwd = cwd
        self._environment = environment
        self._variables: dict[str, tuple[Operand, ...]] = {}

    def copy(self) -> "Scope":
        """The scope of a part whose changes are its own."""
        scope = Scope(self.cwd, self._environment)
        scope._variables = dict(self._variables)
        return scope

    def assign(self, name: str, values: Iterable[Operand]) -> None:
        """Let the variable NAME be one of VALUES."""
        self._variables[name] = tuple(values)

    def expand(self, word: Word) -> list[Operand]:
        """What WORD becomes."""
        choices = [self._choices(piece, first=place == 0) for place, piece in enumerate(word)]
        made = [_concatenated(parts) for parts in islice(product(*choices), MOST + 1)]
        if len(made) > MOST:
            return [UNKNOWN]
        if len(word) == 1 and word[0].kind == "variable":  # without quotes it is split
            return [part for operand in made for part in _split(operand)]
        return made

    def path(self, operand: Operand) -> Operand:
        """OPERAND as an absolute path, or a pattern of such."""
        if operand.text is None or operand.text.startswith("/"):
            return operand
        if self.cwd.text is None:
            return self.cwd
        folder = escape(self.cwd.text) if operand.pattern else self.cwd.text
        return replace(operand, text=os.path.join(folder, operand.text))

    def _choices(self, piece: Piece, *, first: bool) -> tuple[Operand, ...]:
        match piece.kind:
            case "quoted":
                return (Operand(piece.text),)
            case "variable":
                return self._values(piece.text)
            case "command":
                return (self._printed(piece.text),)
            case "plain":
                return tuple(self._plain(text, first=first) for text in islice(_braces(piece.text), MOST + 1))
        return (UNKNOWN,)

    def _values(self, name: str) -> tuple[Operand, ...]:
        if name in self._variables:
            return self._variables[name]
        if name == "PWD":
            return (self.cwd,)
        return (Operand(self._environment[name]),) if name in self._environment else (UNKNOWN,)

    def _plain(self, text: str, *, first: bool) -> Operand:
        if first and (text == "~" or text.startswith("~/")):
            home = self._environment.get("HOME")
            return UNKNOWN if home is None else Operand(home + text[1:], bool(_GLOB.search(text)))
        if (first and text.startswith("~")) or _RANGE.search(text):
            return UNKNOWN
        return Operand(text, bool(_GLOB.search(text)))

    def _printed(self, source: str) -> Operand:
        """What the command SOURCE prints."""
        words = source.split()
        if words[:1] == ["mktemp"]:
            return FRESH
        return self.cwd if words == ["pwd"] else UNKNOWN


def _braces(text: str) -> Iterator[str]:
    """TEXT with its braces expanded."""
    found = _BRACES.search(text)
    if found is None:
        yield text
        return
    for choice in found[1].split(","):
        yield from _braces(text[: found.start()] + choice + text[found.end() :])


def _concatenated(parts: Iterable[Operand]) -> Operand:
    """PARTS as one word."""
    parts = tuple(parts)
    for part in parts:
        if part.text is None:  # what follows the name of a temporary folder is in it
            return FRESH if part.fresh and not any(".." in (other.text or "") for other in parts) else UNKNOWN
    pattern = any(part.pattern for part in parts)
    texts = [part.text if part.pattern or not pattern else escape(part.text or "") for part in parts]
    return Operand("".join(text or "" for text in texts), pattern)


def _split(operand: Operand) -> list[Operand]:
    if operand.text is None or not re.search(r"\s", operand.text):
        return [operand]
    return [Operand(text, bool(_GLOB.search(text))) for text in operand.text.split()]
