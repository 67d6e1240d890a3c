"""Prompt templates: `/name arguments` stands for the text of a file `name.md`, with the arguments put in."""

import re
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from beyond_ai.agent.prompt.documents import parse, read_text

INVOCATION: Final = re.compile(r"/([A-Za-z0-9][\w.-]*)(?:\s+(.*))?\Z", re.DOTALL)
PLACE: Final = re.compile(r"\$(?:(\d+)|(@|ARGUMENTS\b)|\{(\d+)(?::-([^}]*))?\}|\{@(?::(\d+)(?::(\d+))?)?\})")


def template_folders(cwd: Path, home: Path) -> list[Path]:
    """Where templates lie; of two with one name the first wins."""
    return [base / name / "prompts" for base in (home, cwd) for name in (".beyond-ai", ".claude")]


def find_template(name: str, folders: Iterable[Path]) -> Path | None:
    """The file of the template NAME; None when there is none."""
    return next((path for folder in folders if (path := folder / f"{name}.md").is_file()), None)


def expand_template(text: str, folders: Iterable[Path]) -> str | None:
    """What TEXT stands for; None when it invokes no template. Raises OSError and ValueError."""
    invocation = INVOCATION.match(text)
    path = find_template(invocation[1], folders) if invocation else None
    if invocation is None or path is None:
        return None
    return fill(parse(read_text(path)).body, invocation[2] or "")


def fill(template: str, arguments: str) -> str:
    """TEMPLATE with ARGUMENTS, split as a shell does, for `$1`, `$@`, `${@:2}`, `${@:2:3}` and `${1:-default}`."""
    try:
        words = shlex.split(arguments)
    except ValueError:  # a quote that stands alone
        words = arguments.split()

    def filled(found: re.Match[str]) -> str:
        position = found[1] or found[3]
        if position:
            place = int(position) - 1
            word = words[place] if 0 <= place < len(words) else ""
            return word or found[4] or ""
        if found[2] or found[5] is None:
            return arguments.strip()
        start = max(int(found[5]) - 1, 0)
        return " ".join(words[start : start + int(found[6])] if found[6] else words[start:])

    return PLACE.sub(filled, template)
