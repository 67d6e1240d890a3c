"""A text file as a model sees it, and the way back: a byte order mark and line ends come back as the file had them."""

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_LF: Final = re.compile("\n")
_BOM: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Change:
    """Characters `start` to `end` of a document's text become `text`, which has LF line ends."""

    start: int
    end: int
    text: str


class Document:
    """The file whose content is DATA. Raises UnicodeDecodeError where that is not UTF-8.

    Attributes:
        text: without a byte order mark, and with LF for every CR LF. A CR by itself stays.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._bom = _BOM if data.startswith(_BOM) else b""
        self._original = data[len(self._bom) :].decode()
        self.text = self._original.replace("\r\n", "\n")
        # where in `text` the LF stands that was CR LF
        self._crlf = (
            [match.start() - index for index, match in enumerate(re.finditer("\r\n", self._original))]
            if len(self.text) != len(self._original)
            else []
        )

    def line_at(self, position: int) -> int:
        """Number of the line that the character at POSITION is in; from 1."""
        return self.text.count("\n", 0, position) + 1

    def changed(self, changes: Sequence[Change]) -> bytes:
        """The file with CHANGES made, which are in order and do not overlap; every other byte stays."""
        parts: list[str] = []
        done = 0
        for change in changes:
            start = self._original_position(change.start)
            parts += (self._original[done:start], self._with_line_ends(change))
            done = self._original_position(change.end)
        parts.append(self._original[done:])
        return self._bom + "".join(parts).encode()

    def _original_position(self, position: int) -> int:
        return position + bisect_left(self._crlf, position)

    def _with_line_ends(self, change: Change) -> str:
        """The new text, each line ending as the one whose place it takes; a further one as the last of them."""
        if not self._crlf or "\n" not in change.text:
            return change.text
        replaced = _LF.finditer(self.text, change.start, change.end)
        ends = [self._line_end(match.start()) for match in replaced]
        ends = ends or [self._line_end(self._nearest_line_end(change))]
        first, *lines = change.text.split("\n")
        ends += ends[-1:] * (len(lines) - len(ends))
        return first + "".join(end + line for end, line in zip(ends, lines, strict=False))

    def _nearest_line_end(self, change: Change) -> int:
        """Where the line ends in which CHANGE is; of the last line, which may have no end, the one before."""
        below = self.text.find("\n", change.end)
        return below if below >= 0 else self.text.rfind("\n", 0, change.start)

    def _line_end(self, position: int) -> str:
        index = bisect_left(self._crlf, position)
        return "\r\n" if index < len(self._crlf) and self._crlf[index] == position else "\n"
