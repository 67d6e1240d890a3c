"""The tool `find`: which paths fit a glob."""

import asyncio
import threading
from collections.abc import Iterable
from typing import Final

from pydantic import Field

from beyond_ai import Tool, ToolContext, ToolError, ToolResult, hookimpl
from beyond_ai_tools.coding.arguments import Arguments
from beyond_ai_tools.coding.globs import Glob
from beyond_ai_tools.coding.paths import require_directory, resolve, show
from beyond_ai_tools.coding.searching import glob_of, under, unread
from beyond_ai_tools.coding.truncation import head
from beyond_ai_tools.coding.walk import Walk

STEP: Final = 256
"""Paths after which it looks whether to stop."""


class FindArguments(Arguments):
    """What the model sends."""

    pattern: str = Field(min_length=1, description="e.g. *.py, src/**/*.{ts,tsx}")
    path: str | None = None
    limit: int = Field(default=1000, ge=1, le=10_000)


async def find(arguments: FindArguments, context: ToolContext) -> ToolResult:
    """Find what fits. A pattern in lower case fits any case."""
    glob = glob_of(arguments.pattern, ignore_case=arguments.pattern == arguments.pattern.lower())
    stop = threading.Event()
    try:
        return await asyncio.to_thread(_find, arguments, glob, context, stop)
    finally:
        stop.set()


def _find(arguments: FindArguments, glob: Glob, context: ToolContext, stop: threading.Event) -> ToolResult:
    top = resolve(arguments.path or ".", context, write=False)
    require_directory(top, context)
    above = under(top, context)
    walk = Walk(top)
    fitting: list[str] = []
    for count, entry in enumerate(walk):
        if count % STEP == 0 and (stop.is_set() or context.cancellation.requested):
            raise ToolError("The search was cancelled.")
        if glob.lets_pass(entry.path, above):
            if len(fitting) == arguments.limit:
                break
            fitting.append(show(top / entry.path, context) + "/" * entry.is_folder)
    else:
        unreadable = [(each.path, each.reason) for each in walk.unreadable]
        return _whole(fitting, unreadable, context)
    cut = head("\n".join(fitting), context.limits)
    note = cut.marker("Narrow the pattern or the path.") or (
        f"[{len(fitting)} paths shown, there are more. Narrow the pattern or the path, or raise limit.]"
    )
    return ToolResult(f"{cut.text}\n\n{note}")


def _whole(fitting: list[str], unreadable: list[tuple[str, str]], context: ToolContext) -> ToolResult:
    """The result where the walk went to its end."""
    if not fitting:
        if unreadable:
            raise ToolError(f"No files found, but not everything could be searched. {unread(unreadable)}.")
        return ToolResult("No files found matching the pattern.")
    cut = head("\n".join(fitting), context.limits)
    notes = [cut.marker("Narrow the pattern or the path.")] if cut.truncated else []
    if unreadable:
        notes.append(f"[{unread(unreadable)}]")
    return ToolResult("\n\n".join([cut.text, *notes]))


@hookimpl
def beyond_tools() -> Iterable[Tool]:
    """Yield `find`."""
    yield Tool(
        name="find",
        description=(
            "Find files and folders by glob; one without a slash is matched against names. "
            "What .gitignore names is left out."
        ),
        arguments=FindArguments,
        run=find,
        read_only=True,
    )
