"""The rules of a run, as the command line states them; one that is not understood is refused before the run starts."""

import fnmatch
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

from beyond_ai.errors import ConfigError
from beyond_ai.layers import nearest

Mode = Literal["never", "writes", "all"]
"""Which calls a person is asked about: none, those that may change something, every one."""
MODES: Final[tuple[Mode, ...]] = get_args(Mode)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What is denied without a question. `paths` are compiled globs over whole, resolved paths."""

    tools: frozenset[str] = frozenset()
    commands: tuple[re.Pattern[str], ...] = ()
    paths: tuple[tuple[str, re.Pattern[str]], ...] = ()
    root: Path | None = None

    def denial(self, tool: str, arguments: Mapping[str, object]) -> str | None:
        """Why a call of TOOL with ARGUMENTS is denied; None when it is not."""
        if tool in self.tools:
            return f"the tool `{tool}` is denied (--deny-tool)"
        command = arguments.get("command")
        if isinstance(command, str):
            for pattern in self.commands:
                if pattern.search(command):
                    return f"commands that match `{pattern.pattern}` are denied (--deny-bash-pattern)"
        return None


def parse_rules(
    *,
    cwd: Path,
    root: Path | None = None,
    tools: Sequence[str] = (),
    commands: Sequence[str] = (),
    paths: Sequence[str] = (),
    known_tools: Iterable[str] = (),
) -> Rules:
    """The rules that the flags state. Raises ConfigError for a pattern that is none, and for an unknown tool."""
    known = set(known_tools)
    for name in tools:
        if name not in known:
            raise ConfigError(
                f"--deny-tool {name}: no such tool{nearest(name, known)}", "`beyond-ai agent tools` lists them"
            )
    if root is not None and not root.is_dir():
        raise ConfigError(f"--root {root}: is no folder")
    return Rules(
        tools=frozenset(tools),
        commands=tuple(map(_command, commands)),
        paths=tuple((text, _glob(text, cwd)) for text in paths),
        root=None if root is None else root.resolve(),
    )


def parse_mode(text: str) -> Mode:
    """The approval mode called TEXT. Raises ConfigError."""
    for mode in MODES:
        if text == mode:
            return mode
    raise ConfigError(f"--approve {text}: must be one of {', '.join(MODES)}{nearest(text, MODES)}")


def _command(text: str) -> re.Pattern[str]:
    try:
        if not text.strip():
            raise ConfigError("--deny-bash-pattern: is empty, and would deny every command", "use --deny-tool bash")
        return re.compile(text, re.IGNORECASE)
    except re.error as error:
        raise ConfigError(
            f"--deny-bash-pattern {text}: is no regular expression: {error}",
            "write \\ before a sign that is meant itself",
        ) from None


def _glob(text: str, cwd: Path) -> re.Pattern[str]:
    """TEXT as a pattern over whole paths. Without a slash it is the name of a file or folder, wherever that is."""
    if not text.strip():
        raise ConfigError("--deny-path: is empty")
    if text.count("[") != text.count("]"):
        raise ConfigError(
            f"--deny-path {text}: has an unbalanced bracket", "write [[] for a bracket that is meant itself"
        )
    if "/" not in text:
        return re.compile(rf"(?:.*/)?{_translated(text)}(?:/.*)?\Z", re.DOTALL)
    whole = os.path.normpath(cwd.resolve() / Path(text).expanduser())
    return re.compile(rf"{_translated(whole)}(?:/.*)?\Z", re.DOTALL)


def _translated(glob: str) -> str:
    """GLOB as a regular expression without its end; `*` and `**` both cross folders."""
    return f"(?:{fnmatch.translate(glob).removesuffix(chr(92) + 'Z').removesuffix(chr(92) + 'z')})"
