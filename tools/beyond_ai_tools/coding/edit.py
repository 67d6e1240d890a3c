"""`edit`: replace exact texts in a file, all at once or not at all."""

import fcntl
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice, pairwise
from pathlib import Path
from typing import Annotated, BinaryIO, Final

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from beyond_ai import Tool, ToolContext, ToolError, ToolLimits, ToolResult, hookimpl
from beyond_ai_tools.coding import atomic
from beyond_ai_tools.coding.arguments import Arguments, encoded
from beyond_ai_tools.coding.diff import unified
from beyond_ai_tools.coding.document import Change, Document
from beyond_ai_tools.coding.matching import Normalised, Span, apart, common_start, exact
from beyond_ai_tools.coding.paths import failure, open_file, resolve, show
from beyond_ai_tools.coding.refusal import LISTED, listed, not_found, not_unique
from beyond_ai_tools.coding.threads import finish
from beyond_ai_tools.coding.truncation import head

_MAX_BYTES: Final = 64 * 2**20
_MAX_LINES: Final = 1_000_000
"""Of a file; with the bytes, this bounds the memory that matching takes."""
_MAX_REPLACEMENTS: Final = 200_000
_LOCK_TRIES: Final = 100
_LOCK_PAUSE: Final = 0.002
"""Seconds."""


class OneEdit(BaseModel):
    """Replace `old_string`, which the file holds exactly once, by `new_string`."""

    model_config = ConfigDict(extra="forbid")

    old_string: str
    new_string: str


_EDITS_SCHEMA: Final = {
    "type": "array",
    "description": "Several replacements in one go, each against the file as it is now",
    "items": {
        "type": "object",
        "properties": {"old_string": {"type": "string"}, "new_string": {"type": "string"}},
        "required": ["old_string", "new_string"],
        "additionalProperties": False,
    },
}


class EditArguments(Arguments):
    """Either one replacement or `edits`."""

    path: str
    old_string: str = Field("", description="Whole lines are best; without line numbers")
    new_string: str = ""
    replace_all: bool = False
    edits: Annotated[list[OneEdit], WithJsonSchema(_EDITS_SCHEMA)] = Field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Match:
    """Where an edit applies.

    Attributes:
        index: of the edit, from 1.
        span: all that it matches.
        change: what of that is replaced.
        above: how many lines at the start of the span stay.
        lines: how many lines there are after those that are new.
        growth: how many lines the file gets longer.
        loosely: whether only the normal forms are equal.
    """

    index: int
    span: Span
    change: Change
    above: int
    lines: int
    growth: int
    loosely: bool


async def edit(arguments: EditArguments, context: ToolContext) -> ToolResult:
    """Make the replacements. Raises ToolError, and then has changed nothing."""
    edits = _edits(arguments)
    path = resolve(arguments.path, context, write=True)
    return await finish(partial(_edit, path, edits, context, replace_all=arguments.replace_all))


def _edit(path: Path, edits: Sequence[OneEdit], context: ToolContext, *, replace_all: bool) -> ToolResult:
    data = _read(path, context)
    name = show(path, context)
    try:
        document = Document(data)
    except UnicodeDecodeError as error:
        raise ToolError(
            f"{name} is not UTF-8 text (byte {error.start} is 0x{data[error.start]:02x}), so that edit cannot change "
            "it. Use bash."
        ) from error
    matches = _matches(document, edits, name, context.limits, replace_all=replace_all)
    after = document.changed([match.change for match in matches])
    if after == data:
        raise ToolError(f"Nothing to do: {name} would stay as it is.")
    try:
        atomic.replace(path, after, around=_unchanged(path, data, context))
    except OSError as error:
        raise failure(error, "write", path, context) from error
    text = _summary(name, document, matches)
    diff = unified(name, document.text, Document(after).text, context.limits)
    return ToolResult(text, details={"diff": diff})


def _edits(arguments: EditArguments) -> list[OneEdit]:
    """The replacements that are asked for, in one form, with LF line ends."""
    single = arguments.old_string or arguments.new_string
    if arguments.edits and single:
        raise ToolError("Give either edits, or old_string and new_string; not both.")
    asked = arguments.edits or [OneEdit(old_string=arguments.old_string, new_string=arguments.new_string)]
    edits = [OneEdit(old_string=_lf(one.old_string), new_string=_lf(one.new_string)) for one in asked]
    for index, one in enumerate(edits, start=1):
        label = _label(index, edits)
        encoded(one.old_string, f"{label}old_string")
        encoded(one.new_string, f"{label}new_string")
        if not one.old_string:
            raise ToolError(f"{label}old_string is empty. Use write to make a file or to replace all of one.")
        if one.old_string == one.new_string:
            raise ToolError(
                f"{label}old_string and new_string are the same, but perhaps for line ends, which stay as they are."
            )
    return edits


