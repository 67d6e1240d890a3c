"""`write`: make a file, or replace all of one."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Final

from beyond_ai import Tool, ToolContext, ToolResult, hookimpl
from beyond_ai_tools.coding import atomic
from beyond_ai_tools.coding.arguments import Arguments, encoded
from beyond_ai_tools.coding.diff import unified
from beyond_ai_tools.coding.paths import failure, open_file, resolve, show
from beyond_ai_tools.coding.threads import finish

_MAX_BYTES_COMPARED: Final = 4 * 2**20


class WriteArguments(Arguments):
    """What to write."""

    path: str
    content: str


async def write(arguments: WriteArguments, context: ToolContext) -> ToolResult:
    """Write the file. Raises ToolError, and then has changed nothing."""
    path = resolve(arguments.path, context, write=True, new=True)
    data = encoded(arguments.content, "content")
    return await finish(partial(_write, path, data, context))


def _write(path: Path, data: bytes, context: ToolContext) -> ToolResult:
    name = show(path, context)
    old = _content(path, context)
    if old == data:
        return ToolResult(f"{name} has this content already ({_amount(data)}); nothing was written.")
    try:
        atomic.replace(path, data)
    except OSError as error:
        raise failure(error, "write", path, context) from error
    if old is None:
        text = f"Created {name}: {_amount(data)}."
    else:
        text = f"Replaced {name}: {_amount(data)}."
        if b"\r\n" in old and b"\n" in data and b"\r\n" not in data:
            text += " Its lines ended in CR LF and now end in LF."
    return ToolResult(text, details={"diff": _diff(name, old or b"", data, context)})


def _content(path: Path, context: ToolContext) -> bytes | None:
    """What PATH holds, as far as it is compared; None when it does not exist. Raises ToolError unless it is a file."""
    if not path.exists():
        return None
    try:
        with open_file(path, context) as file:
            return file.read(_MAX_BYTES_COMPARED + 1)
    except OSError as error:
        raise failure(error, "read", path, context) from error


def _diff(name: str, old: bytes, new: bytes, context: ToolContext) -> str:
    if max(len(old), len(new)) > _MAX_BYTES_COMPARED:
        return ""
    try:
        return unified(name, old.decode(), new.decode(), context.limits)
    except UnicodeDecodeError:
        return ""


def _amount(data: bytes) -> str:
    lines = data.count(b"\n") + (not data.endswith(b"\n") and data != b"")
    return f"{len(data)} byte{'' if len(data) == 1 else 's'}, {lines} line{'' if lines == 1 else 's'}"


@hookimpl
def beyond_tools() -> Iterable[Tool]:
    """Offer `write`."""
    yield Tool(
        name="write",
        description="Create a file, or replace all of it. Makes missing folders. Prefer edit for changes.",
        arguments=WriteArguments,
        run=write,
        writes=lambda arguments: str(arguments.path),
    )
