"""What a shell command may destroy, told from its text alone.

This is a guard against accidents, and no wall: what a script, a build or another language deletes is not seen. A
command that deletes and cannot be read, or whose targets cannot be told, counts as a hazard.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final

from beyond_ai.agent.policy.destructive import COMMANDS, DELETERS, MARK, assigned, operands, source
from beyond_ai.agent.policy.expansion import Operand, Scope
from beyond_ai.agent.policy.harm import Findings, Harm, Loss, Target
from beyond_ai.agent.policy.shell_words import Redirection, Simple, Step, UnreadError, Word, literal, steps

DEEPEST: Final = 8
"""Commands in commands that are gone into."""
SHOWN: Final = 80
"""Characters of a command that people are shown."""
SHELLS: Final = frozenset({"sh", "bash", "dash", "zsh", "ksh"})
WRAPPERS: Final[Mapping[str, str]] = {
    "sudo": "CDRTUghpru", "doas": "Cu", "env": "CSu", "nice": "n", "nohup": "", "time": "fo", "command": "",
    "builtin": "", "exec": "a", "stdbuf": "eio", "ionice": "cnp", "setsid": "", "timeout": "ks", "busybox": "",
    "xargs": "EILPadns",
}  # fmt: skip
"""Commands that run the command behind them, each with those of its options that take a value."""
OVERWRITING: Final = frozenset({">", ">|", "&>", ">&"})
WRITING: Final = OVERWRITING | {">>", "&>>"}


@dataclass(frozen=True, slots=True)
class Reading:
    """What a command may destroy, and what it makes where nothing may be yet."""

    harms: tuple[Harm, ...]
    made: tuple[Target, ...]


def read_command(command: str, cwd: PurePath, environment: Mapping[str, str]) -> Reading:
    """What COMMAND may destroy when a shell runs it in CWD with ENVIRONMENT. Never fails, and looks at no file."""
    findings = Findings(Scope(Operand(str(cwd)), environment))
    _Reader(findings).read(command)
    return Reading(tuple(findings.harms), tuple(findings.made))


class _Reader:
    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._outer: list[Scope] = []
        self._depth = 0

    def read(self, text: str) -> None:
        """Go through the commands in TEXT, and those in them."""
        if self._depth == DEEPEST:
            self._unread(text, "it is nested too deeply")
            return
        self._depth += 1
        try:
            for step in steps(text):
                self._step(step)
        except UnreadError as error:
            self._unread(text, str(error))
        finally:
            self._depth -= 1

    def _unread(self, text: str, reason: str) -> None:
        mark = MARK.search(text)
        if mark is not None:
            self._findings.certain(_short(text), f"it cannot be read ({reason}), and has `{mark[0]}` in it")

    def _apart(self, text: str) -> None:
        """Read TEXT as what a shell of its own runs."""
        scope, outer = self._findings.scope, self._outer
        self._findings.scope, self._outer = scope.copy(), []
        self.read(text)
        self._findings.scope, self._outer = scope, outer

    def _step(self, step: Step) -> None:
        findings = self._findings
        if isinstance(step, Simple):
            self._simple(step)
        elif step == "(":
            self._outer.append(findings.scope)
            findings.scope = findings.scope.copy()
        elif self._outer:
            findings.scope = self._outer.pop()

    def _simple(self, simple: Simple) -> None:
        for word in (*simple.words, *(redirection.target for redirection in simple.redirections)):
            for piece in word:
                if piece.kind == "command":
                    self._apart(piece.text)
        shown = _short(" ".join(map(source, simple.words)))
        empties = [literal(word) for word in simple.words] in ([], [":"], ["true"])
        for redirection in simple.redirections:
            self._redirect(shown, redirection, empties=empties)
        listed, self._findings.listed = self._findings.listed, None
        words = assigned(self._findings, simple.words)
        if words:
            self._command(shown, words, simple, listed if simple.piped else None)

    def _redirect(self, shown: str, redirection: Redirection, *, empties: bool) -> None:
        findings, file = self._findings, redirection.target
        if redirection.operator in WRITING:
            findings.made += findings.targets([file])
        if redirection.operator in OVERWRITING:
            loss: Loss = "deleted" if empties else "overwritten"
            findings.harm_told(f"{shown} {redirection.operator} {source(file)}".strip(), loss, [file])

    def _command(self, shown: str, words: Sequence[Word], simple: Simple, listed: Harm | None) -> None:
        from_xargs = False
        while words and (name := _name(words[0])) in WRAPPERS:
            from_xargs |= name == "xargs"
            words = assigned(self._findings, _unwrapped(name, words[1:]))
        if not words:
            return
        name, arguments = _name(words[0]), words[1:]
        if name in SHELLS:
            self._shell(arguments, [r.target for r in simple.redirections if r.operator in ("<<", "<<-", "<<<")])
        elif name == "eval":
            self._apart(" ".join(map(source, arguments)))
        elif name == "trap":
            self._apart(" ".join(map(source, arguments[:1])))
        elif from_xargs and name in DELETERS:
            self._listed(shown, listed)
        elif name in COMMANDS:
            COMMANDS[name](self._findings, shown, arguments)

    def _shell(self, arguments: Sequence[Word], bodies: Sequence[Word]) -> None:
        """Read the script that a shell gets by `-c`, or else as its input."""
        texts = [literal(word) or "" for word in arguments]
        scripts = [place for place, text in enumerate(texts) if text.startswith("-") and text.endswith("c")]
        if scripts:
            bodies = arguments[scripts[0] + 1 : scripts[0] + 2]
        elif operands(arguments, "oO"):
            bodies = ()  # a file
        for body in bodies:
            self._apart(source(body))

    def _listed(self, shown: str, listed: Harm | None) -> None:
        """Note that what another command lists is deleted."""
        if listed is None:
            self._findings.certain(shown, "it deletes what another command lists")
        else:
            self._findings.harms.append(Harm(command=shown, targets=listed.targets, names=listed.names))


def _name(word: Word) -> str:
    """The name of the command that WORD stands for; empty where it cannot be told."""
    name = (literal(word) or "").rpartition("/")[2]
    return "mkfs" if name.startswith("mkfs.") else name


def _unwrapped(name: str, words: Sequence[Word]) -> Sequence[Word]:
    """The command in WORDS, which stand behind the wrapper NAME."""
    place = 0
    while place < len(words) and (text := literal(words[place]) or "").startswith("-"):
        place += 2 if len(text) == 2 and text[1] in WRAPPERS[name] else 1
    return words[place + (name == "timeout") :]


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