def _matches(
    document: Document, edits: Sequence[OneEdit], name: str, limits: ToolLimits, *, replace_all: bool
) -> list[_Match]:
    """Where EDITS apply, in the order of the file. Raises ToolError that tells of every edit that does not."""
    normalised: Normalised | None = None
    matches: list[_Match] = []
    refusals: list[str] = []
    for index, one in enumerate(edits, start=1):
        spans, loosely = _first(exact(document.text, one.old_string)), False
        if not spans:
            normalised = normalised or Normalised(document.text)
            spans, loosely = _first(normalised.find(one.old_string)), True
        if len(spans) > _MAX_REPLACEMENTS:
            many = f"old_string is found more than {_MAX_REPLACEMENTS} times: use bash, as with sed."
            refusals.append(_label(index, edits) + many)
        elif not spans:
            refusal = not_found(document, one.old_string, one.new_string)
            if any(one.old_string in other.new_string for other in edits if other is not one):
                refusal += "\nEvery edit is matched against the file as it was before the call."
            refusals.append(_label(index, edits) + refusal)
        elif len(spans) > 1 and not replace_all:
            refusals.append(_label(index, edits) + not_unique(document, spans))
        else:
            matches += (_match(index, document.text, span, one, loosely=loosely) for span in apart(spans))
    if refusals:
        raise ToolError(head("\n".join([f"{name} was not changed.", *refusals]), limits).text)
    matches.sort(key=lambda match: match.span)
    for first, second in pairwise(matches):
        if second.span.start < first.span.end:
            first_index, second_index = sorted((first.index, second.index))
            raise ToolError(
                f"{name} was not changed. Edits {first_index} and {second_index} overlap at line "
                f"{document.line_at(second.span.start)}: make them one edit."
            )
    return matches


def _first(spans: Iterator[Span]) -> list[Span]:
    return list(islice(spans, _MAX_REPLACEMENTS + 1))


def _match(index: int, text: str, span: Span, edit: OneEdit, *, loosely: bool) -> _Match:
    """EDIT on SPAN: lines that it does not change, at its start and its end, stay as the file has them."""
    old, wanted, new = (part.split("\n") for part in (text[span.start : span.end], edit.old_string, edit.new_string))
    above = common_start(wanted, new)
    below = common_start(wanted[above:][::-1], new[above:][::-1])
    start = span.start + len("\n".join(old[:above]))
    end = span.end - len("\n".join(old[len(old) - below :]))
    lines = new[above : len(new) - below]
    change = Change(start, end, _between(lines, above=above > 0, below=below > 0))
    return _Match(index, span, change, above, len(lines), len(new) - len(old), loosely)


def _between(lines: Sequence[str], *, above: bool, below: bool) -> str:
    """LINES with the line ends that join them to what stays above and below."""
    if not lines:
        return "\n" if above and below else ""
    return ("\n" if above else "") + "\n".join(lines) + ("\n" if below else "")


def _read(path: Path, context: ToolContext) -> bytes:
    with open_file(path, context) as file:
        try:
            data = file.read(_MAX_BYTES + 1)
        except OSError as error:
            raise failure(error, "read", path, context) from error
    if len(data) > _MAX_BYTES:
        raise ToolError(f"{show(path, context)} is too large for edit: more than {_MAX_BYTES >> 20} MiB. Use bash.")
    if data.count(b"\n") > _MAX_LINES:
        raise ToolError(f"{show(path, context)} is too large for edit: more than {_MAX_LINES} lines. Use bash.")
    return data


@contextmanager
def _unchanged(path: Path, data: bytes, context: ToolContext) -> Iterator[None]:
    """Raise ToolError unless PATH still holds DATA: what another has written in the meantime must not be lost.

    Of several edits of one file, in this process or others, one at a time gets through.
    """
    with open_file(path, context) as file:
        _lock(file)
        same_file = os.path.samestat(os.fstat(file.fileno()), path.stat())
        if not same_file or file.read(len(data) + 1) != data:
            raise ToolError(
                f"{show(path, context)} was changed by something else during this edit, so that nothing was written. "
                "Read it again."
            )
        yield


def _lock(file: BinaryIO) -> None:
    """Lock FILE until it is closed. Others hold the lock for a moment; one that is held longer is not about edits."""
    for _ in range(_LOCK_TRIES):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_LOCK_PAUSE)
        except OSError:  # not every file system can
            return
        else:
            return


def _summary(name: str, document: Document, matches: Sequence[_Match]) -> str:
    """What was done, with the lines as they are numbered now."""
    places: list[str] = []
    shift = 0
    for match in matches[:LISTED]:
        first = document.line_at(match.span.start) + match.above + shift
        shift += match.growth
        if not match.lines:
            places.append(f"{first} (removed)")
        else:
            places.append(str(first) if match.lines == 1 else f"{first}-{first + match.lines - 1}")
    count = len(matches)
    lines = "line" if count == 1 and matches[0].lines <= 1 else "lines"
    replacements = "1 replacement" if count == 1 else f"{count} replacements"
    text = f"Edited {name}: {replacements}, now at {lines} {listed(places, count)}."
    loosely = sorted({match.index for match in matches if match.loosely})
    if loosely:
        which = f"Edit {listed(loosely, len(loosely))}" if len({match.index for match in matches}) > 1 else "old_string"
        text += f" {which} matched but for how quotes, dashes or blanks are written."
    return text


def _label(index: int, edits: Sequence[OneEdit]) -> str:
    return f"Edit {index}: " if len(edits) > 1 else ""


def _lf(text: str) -> str:
    return text.replace("\r\n", "\n")


@hookimpl
def beyond_tools() -> Iterable[Tool]:
    """Offer `edit`."""
    yield Tool(
        name="edit",
        description="Replace exact text in a file. Each old_string must occur once, unless replace_all.",
        arguments=EditArguments,
        run=edit,
        writes=lambda arguments: str(arguments.path),
    )
