"""What is known of a shell command while it is gone through: what it may destroy, and what it makes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from beyond_ai.agent.policy.expansion import Scope
from beyond_ai.agent.policy.shell_words import Word

Loss = Literal["deleted", "moved", "overwritten", "untracked", "changes", "reset"]
"""What becomes of targets: deleted with all below them; moved away; overwritten, if they are files. Of what is below
them: what git does not track is deleted; changes of tracked files are thrown away, with `reset` in all the repository.
"""
UNTOLD: Final = "it cannot be told beforehand what that is"


@dataclass(frozen=True, slots=True)
class Target:
    """An absolute path as a command has it, or a PATTERN of such."""

    path: str
    pattern: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Harm:
    """What one command may destroy.

    Attributes:
        command: for people.
        loss: what becomes of the targets.
        targets: what it names.
        names: globs; only files are meant that have, or are below, such a name. Empty for all.
        certain: a reason that needs no look at the targets; empty where it takes one.
    """

    command: str
    loss: Loss = "deleted"
    targets: tuple[Target, ...] = ()
    names: tuple[str, ...] = ()
    certain: str = ""


class Findings:
    """What was found so far, and the scope of the part that is gone through."""

    def __init__(self, scope: Scope) -> None:
        self.harms: list[Harm] = []
        self.made: list[Target] = []
        self.scope = scope
        self.listed: Harm | None = None
        """what the `find` that was met last lists"""

    def targets(self, words: Iterable[Word]) -> tuple[Target, ...]:
        """Those of WORDS that can be told, as paths."""
        paths = [self.scope.path(operand) for word in words for operand in self.scope.expand(word)]
        return tuple(Target(path.text, path.pattern) for path in paths if path.text is not None)

    def told(self, words: Sequence[Word]) -> bool:
        """Whether all of WORDS can be told, or are below what the command itself makes."""
        paths = [self.scope.path(operand) for word in words for operand in self.scope.expand(word)]
        return all(path.text is not None or path.fresh for path in paths)

    def harm(self, command: str, loss: Loss, words: Sequence[Word], names: tuple[str, ...] = ()) -> None:
        """Note that COMMAND does LOSS to what WORDS name."""
        if not self.told(words):
            self.certain(command, UNTOLD)
        elif targets := self.targets(words):
            self.harms.append(Harm(command=command, loss=loss, targets=targets, names=names))

    def harm_told(self, command: str, loss: Loss, words: Sequence[Word]) -> None:
        """The same for those of WORDS that can be told."""
        if targets := self.targets(words):
            self.harms.append(Harm(command=command, loss=loss, targets=targets))

    def certain(self, command: str, reason: str) -> None:
        """Note that COMMAND is a hazard for REASON, whatever there is."""
        self.harms.append(Harm(command=command, certain=reason))
