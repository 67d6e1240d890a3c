"""A file as a search sees it: its lines, unless it is binary."""

import codecs
from collections.abc import Iterator
from typing import BinaryIO, Final

_BOMS: Final = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
CHUNK: Final = 1 << 20
WHOLE: Final = 32 << 20
"""Bytes of a file that is read in one piece."""


class BinaryFile(Exception):  # noqa: N818 - what it is, and no error
    """There is a NUL byte in it."""


def is_text(file: BinaryIO) -> bool:
    """Whether FILE has lines to search."""
    if _encoding(file)[1] != "utf-8":
        return "\0" not in _decoded(file)
    file.seek(0)
    return all(b"\0" not in chunk for chunk in iter(lambda: file.read(CHUNK), b""))


def lines(file: BinaryIO) -> Iterator[str]:
    """The lines of FILE, without their LF or CRLF; what is not UTF-8 as lone surrogates. Raises BinaryFile.

    UTF-16 is read too, where a byte order mark says so.
    """
    mark, encoding = _encoding(file)
    if encoding != "utf-8":
        yield from _split(_decoded(file))
        return
    file.seek(len(mark))
    for line in file:
        if b"\0" in line:
            raise BinaryFile
        yield line.rstrip(b"\n").removesuffix(b"\r").decode(errors="surrogateescape")


def _encoding(file: BinaryIO) -> tuple[bytes, str]:
    """The byte order mark of FILE, and its encoding."""
    file.seek(0)
    start = file.read(3)
    return next(((mark, encoding) for mark, encoding in _BOMS if start.startswith(mark)), (b"", "utf-8"))


def _decoded(file: BinaryIO) -> str:
    mark, encoding = _encoding(file)
    file.seek(len(mark))
    return file.read().decode(encoding, errors="replace")


def _split(text: str) -> Iterator[str]:
    if "\0" in text:
        raise BinaryFile
    parts = text.split("\n")
    if not parts[-1]:
        parts.pop()
    for part in parts:
        yield part.removesuffix("\r")
