"""Skills: folders with a SKILL.md, whose description the model sees and whose text it reads when it needs it."""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from beyond_ai.agent.prompt.documents import parse, read_text

DEPTH: Final = 8
MOST_FOLDERS: Final = 2_000
LONGEST_DESCRIPTION: Final = 1_024
NAME: Final = re.compile(r"[a-z0-9-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Skill:
    """One skill. `offered` is false where only people may invoke it."""

    name: str
    description: str
    path: Path
    offered: bool = True


def skill_folders(cwd: Path, home: Path) -> list[Path]:
    """Where skills lie; of two with one name the first wins."""
    return [
        home / ".beyond-ai" / "skills",
        home / ".claude" / "skills",
        cwd / ".beyond-ai" / "skills",
        cwd / ".claude" / "skills",
        cwd / ".agents" / "skills",
    ]


def find_skills(folders: Iterable[Path], warn: Callable[[str], None]) -> dict[str, Skill]:
    """The skills below FOLDERS by name. What is wrong with one is told to WARN."""
    found: dict[str, Skill] = {}
    for folder in folders:
        for path in _files(folder):
            skill = _read(path, warn)
            if skill is None:
                continue
            if skill.name in found:
                warn(f"{path}: skill `{skill.name}` is there already: {found[skill.name].path}")
                continue
            found[skill.name] = skill
    return found


def offer(skills: Iterable[Skill]) -> str:
    """The section of the system prompt that names SKILLS; empty when there are none."""
    lines = [
        f"<skill name={quoteattr(skill.name)} path={quoteattr(str(skill.path))}>{escape(skill.description)}</skill>"
        for skill in skills
        if skill.offered
    ]
    if not lines:
        return ""
    advice = "When one of these skills fits the task, read its file first and do as it says."
    return "\n".join(["<available_skills>", advice, *lines, "</available_skills>"])


def invoke(skill: Skill, arguments: str) -> str:
    """The text of SKILL as a user's message, with what was said behind its name. Raises OSError and ValueError."""
    body = parse(read_text(skill.path)).body
    wrapped = f"<skill name={quoteattr(skill.name)} path={quoteattr(str(skill.path))}>\n{body}\n</skill>"
    return f"{wrapped}\n\nUser: {arguments}" if arguments else wrapped


def _files(folder: Path) -> Iterator[Path]:
    for looked_at, (place, folders, files) in enumerate(os.walk(folder)):
        depth = len(Path(place).relative_to(folder).parts)
        if "SKILL.md" in files:
            yield Path(place, "SKILL.md")
            folders.clear()
        elif depth >= DEPTH or looked_at > MOST_FOLDERS:
            folders.clear()
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "node_modules")


def _read(path: Path, warn: Callable[[str], None]) -> Skill | None:
    try:
        head = parse(read_text(path)).head
    except (OSError, ValueError) as error:
        warn(f"{path}: skill left out: {error.strerror if isinstance(error, OSError) else error}")
        return None
    name, description = head.get("name", path.parent.name), head.get("description", "")
    if not NAME.fullmatch(name):
        warn(f"{path}: skill left out: its name `{name}` must be 1 to 64 of a-z, 0-9 and -")
        return None
    if not description:
        warn(f"{path}: skill left out: it has no description")
        return None
    if name != path.parent.name:
        warn(f"{path}: skill `{name}` lies in a folder of another name")
    if len(description) > LONGEST_DESCRIPTION:
        warn(f"{path}: the description of skill `{name}` is cut to {LONGEST_DESCRIPTION} characters")
    offered = head.get("disable-model-invocation", "").lower() != "true"
    return Skill(name=name, description=description[:LONGEST_DESCRIPTION], path=path, offered=offered)
