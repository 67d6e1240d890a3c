"""Server-sent events in a piece of a stream, found from either end without splitting the rest.

The format is the WHATWG's: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream.
One departure: an event at the very end counts without its blank line, since providers leave that out.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

_LF: Final = 0x0A
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class Block(NamedTuple):
    """One event's lines.

    `start` is where they begin in the piece. `ended` tells whether a blank line follows them. `cut` is True for the
    first lines of a piece whose beginning is missing: they may begin anywhere, within a line too.
    """

    lines: bytes
    start: int
    ended: bool
    cut: bool

    @property
    def data(self) -> bytes:
        """The event's data, without the line break that ends it; empty for a comment."""
        lines = self.lines
        if lines.startswith(b"data:") and b"\n" not in lines:
            return lines[5:]
        return b"\n".join([line[5:] for line in lines.split(b"\n") if line.startswith(b"data:")])

    @property
    def cut_data(self) -> bytes:
        """The data of a `cut` block, taking its first line for the rest of a data line."""
        first, *others = self.lines.removeprefix(b"data:").split(b"\n")
        return b"\n".join([first, *(line[5:] for line in others if line.startswith(b"data:"))])


class Piece:
    """A piece of an event stream. `cut` says that bytes before it are missing."""

    __slots__ = ("cut", "text")

    def __init__(self, data: bytes, *, cut: bool) -> None:
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n")
            if b"\r" in data:
                data = data.replace(b"\r", b"\n")
        self.text = data if cut else data.removeprefix(_BYTE_ORDER_MARK)
        self.cut = cut

    def backwards(self) -> Iterator[Block]:
        """The blocks from the last to the first."""
        block = self._before(len(self.text))
        while block is not None:
            yield block
            block = self._before(block.start)

    def containing(self, token: bytes, then: re.Pattern[bytes]) -> Iterator[Block]:
        """The blocks in which TOKEN is followed by a match of THEN: from the last to the first."""
        text = self.text
        position = text.rfind(token)
        while position >= 0:
            limit = position
            if then.match(text, position + len(token)):
                end = text.find(b"\n\n", position)
                block = self._before(len(text) if end < 0 else end + 2)
                if block is None:
                    return
                yield block
                limit = block.start
            position = text.rfind(token, 0, limit)

    def forwards(self) -> Iterator[Block]:
        """The blocks from the first to the last."""
        text = self.text
        start = 0
        while start < len(text):
            end = text.find(b"\n\n", start)
            ended = end >= 0
            if not ended:
                end = len(text)
            if end > start:
                yield Block(text[start:end].strip(b"\n"), start, ended, self.cut and start == 0)
            start = end + 2

    def _before(self, end: int) -> Block | None:
        text = self.text
        stop = end
        while stop and text[stop - 1] == _LF:
            stop -= 1
        if not stop:
            return None
        start = text.rfind(b"\n\n", 0, stop) + 2
        if start == 1:
            start = 0
        ended = text.startswith(b"\n\n", stop)
        return Block(text[start:stop], start, ended, self.cut and start == 0)
