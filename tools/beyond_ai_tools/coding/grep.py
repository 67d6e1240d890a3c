"""The tool `grep`: which lines of which files match. With ripgrep where it is installed; the same without it."""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from pydantic import Field

from beyond_ai import Tool, ToolContext, ToolError, ToolResult, hookimpl
from beyond_ai_tools.coding import ripgrep
from beyond_ai_tools.coding.arguments import Arguments
from beyond_ai_tools.coding.found import Found, PatternError, Search
from beyond_ai_tools.coding.paths import failure, require_file, resolve, show
from beyond_ai_tools.coding.searched_text import BinaryFile, is_text, lines
from beyond_ai_tools.coding.searching import glob_of, under, unread
from beyond_ai_tools.coding.truncation import clip, head, size
from beyond_ai_tools.processes.program import run_program

MAX_LINE: Final = 500
"""Bytes of a line that are shown."""
NARROWER: Final = "Narrow it with path, glob or pattern."


class GrepArguments(Arguments):
    """What the model sends."""

    pattern: str = Field(min_length=1)
    path: str | None = None
    glob: str | None = Field(default=None, description="e.g. *.py, src/**/*.{ts,tsx}; ! excludes")
    ignore_case: bool = False
    literal: bool = False
    context: int = Field(default=0, ge=0, le=100, description="lines around each match")
    limit: int = Field(default=100, ge=1, le=10_000)


async def grep(arguments: GrepArguments, context: ToolContext) -> ToolResult:
    """Search, and show the lines that match with those around them."""
    if "\n" in arguments.pattern or "\0" in arguments.pattern:
        raise ToolError("A pattern is searched for within one line; it cannot hold a line break or a NUL character.")
    wanted = await asyncio.to_thread(_wanted, arguments, context)
    found = await _search(wanted, context)
    return await asyncio.to_thread(_shown, found, wanted, arguments, context)


def _wanted(arguments: GrepArguments, context: ToolContext) -> Search:
    path = resolve(arguments.path or ".", context, write=False)
    file = None
    if not path.is_dir():
        require_file(path, context)
        try:
            with path.open("rb") as opened:
                if not is_text(opened):
                    raise ToolError(f"{show(path, context)} is a binary file; grep searches text.")
        except OSError as error:
            raise failure(error, "read", path, context) from error
        path, file = path.parent, path.name
    return Search(
        folder=path,
        file=file,
        pattern=arguments.pattern,
        literal=arguments.literal,
        ignore_case=arguments.ignore_case,
        glob=None if arguments.glob is None else glob_of(arguments.glob),
        under=under(path, context),
        limit=arguments.limit,
    )


async def _search(wanted: Search, context: ToolContext) -> Found:
    """Search with ripgrep where it is there and knows the pattern; else with Python, which knows others."""
    program = shutil.which("rg", path=context.environment.get("PATH", os.defpath))
    if program is not None:
        try:
            return await ripgrep.search(program, wanted, context)
        except (PatternError, OSError):
            pass  # look-around and back references among others
    try:
        return await _search_with_python(wanted, context)
    except PatternError as error:
        raise ToolError(
            f"The pattern is no valid regular expression: {error}. To search for it as it stands, set literal."
        ) from error


async def _search_with_python(wanted: Search, context: ToolContext) -> Found:
    words = (sys.executable, "-P", "-X", "utf8", "-m", "beyond_ai_tools.coding.python_search")
    order = {
        "folder": str(wanted.folder),
        "file": wanted.file,
        "pattern": wanted.pattern,
        "literal": wanted.literal,
        "ignore_case": wanted.ignore_case,
        "glob": None if wanted.glob is None else wanted.glob.text,
        "under": wanted.under,
        "limit": wanted.limit,
    }
    finished = await run_program(
        words, folder=wanted.folder, context=context, seconds=ripgrep.SECONDS, data=json.dumps(order).encode()
    )
    if finished.code != 0:
        last = finished.errors.decode(errors="replace").strip().rpartition("\n")[2]
        raise ToolError(f"The search failed: {last or f'exit code {finished.code}'}")
    answer = json.loads(finished.output)
    if "problem" in answer:
        raise PatternError(answer["problem"])
    found = Found(more=answer["more"], unreadable=[(path, reason) for path, reason in answer["unreadable"]])
    found.files = [(path, numbers) for path, numbers in answer["files"]]
    found.count = sum(len(numbers) for _, numbers in found.files)
    return found


def _shown(found: Found, wanted: Search, arguments: GrepArguments, context: ToolContext) -> ToolResult:
    """The result."""
    if not found.files:
        if found.unreadable:
            raise ToolError(f"No matches found, but not everything could be searched. {unread(found.unreadable)}.")
        hint = " Patterns are searched for within single lines." if "\\n" in arguments.pattern else ""
        return ToolResult(f"No matches found.{hint}")
    shown: list[str] = []
    total = 0
    files = [(path, numbers) for path, numbers in found.files if _may_be_read(wanted.folder / path, context)]
    for path, numbers in files:
        name = show(wanted.folder / path, context)
        for line in _lines(wanted.folder / path, name, set(numbers), arguments.context):
            if line == SEPARATOR and not shown:
                continue
            shown.append(line)
            total += size(line) + 1
        if total > 2 * context.limits.bytes:
            break
    cut = head("\n".join(shown), context.limits)
    notes = []
    if cut.truncated:
        notes.append(cut.marker(NARROWER))
    elif found.more:
        notes.append(f"[{found.count} matching lines shown, there are more. {NARROWER[:-1]}, or raise limit.]")
    elif found.unreadable:
        notes.append(f"[{unread(found.unreadable)}]")
    closed = len(found.files) - len(files)
    if closed:
        notes.append(f"[Left out: {closed} {'file' if closed == 1 else 'files'} with matches that may not be read.]")
    return ToolResult("\n\n".join([cut.text or "No other matches found.", *notes]))


def _may_be_read(path: Path, context: ToolContext) -> bool:
    """Whether the policy lets PATH, which is below a folder that it has let pass, be read."""
    try:
        context.paths.check(path, write=False)
    except ToolError:
        return False
    return True


SEPARATOR: Final = "--"


def _lines(path: Path, name: str, numbers: set[int], around: int) -> Iterator[str]:
    """The lines NUMBERS of the file PATH, called NAME, and as many AROUND them; each group after a separator."""
    wanted = {near for number in numbers for near in range(number - around, number + around + 1)} if around else numbers
    last = max(wanted)
    before = -1
    try:
        with path.open("rb") as file:
            for number, line in enumerate(lines(file), start=1):
                if number > last:
                    break
                if number not in wanted:
                    continue
                if around and number != before + 1:
                    yield SEPARATOR
                mark = ":" if number in numbers else "-"
                text = line.encode(errors="surrogateescape").decode(errors="replace")
                yield f"{name}{mark}{number}{mark} {clip(text, MAX_LINE)}"
                before = number
    except (OSError, BinaryFile):  # it has changed since
        return


@hookimpl
def beyond_tools() -> Iterable[Tool]:
    """Yield `grep`."""
    yield Tool(
        name="grep",
        description=(
            "Search files for a regular expression, or with literal for a text, line by line. "
            "Hidden files are searched, binary files and what .gitignore names are not."
        ),
        arguments=GrepArguments,
        run=grep,
        read_only=True,
    )
