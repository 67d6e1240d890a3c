"""What `grep` and `find` have in common."""

import os
from pathlib import Path
from typing import Final

from beyond_ai import ToolContext, ToolError
from beyond_ai_tools.coding.globs import Glob, GlobError
from beyond_ai_tools.coding.paths import printable

NAMED: Final = 5
"""Paths that could not be read, by name."""


def glob_of(text: str, *, ignore_case: bool = False) -> Glob:
    """The glob TEXT. Raises ToolError."""
    try:
        return Glob(text, ignore_case=ignore_case)
    except GlobError as error:
        raise ToolError(f"The glob {printable(text)} is not valid: {error}.") from error


def under(folder: Path, context: ToolContext) -> str:
    """The path of FOLDER from the working folder; empty if it is not within it, or is it itself."""
    cwd = os.path.realpath(context.cwd)
    return str(folder.relative_to(cwd)) if folder.is_relative_to(cwd) and str(folder) != cwd else ""


def unread(found: list[tuple[str, str]]) -> str:
    """What to say of the paths that could not be read, and why."""
    named = ", ".join(f"{printable(path)} ({reason})" for path, reason in sorted(found)[:NAMED])
    return f"Could not be read: {named}{f' and {len(found) - NAMED} more' if len(found) > NAMED else ''}"
