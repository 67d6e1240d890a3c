"""The system prompt: who the agent is, what it has, what the project says. The same bytes for a whole run."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final
from xml.sax.saxutils import quoteattr

from beyond_ai.agent.prompt.context_files import ContextFile

IDENTITY: Final = (
    "You are a coding agent. You work in a real directory, for a person who reads your words on a terminal. "
    "What you change is changed."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptParts:
    """What a system prompt is made of, beside what hooks add.

    Attributes:
        base: in place of the built-in text; None for that.
        appended: texts behind the base.
        context: files with instructions.
        skills: the section about skills; empty for none.
        root: what tools that take paths are kept in, if they are.
    """

    base: str | None = None
    appended: Sequence[str] = ()
    context: Sequence[ContextFile] = ()
    skills: str = ""
    root: Path | None = None


def compose(parts: PromptParts, tools: Collection[str], cwd: Path, today: date) -> str:
    """The system prompt of a run with TOOLS, by name; what hooks add stands behind it."""
    base = parts.base if parts.base is not None and parts.base.strip() else built_in(tools)
    pieces = [base.strip(), *(text.strip() for text in parts.appended)]
    if parts.context:
        pieces.append(_project(parts.context))
    if "read" in tools:
        pieces.append(parts.skills)
    pieces.append(f"Date: {today.isoformat()}\nWorking directory: {cwd}{_bounds(parts.root, tools)}")
    return "\n\n".join(piece for piece in pieces if piece)


def built_in(tools: Collection[str]) -> str:
    """The text that describes the agent; it names the tools that there are, and no other."""
    if not tools:
        return f"{IDENTITY}\n\nYou have no tools in this run: answer from what you are given."
    lines = [IDENTITY, "", f"Your tools: {', '.join(sorted(tools))}.", ""]
    lines += [f"- {advice}" for needed, advice in _ADVICE if needed <= set(tools)]
    return "\n".join(lines)


def _bounds(root: Path | None, tools: Collection[str]) -> str:
    if root is None or not tools:
        return ""
    shell = " Nothing holds shell commands there: keep them there yourself." if "bash" in tools else ""
    return f"\nWork below {root} alone: tools that take paths read and write nothing outside.{shell}"


_ADVICE: Final[tuple[tuple[frozenset[str], str], ...]] = (
    (frozenset(), "Look at what is there before you change it, and change no more than the task needs."),
    (frozenset({"bash", "grep", "find"}), "Search with grep and find rather than with shell commands."),
    (frozenset({"read", "edit"}), "Read a file before you edit it, and take old text from it exactly."),
    (frozenset({"edit", "write"}), "Use edit for changes, and write for new files and whole rewrites only."),
    (frozenset({"bash"}), "Check your work: run the tests or the program. Start what keeps running in the background."),
    (frozenset(), "When a call fails, find out why before you try again. Never claim what you did not see."),
    (frozenset(), "End with a few plain sentences: what you did, where (paths), and what is left open."),
)
"""Lines of advice, each with the tools that it is about."""


def _project(context: Iterable[ContextFile]) -> str:
    lines = ["<project_context>"]
    for file in context:
        lines += [f"<project_instructions path={quoteattr(str(file.path))}>", file.text, "</project_instructions>"]
    return "\n".join([*lines, "</project_context>"])
