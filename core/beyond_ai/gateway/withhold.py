"""Withholds the one frame of a Chat Completions stream that is there only because the gateway asked for usage.

With `stream_options.include_usage` a stream has one more chunk, before `data: [DONE]`, whose `choices` is empty and
which carries `usage` (https://platform.openai.com/docs/api-reference/chat/create, `stream_options`). Where the client
did not ask for it, it does not see it. What the frame says, read as JSON, decides; never a piece of text in it.
"""

import re
from enum import Enum, auto
from typing import Final

import orjson

MAX_FRAME: Final = 8 * 1024
"""Bytes. A longer frame passes unread: a usage frame takes a few hundred, and what is held is read at each piece."""

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_COLON: Final = 0x3A
_FRAME_ENDS: Final = (b"\n\n", b"\r\n\r\n", b"\r\r")

_EMPTY_ARRAY: Final = re.compile(rb"\[[ \t]*[\]\r\n]")
"""What every usage frame has: an array that is empty, or that goes on in another `data:` line."""
_BLANK_LINE: Final = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
_LINE_END: Final = re.compile(rb"[\r\n]")
_BETWEEN: Final = re.compile(rb"(?>(?:[\r\n]|:[^\r\n]*+[\r\n])*)")
"""What may stand before a frame and is not its own: blank lines and comments."""

_OBJECT: Final = re.compile(rb"\s*+(?:\{|\Z)")
_STRING: Final = re.compile(rb'"[^"\\]*+(?>(?:\\.[^"\\]*+)*)"', re.DOTALL)
_SOME_CHOICES: Final = re.compile(rb'"choices"(?<!\\"choices")\s*+:\s*+(?:\[\s*+[^\]\s]|[^\[\s])')
"""`choices` with the beginning of any value but an empty array. It is a key: strings in JSON hold no bare quote."""


class _Place(Enum):
    """Where in the stream the next byte stands."""

    START = auto()
    """at the first byte, where a byte order mark may be"""
    BETWEEN = auto()
    """at the beginning of a line; no frame has begun"""
    COMMENT = auto()
    """in a comment before a frame"""
    UNDECIDED = auto()
    """in a frame that may be the usage frame"""
    PASSING = auto()
    """in a frame that is not"""


class UsageFrameFilter:
    """Takes usage frames out of one event stream and leaves every other byte as it is, however the stream is cut.

    A frame goes with the blank line that ends it; comments and blank lines before it stay. Nothing else is delayed: of
    a frame that has come in part, only a beginning that may still be a usage frame's is held, at most `MAX_FRAME`.
    The stream must have no content encoding.
    """

    __slots__ = ("_after_cr", "_held", "_last", "_place", "_plain")

    def __init__(self) -> None:
        self._place = _Place.START
        self._plain = False  # between two frames, with nothing to remember
        self._held = b""
        self._last = b""  # the byte before the next, in a frame that is passing
        self._after_cr = False  # a frame was withheld up to a CR, which an LF may belong to

    def feed(self, data: bytes) -> bytes:
        """Take the next DATA of the body, and give what may go on to the client now; mostly DATA itself."""
        if self._plain and _EMPTY_ARRAY.search(data) is None and data.endswith(_FRAME_ENDS):
            return data
        return self._sift(data) if data else data

    def end(self) -> bytes:
        """What was held back, when nothing more comes. A usage frame without its blank line is withheld too."""
        held, self._held = self._held, b""
        return b"" if self._place is _Place.UNDECIDED and _is_usage(held) else held

    def _sift(self, data: bytes) -> bytes:
        if self._after_cr:
            self._after_cr = False
            data = data.removeprefix(b"\n")
        known = len(self._held)
        if known:
            data, self._held = self._held + data, b""
        position = kept = 0  # where to look next; what is before KEPT has been settled
        if self._place is _Place.START:
            if _starts_mark(data):
                self._held = data
                return b""
            self._place = _Place.BETWEEN
            position = len(_BYTE_ORDER_MARK) if data.startswith(_BYTE_ORDER_MARK) else 0
        passed: list[bytes] = []
        while position < len(data):
            if self._place is not _Place.UNDECIDED:
                position = self._pass_on(data, position)
                continue
            blank = _BLANK_LINE.search(data, max(position, known - 1))
            begin, position = position, len(data) if blank is None else blank.end()
            frame = data[begin:position]
            keep = self._hold(frame) if blank is None else self._withhold(frame, last=position == len(data))
            if keep:
                passed.append(data[kept:begin])
                kept = position
        self._plain = self._place is _Place.BETWEEN and not self._after_cr
        if not kept:
            return data
        passed.append(data[kept:])
        return b"".join(passed)

    def _pass_on(self, data: bytes, position: int) -> int:
        """Go over what is not a frame to judge; returns where the next may begin."""
        if self._place is _Place.BETWEEN:
            between = _BETWEEN.match(data, position)
            assert between is not None
            position = between.end()
            if position < len(data):
                self._place = _Place.COMMENT if data[position] == _COLON else _Place.UNDECIDED
            return position
        if self._place is _Place.COMMENT:
            end, before = _LINE_END.search(data, position), 0
        else:
            end, before = _BLANK_LINE.search(self._last + data), len(self._last)
        if end is None:
            self._last = data[-1:]
            return len(data)
        self._place = _Place.BETWEEN
        return end.end() - before

    def _hold(self, frame: bytes) -> bool:
        """Whether FRAME, of which more is to come, is held; if not, it passes to its end."""
        if len(frame) <= MAX_FRAME and _may_be_usage(_data(frame)):
            self._held = frame
            return True
        self._place = _Place.PASSING
        self._last = frame[-1:]
        return False

    def _withhold(self, frame: bytes, *, last: bool) -> bool:
        """Whether FRAME, which is complete, is withheld; LAST is whether nothing has come after it yet."""
        self._place = _Place.BETWEEN
        usage = _is_usage(frame)
        self._after_cr = usage and last and frame.endswith(b"\r")
        return usage


def _starts_mark(data: bytes) -> bool:
    """Whether DATA, a stream's first bytes, is a part of a byte order mark that may become a whole one."""
    return len(data) < len(_BYTE_ORDER_MARK) and _BYTE_ORDER_MARK.startswith(data)


def _is_usage(frame: bytes) -> bool:
    """Whether FRAME, which is complete, is a chunk with empty `choices` and a usage object."""
    if len(frame) > MAX_FRAME or _EMPTY_ARRAY.search(frame) is None:
        return False
    data = _data(frame)
    try:
        event: object = orjson.loads(data)
    except ValueError:
        return False
    if not isinstance(event, dict) or event.get("choices") != [] or not isinstance(event.get("usage"), dict):
        return False
    return _may_be_usage(data)  # false for repeated `choices`: a frame that came in part may have passed by now


def _may_be_usage(data: bytes) -> bool:
    """Whether an event whose data begins with DATA may turn out to be a usage frame. Once it cannot, it never can."""
    if _OBJECT.match(data) is None:
        return False
    return all(_depth(data[: found.start()]) != 1 for found in _SOME_CHOICES.finditer(data))


def _data(frame: bytes) -> bytes:
    """The data of FRAME's event (https://html.spec.whatwg.org/multipage/server-sent-events.html), space kept."""
    return b"\n".join([line[5:] for line in frame.splitlines() if line.startswith(b"data:")])


def _depth(text: bytes) -> int:
    """How many brackets are open after TEXT, the beginning of a JSON document that ends outside its strings."""
    bare = _STRING.sub(b"", text)
    return bare.count(b"{") + bare.count(b"[") - bare.count(b"}") - bare.count(b"]")
