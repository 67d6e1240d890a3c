"""Commands that destroy, or make, what their arguments name."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePath
from typing import Final

from beyond_ai.agent.policy.expansion import UNKNOWN
from beyond_ai.agent.policy.harm import Findings, Harm
from beyond_ai.agent.policy.shell_words import Piece, Word, literal

MARK: Final = re.compile(
    r"\b(?:rm|unlink|shred|truncate|wipefs|mkfs|dd|rsync|git\s+(?:\S+\s+)*?(?:clean|reset|checkout|restore|rm))\b|-delete\b"
)
"""Words that make a hazard of a command which cannot be read."""
DELETERS: Final[Mapping[str, str]] = {
    "rm": "",
    "unlink": "",
    "shred": "ns",
    "truncate": "rs",
    "wipefs": "ot",
    "mkfs": "t",
}
"""Commands that destroy what they name, each with those of its options that take a value."""
_GIT_VALUES: Final = frozenset({"-C", "-c", "--git-dir", "--work-tree", "--namespace"})
_NAMING: Final = frozenset({"-name", "-iname"})
_RUNNING: Final = frozenset({"-exec", "-execdir", "-ok", "-okdir"})
_HERE: Final[Word] = (Piece("plain", "."),)

Command = Callable[[Findings, str, Sequence[Word]], None]
"""Notes what a command does that people see as the text given, with these arguments."""


def source(word: Word) -> str:
    """WORD as it may stand in a script, without the quotes around it."""
    forms = {"variable": "${{{}}}", "command": "$({})", "unknown": "${{{}}}"}
    return "".join(forms.get(piece.kind, "{}").format(piece.text) for piece in word)


def operands(arguments: Sequence[Word], with_value: str) -> list[Word]:
    """ARGUMENTS without options. Those whose letters are in WITH_VALUE take the next word along."""
    found: list[Word] = []
    left = iter(arguments)
    for word in left:
        text = literal(word) or ""
        if text == "--":
            return [*found, *left]
        if not text.startswith("-") or text == "-":
            found.append(word)
        elif len(text) == 2 and text[1] in with_value:
            next(left, None)
    return found


def delete(name: str) -> Command:
    """The deleter called NAME."""

    def note(findings: Findings, shown: str, arguments: Sequence[Word]) -> None:
        if name == "truncate" and any((literal(word) or "").startswith(("-s+", "--size=+", "+")) for word in arguments):
            return  # it grows
        findings.harm(shown, "deleted", operands(arguments, DELETERS[name]))

    return note


def _find(findings: Findings, shown: str, arguments: Sequence[Word]) -> None:
    texts = [literal(word) or "" for word in arguments]
    start = next((place for place, text in enumerate(texts) if text.startswith(("-", "(", "!"))), len(texts))
    folders = list(arguments[:start]) or [_HERE]
    plain = not {"!", "-not", "-o", "-or"} & set(texts)
    names = tuple(texts[place + 1] for place, text in enumerate(texts[:-1]) if text in _NAMING) if plain else ()
    if findings.told(folders):
        findings.listed = Harm(command=shown, targets=findings.targets(folders), names=names)
    run = [text for place, text in enumerate(texts) if set(texts[max(0, place - 3) : place]) & _RUNNING]
    if ("-delete" in texts or any(MARK.search(text) for text in run)) and "-empty" not in texts:
        findings.harm(shown, "deleted", folders, names)


def _cd(findings: Findings, _shown: str, arguments: Sequence[Word]) -> None:
    scope = findings.scope
    places = scope.expand((operands(arguments, "") or [(Piece("plain", "~"),)])[0])
    known = len(places) == 1 and places[0].text != "-" and not places[0].pattern
    scope.cwd = scope.path(places[0]) if known else UNKNOWN


def _for(findings: Findings, _shown: str, arguments: Sequence[Word]) -> None:
    if len(arguments) > 1 and literal(arguments[1]) == "in":
        values = [value for word in arguments[2:] for value in findings.scope.expand(word)]
        findings.scope.assign(literal(arguments[0]) or "", values)


def _read(findings: Findings, _shown: str, arguments: Sequence[Word]) -> None:
    for word in operands(arguments, "adnNptu"):
        findings.scope.assign(literal(word) or "", [UNKNOWN])


def _make(findings: Findings, _shown: str, arguments: Sequence[Word]) -> None:
    findings.made += findings.targets(operands(arguments, "m"))


def _tee(findings: Findings, shown: str, arguments: Sequence[Word]) -> None:
    files = operands(arguments, "")
    findings.made += findings.targets(files)
    if not _flags(arguments) & {"a", "append"}:
        findings.harm_told(shown, "overwritten", files)


def _copy(findings: Findings, shown: str, arguments: Sequence[Word]) -> None:
    *copied, place = operands(arguments, "Sgmo") or [()]
    into: list[Word] = [(*place, Piece("quoted", f"/{PurePath(source(word)).name}")) for word in copied]
    if copied:
        findings.made += findings.targets([place, *into])
        findings.harm_told(shown, "overwritten", [place, *into])


def _move(findings: Findings, shown: str, arguments: Sequence[Word]) -> None:
    _copy(findings, shown, arguments)
    findings.harm_told(shown, "moved", operands(arguments, "S")[:-1])


def _dd(findings: Findings, shown: str, arguments: Sequence[Word]) -> None:
    for word in arguments:
        if word and word[0].text.startswith("of="):
            output = (Piece(word[0].kind, word[0].text.removeprefix("of=")), *word[1:])
            findings.harm(shown, "overwritten", [output])


def _rsync(findings: Findings, shown: str, arguments: Sequence[Word]) -> None:
    if any((literal(word) or "").startswith("--del") for word in arguments):
        findings.harm(shown, "deleted", operands(arguments, "BTef")[-1:])


def _git(findings: Findings, shown: str, arguments: Sequence[Word]) -> None:
    outside, findings.scope = findings.scope, findings.scope.copy()
    place = 0
    while place < len(arguments) and (text := literal(arguments[place]) or "").startswith("-"):
        if text == "-C":
            _cd(findings, shown, arguments[place + 1 : place + 2])
        place += 2 if text in _GIT_VALUES else 1
    if place < len(arguments):
        _git_command(findings, shown, literal(arguments[place]) or "", arguments[place + 1 :])
    findings.scope = outside


def _git_command(findings: Findings, shown: str, name: str, arguments: Sequence[Word]) -> None:
    flags, words = _flags(arguments), operands(arguments, "bBcjosu")
    first = literal(words[0]) if words else None
    forced = bool(flags & {"f", "force"})
    match name:
        case "clean" if forced and not flags & {"n", "dry-run"}:
            if flags & {"x", "X"}:
                findings.certain(shown, "ignored files are deleted too, as settings and whole environments")
            findings.harm(shown, "untracked", words or [_HERE])
        case "reset" if "hard" in flags:
            findings.harm(shown, "reset", [_HERE])
        case "checkout" | "switch" if flags & {"f", "force", "discard-changes"}:
            findings.harm(shown, "reset", [_HERE])
        case "checkout":
            _restore(findings, shown, arguments, words)
        case "restore" if not flags & {"S", "staged"} or flags & {"W", "worktree"}:
            _restore(findings, shown, arguments, words)
        case "rm" if forced and "cached" not in flags:
            findings.harm(shown, "changes", words)
        case "stash" if first in ("drop", "clear"):
            findings.certain(shown, "work that was stashed is thrown away")
        case "worktree" if first == "remove" and forced:
            findings.harm(shown, "deleted", words[1:])
        case "clone":
            folder: list[Word] = [
                (Piece("quoted", PurePath(source(word)).name.removesuffix(".git")),) for word in words[:1]
            ]
            findings.made += findings.targets(words[1:2] or folder)
        case "init" | "worktree":
            findings.made += findings.targets(words)


def _restore(findings: Findings, shown: str, arguments: Sequence[Word], words: Sequence[Word]) -> None:
    """Note that the files among WORDS, where others may be names of commits, become what they were."""
    place = next((place for place, word in enumerate(arguments) if literal(word) == "--"), None)
    if place is not None:
        words = arguments[place + 1 :]
        findings.harm(shown, "changes", words)
    else:
        findings.harm_told(shown, "changes", words)
    if any((literal(word) or "").startswith(":") for word in words):  # what is below the top, or all but something
        findings.harm(shown, "reset", [_HERE])


def _flags(arguments: Sequence[Word]) -> set[str]:
    """The options among ARGUMENTS, letters one by one."""
    found: set[str] = set()
    for word in arguments:
        text = literal(word) or ""
        if text == "--":
            break
        if text.startswith("--"):
            found.add(text[2:].partition("=")[0])
        elif text.startswith("-"):
            found.update(text[1:])
    return found


def _declare(findings: Findings, _shown: str, arguments: Sequence[Word]) -> None:
    assigned(findings, operands(arguments, ""))


_ASSIGNMENT: Final = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)


def assigned(findings: Findings, words: Sequence[Word]) -> Sequence[Word]:
    """WORDS without the assignments before them, which are made."""
    for place, word in enumerate(words):
        found = _ASSIGNMENT.fullmatch(word[0].text) if word and word[0].kind == "plain" else None
        if found is None:
            return words[place:]
        value = (*((Piece("plain", found[2]),) if found[2] else ()), *word[1:])
        findings.scope.assign(found[1], findings.scope.expand(value))
    return ()


COMMANDS: Final[Mapping[str, Command]] = {
    **{name: delete(name) for name in DELETERS},
    "find": _find,
    "cd": _cd,
    "pushd": _cd,
    "popd": lambda findings, _shown, _arguments: setattr(findings.scope, "cwd", UNKNOWN),
    "for": _for,
    "select": _for,
    "read": _read,
    **dict.fromkeys(("export", "local", "declare", "readonly", "typeset"), _declare),
    **dict.fromkeys(("mkdir", "touch", "virtualenv"), _make),
    "tee": _tee,
    **dict.fromkeys(("cp", "install", "ln"), _copy),
    "mv": _move,
    "dd": _dd,
    "rsync": _rsync,
    "git": _git,
}
"""What each command does, by its name."""
