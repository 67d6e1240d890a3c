"""Searching with ripgrep, in two steps: which files match, and then which lines of the first of them.

So however many lines match, only as many are read and passed on as are shown. What ripgrep is asked to leave out is
what `walk` leaves out.
"""

import asyncio
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from beyond_ai import ToolContext, ToolError
from beyond_ai_tools.coding.found import Found, PatternError, Search, in_order
from beyond_ai_tools.coding.searched_text import is_text
from beyond_ai_tools.coding.walk import REPOSITORY, OutsideRepositories, in_repository
from beyond_ai_tools.processes.program import Finished, run_program

SECONDS: Final = 120.0
BATCH: Final = 64
"""Files whose lines are asked for at once."""

COMMON: Final = ("--no-config", "--color=never", "--crlf", "--no-heading", "--null", "--sort=none")
FILES: Final = (
    "--hidden",
    "--no-ignore-global",
    "--no-ignore-exclude",
    "--no-ignore-dot",
    "--no-ignore-messages",
    "--glob=!.git",
)
_FAILED: Final = re.compile(r"(?:rg: )?(?:\./)?(.*): ([^:]*) \(os error \d+\)")
_LINE: Final = re.compile(rb"([^\0]*)\0(\d+):[^\n]*\n")


async def search(program: str, wanted: Search, context: ToolContext) -> Found:
    """Search with the ripgrep PROGRAM. Raises PatternError when it does not take the pattern, and ToolError."""
    found = Found()
    paths = [wanted.file] if wanted.file is not None else await _files(program, wanted, found, context)
    at = 0
    while at < len(paths) and not found.more:
        batch = await asyncio.to_thread(_texts, wanted, paths[at : at + BATCH])
        at += BATCH
        if batch:
            numbers = await _numbers(program, wanted, batch, found, context)
            for path in batch:
                found.add(path, numbers.get(path, []), wanted.limit)
    return found


async def _files(program: str, wanted: Search, found: Found, context: ToolContext) -> Sequence[str]:
    """The files with a match, in order."""
    anywhere = await asyncio.to_thread(outside, wanted.folder)
    words = (*FILES, *anywhere, *_names(wanted), "--files-with-matches", *_pattern(wanted), "--", "./")
    finished = await _run(program, words, wanted, found, context)
    paths: Sequence[str] = list(map(os.fsdecode, listed(finished.output)))
    if anywhere:
        paths = await asyncio.to_thread(_met, wanted.folder, paths)
    if wanted.glob is not None:
        paths = [path for path in paths if wanted.glob.lets_pass(path, wanted.under)]
    return paths


def outside(folder: Path) -> tuple[str, ...]:
    """What makes `.gitignore` files count in FOLDER: nothing where it is in a repository."""
    return () if in_repository(folder) else ("--no-require-git",)


def _met(folder: Path, paths: Sequence[str]) -> Sequence[str]:
    """Those of PATHS that a walk meets: outside of repositories ripgrep's versions differ about those further down."""
    folders: set[str] = set()
    for path in paths:
        parent = path.rpartition("/")[0]
        while parent and parent not in folders:
            folders.add(parent)
            parent = parent.rpartition("/")[0]
    if not any(os.path.lexists(folder / parent / REPOSITORY) for parent in folders):
        return paths
    walk = OutsideRepositories(folder)
    return [path for path in paths if walk.meets(path)]


def listed(output: bytes) -> list[bytes]:
    """The paths in the OUTPUT of a search below `./`, in order."""
    return sorted((path[2:] for path in output.split(b"\0")[:-1]), key=in_order)


async def _numbers(
    program: str, wanted: Search, paths: Sequence[str], found: Found, context: ToolContext
) -> dict[str, list[int]]:
    """The numbers of the matching lines in each of PATHS, one more than are wanted at most."""
    # lines longer than a byte are named only: their text is read here
    options = ("--line-number", "--with-filename", "--max-columns=1", f"--max-count={wanted.limit + 1 - found.count}")
    words = (*options, *_pattern(wanted), "--", *(f"./{path}" for path in paths))
    finished = await _run(program, words, wanted, found, context)
    numbers: dict[str, list[int]] = {}
    for path, number in _parsed(finished.output):
        numbers.setdefault(path, []).append(number)
    return numbers


def _parsed(output: bytes) -> Iterator[tuple[str, int]]:
    for line in _LINE.finditer(output):
        yield os.fsdecode(line[1].removeprefix(b"./")), int(line[2])


async def _run(program: str, words: Iterable[str], wanted: Search, found: Found, context: ToolContext) -> Finished:
    """Run ripgrep, and note what it could not read."""
    try:
        finished = await run_program((program, *COMMON, *words), folder=wanted.folder, context=context, seconds=SECONDS)
    except ValueError as error:
        raise PatternError("it holds a NUL character or half of a surrogate pair") from error
    if finished.code < 0:
        raise ToolError(f"The search failed: ripgrep was killed by signal {-finished.code}.")
    if finished.code > 1:
        text = finished.errors.decode(errors="surrogateescape")
        failed = [_FAILED.fullmatch(line) for line in text.strip().split("\n")]
        if not failed or not all(failed):
            raise PatternError(text.strip())
        known = {path for path, _ in found.unreadable}
        found.unreadable += [(each[1] or ".", each[2]) for each in failed if each is not None and each[1] not in known]
    return finished


def _pattern(wanted: Search) -> tuple[str, ...]:
    options = ("--fixed-strings",) if wanted.literal else ()
    case = "--ignore-case" if wanted.ignore_case else "--case-sensitive"
    return (*options, case, f"--regexp={wanted.pattern}")


def _names(wanted: Search) -> tuple[str, ...]:
    """What spares ripgrep files whose names no glob can fit. As a type: a glob of its own overrides `.gitignore`."""
    if wanted.glob is None or not wanted.glob.names:
        return ()
    return (*(f"--type-add=wanted:{name}" for name in wanted.glob.names), "--type=wanted")


def _texts(wanted: Search, paths: Sequence[str]) -> list[str]:
    """Those of PATHS that are texts: ripgrep looks no further than it has to."""
    return [path for path in paths if _is_text(wanted, path)]


def _is_text(wanted: Search, path: str) -> bool:
    try:
        with open(wanted.folder / path, "rb") as file:
            return is_text(file)
    except OSError:
        return True  # ripgrep says why
