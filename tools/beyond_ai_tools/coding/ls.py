"""`ls`: what is in a folder."""

import asyncio
import os
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from pydantic import Field

from beyond_ai import Tool, ToolContext, ToolResult, hookimpl
from beyond_ai_tools.coding.arguments import Arguments
from beyond_ai_tools.coding.paths import failure, printable, require_directory, resolve
from beyond_ai_tools.coding.truncation import fitting

_MAX_ENTRIES: Final = 10_000


class LsArguments(Arguments):
    """Which folder to list."""

    path: str = "."
    all: bool = Field(False, description="Hidden entries too")
    limit: int = Field(500, ge=1, le=_MAX_ENTRIES)


async def ls(arguments: LsArguments, context: ToolContext) -> ToolResult:
    """List the folder. Raises ToolError."""
    path = resolve(arguments.path, context, write=False)
    return await asyncio.to_thread(_ls, path, arguments, context)


def _ls(path: Path, arguments: LsArguments, context: ToolContext) -> ToolResult:
    require_directory(path, context)
    try:
        with os.scandir(path) as entries:
            names = [(not _is_folder(entry), entry.name) for entry in entries]
    except OSError as error:
        raise failure(error, "list", path, context) from error
    shown = [entry for entry in names if arguments.all or not entry[1].startswith(".")]
    shown.sort(key=lambda entry: (entry[0], _sort_key(entry[1]), entry[1]))
    lines = [printable(name) + ("" if is_file else "/") for is_file, name in shown]
    return ToolResult(_text(lines, len(names) - len(shown), arguments.limit, context))


def _text(lines: Sequence[str], hidden: int, limit: int, context: ToolContext) -> str:
    kept = min(limit, fitting(lines, context.limits))
    parts = list(lines[:kept]) or ["(empty directory)"]
    if kept < len(lines):
        how = f"Set limit, up to {_MAX_ENTRIES}, or use find." if kept == limit else "Use find for the others."
        parts.append(f"[{kept} of {len(lines)} entries shown. {how}]")
    if hidden:
        parts.append(f"[{hidden} hidden {'entry' if hidden == 1 else 'entries'} not shown. Set all to see them.]")
    return "\n".join(parts)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _sort_key(name: str) -> str:
    """So that accents and case do not matter."""
    if name.isascii():
        return name.lower()
    return "".join(char for char in unicodedata.normalize("NFKD", name) if not unicodedata.combining(char)).casefold()


@hookimpl
def beyond_tools() -> Iterable[Tool]:
    """Offer `ls`."""
    yield Tool(
        name="ls",
        description="List a directory, directories first.",
        arguments=LsArguments,
        run=ls,
        read_only=True,
    )
