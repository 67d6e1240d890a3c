"""`read`: the lines of a text file, numbered, or an image."""

import asyncio
import codecs
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from pydantic import Field

from beyond_ai import Tool, ToolContext, ToolError, ToolResult, hookimpl, images
from beyond_ai_tools.coding.arguments import Arguments
from beyond_ai_tools.coding.binary import PROBED, binary_kind
from beyond_ai_tools.coding.numbering import numbered
from beyond_ai_tools.coding.paths import failure, open_file, resolve, show
from beyond_ai_tools.coding.truncation import fitting, lines_shown
from beyond_ai_tools.coding.window import Line, window

_BOM: Final = b"\xef\xbb\xbf"
_OVERHEAD: Final = 60
"""Bytes at most of a line's number and of what is said of a line that is cut."""


class ReadArguments(Arguments):
    """What to read."""

    path: str
    offset: int = Field(1, ge=1, description="First line")
    limit: int = Field(2_000, ge=1, description="Lines at most")


class _Text(NamedTuple):
    """A line as it is shown. `lossy` is whether it has bytes that are no text."""

    text: str
    crlf: bool
    lossy: bool


async def read(arguments: ReadArguments, context: ToolContext) -> ToolResult:
    """Read the file. Raises ToolError."""
    path = resolve(arguments.path, context, write=False)
    return await asyncio.to_thread(_read, path, arguments, context)


def _read(path: Path, arguments: ReadArguments, context: ToolContext) -> ToolResult:
    try:
        with open_file(path, context) as file:
            # what has nothing to say at the moment, as some files of the kernel's, gives None
            start = file.read(PROBED) or b""
            if not start:
                return ToolResult("(empty file)")
            if kind := images.image_format(start):
                return _image(kind, start, file, show(path, context), context)
            _require_text(start, file, show(path, context))
            file.seek(0)
            return ToolResult(_lines(file, show(path, context), arguments, context))
    except OSError as error:
        raise failure(error, "read", path, context) from error


def _require_text(start: bytes, file: BinaryIO, name: str) -> None:
    kind = binary_kind(start)
    if kind is not None:
        raise ToolError(
            f"{name} is no text that read can show: {kind.name}, {_amount(file.seek(0, os.SEEK_END))}. "
            f"Use bash to look into it, as with {kind.look}."
        )


def _image(kind: str, start: bytes, file: BinaryIO, name: str, context: ToolContext) -> ToolResult:
    if not context.sees_images:
        size = images.image_size(kind, start + file.read(images.MAX_FILE_BYTES))
        pixels = f", {size[0]}x{size[1]} pixels" if size else ""
        return ToolResult(f"{name}: {kind} image{pixels}. This model cannot see images, so that it is left out.")
    data = start + file.read(images.MAX_FILE_BYTES)
    if len(data) > images.MAX_FILE_BYTES:
        return ToolResult(f"{name}: {kind} image of more than {_amount(images.MAX_FILE_BYTES)}: too large to be shown.")
    shown = images.prepare(kind, data)
    return ToolResult(f"{name}: {shown.note}", images=(shown.image,) if shown.image else ())


def _lines(file: BinaryIO, name: str, arguments: ReadArguments, context: ToolContext) -> str:
    limits = context.limits
    first, count = arguments.offset, min(arguments.limit, limits.lines)
    line_bytes = max(min(limits.line_bytes, limits.bytes - _OVERHEAD), 1)
    seen = window(
        file,
        first,
        count,
        line_bytes=line_bytes,
        total_bytes=limits.bytes,
        stop=lambda: context.cancellation.requested,
    )
    if not seen.lines:
        lines = f"{seen.total} line{'' if seen.total == 1 else 's'}"
        raise ToolError(f"{name} has {lines}; offset {first} is beyond its end.")
    texts = [_text(line, first_of_file=first + index == 1) for index, line in enumerate(seen.lines)]
    shown = [numbered(first + index, text.text) for index, text in enumerate(texts)]
    kept = max(fitting(shown, limits), 1)
    last = first + kept - 1
    parts = shown[:kept]
    if seen.total is None or last < seen.total:
        whole = seen.total or f"a file of {_amount(file.seek(0, os.SEEK_END))}"
        parts.append(f"[{lines_shown(first, last)} of {whole} shown. Use offset={last + 1} to continue.]")
    return "\n".join(parts + _notes(texts[:kept]))


def _notes(texts: Sequence[_Text]) -> list[str]:
    """What the lines do not show of themselves."""
    notes = []
    if any(text.lossy for text in texts):
        notes.append("[Some bytes are not UTF-8 text and are shown as \ufffd: edit cannot change this file.]")
    if all(text.crlf for text in texts):
        notes.append("[Lines end in CR LF.]")
    elif any(text.crlf for text in texts):
        notes.append("[Some lines end in CR LF.]")
    return notes


def _text(line: Line, *, first_of_file: bool) -> _Text:
    data, cut = line.start, line.length - len(line.start)
    if first_of_file:
        data = data.removeprefix(_BOM)
    crlf = not cut and data.endswith(b"\r")
    if crlf:
        data = data[:-1]
    try:
        # of a line that is cut, part of a character may be left
        text, lossy = codecs.getincrementaldecoder("utf-8")().decode(data, not cut), False
    except UnicodeDecodeError:
        text, lossy = data.decode(errors="replace"), True
    if "\0" in text:
        text, lossy = text.replace("\0", "\ufffd"), True
    return _Text(f"{text}... [{cut} more bytes in this line]" if cut else text, crlf, lossy)


def _amount(size: int) -> str:
    """SIZE in bytes, for people."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("KB", 10**3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} bytes"


@hookimpl
def beyond_tools() -> Iterable[Tool]:
    """Offer `read`."""
    yield Tool(
        name="read",
        description="Read a text file, with line numbers, or an image. A long file comes in parts: use offset.",
        arguments=ReadArguments,
        run=read,
        read_only=True,
        reads=lambda arguments: str(arguments.path),
    )
