r"""The machine: reads a body's root with the standard library's C code, no compiler needed.

A state machine over bytes that never looks at most of them: strings are crossed by `bytes.find`, whole members and
nested values by regular expressions, and Python code runs once for a chunk, a member it wants, a token it must judge,
or a border. Time is linear in the body whatever it holds. What the machine makes of input that is not JSON is fixed
too, so that another scanner can be compared with it:

- Outside strings only `"`, `{`, `}`, `[`, `]` and `,` mean anything, and brackets are counted without matching kinds.
- In the root object a string is a key when it is the first since `{` or `,`; else it is a value, and is taken when the
  last key was `model` and no bracket stood between.
- The value of `stream` or `stream_options` is all from the first byte after the key that is neither white space nor a
  colon up to the `,` or closing bracket in the root, white space before that excluded; if that is nothing, there is no
  value.
- When the root has closed, the next bracket opens a new one.

The patterns put greedy groups into atomic ones instead of using `(...)*+`: that is broken before Python 3.11.5
(CPython issue 106052).
"""

import re
from collections.abc import Sequence
from enum import Enum, auto
from string import ascii_letters
from typing import Final

from beyond_ai.spec.scanner import OPTIONS_KEPT

MODEL_BYTES: Final = 256
"""How much is kept of the model's name; a longer one is cut."""
KEY_BYTES: Final = 84
r"""How long a key can be that matches: `stream_options` with each letter written as `\uXXXX`."""
UNCOUNTED_BYTES: Final = 16 * 1024
"""How long a chunk may be whose words are counted later, if somebody asks."""

_COUNTED_AT_ONCE: Final = 64 * 1024
_QUOTE: Final = 0x22
_COMMA: Final = 0x2C
_BACKSLASH: Final = 0x5C
_SPACE: Final = b" \t\r\n"
_LETTERS: Final = bytes.maketrans(ascii_letters.encode(), b"a" * 52)
"""Makes each ASCII letter an `a`."""

_STRING: Final = rb'"(?>[^"]*+(?<!\\)"|(?=[^"]*+")[^"\\]*+(?>(?:\\.[^"\\]*+)*)")'  # mostly the first quote ends it
_DEPTH: Final = 6  # levels of nesting crossed in one call: as many as a tool's schema has


def _contents(levels: int, outside: bytes = rb'[^"{}\[\]]') -> bytes:
    """A pattern for what stands in a container: all complete strings and containers (LEVELS deep), OUTSIDE between."""
    container = rb"|[{\[]%b[}\]]" % _contents(levels - 1) if levels else b""
    return rb"(?>(?:%b*+(?:%b%b))*)%b*+" % (outside, _STRING, container, outside)


_NESTED: Final = re.compile(_contents(_DEPTH), re.DOTALL)
"""Skips values in a container; stops at a bracket that it could not pair, at an open string, or at the end."""

_MEMBERS: Final = re.compile(
    # whole members with other names
    rb'(?>(?:[^"{}\[\]]*+"(?!model"|stream(?:_options)?")[^"\\]*+"%b,)*)[^"{}\[\]]*+'
    % _contents(_DEPTH, rb'[^"{}\[\],]')
    # then one of ours, with the comma or bracket that ends it
    + rb'(?:"(?:model"[\s:]*+"(?P<model>[^"\\]{0,%d}+)"' % MODEL_BYTES
    + rb'|stream"[ \t\r\n:]*+(?P<stream>true|false)'
    + rb'|stream_options"[ \t\r\n:]*+(?P<options>[^"{}\[\], \t\r\n:]++|[{\[]%b[}\]]))' % _contents(1)
    + rb"[ \t\r\n]*+[,}\]])?",
    re.DOTALL,
)
"""From where a root key is due: skips complete other members, then reads one of ours if it comes next and is plain."""

_TOKEN: Final = re.compile(rb'["{}\[\],]')
_START: Final = re.compile(rb'["{\[]')
_REST_OF_STRING: Final = re.compile(rb'[^"\\]*+(?>(?:\\.[^"\\]*+)*)', re.DOTALL)
_SEPARATOR: Final = re.compile(rb"[ \t\r\n:]*+")
_ESCAPE: Final = re.compile(rb"\\(.?)", re.DOTALL)
_ESCAPED_ASCII: Final = re.compile(rb"\\u00([0-7][0-9A-Fa-f])")


class _String(Enum):
    """What the string that is being read is for."""

    SKIPPED = auto()
    KEY = auto()
    VALUE = auto()


class _Member(Enum):
    """Whose value is due or being read."""

    OTHER = auto()
    MODEL = auto()
    STREAM = auto()
    OPTIONS = auto()


_NAMES: Final = {b"model": _Member.MODEL, b"stream": _Member.STREAM, b"stream_options": _Member.OPTIONS}
_LITERALS: Final = {(b"true", 4): True, (b"false", 5): False}


def _named(key: bytes) -> _Member:
    """The member that KEY names, as it stands between its quotes."""
    member = _NAMES.get(key, _Member.OTHER)
    if member is _Member.OTHER and b"\\" in key:
        if _ESCAPE.sub(rb"\1", key) == b"model":
            return _Member.MODEL
        member = _NAMES.get(_ESCAPED_ASCII.sub(lambda found: bytes((int(found[1], 16),)), key), _Member.OTHER)
        if member is _Member.MODEL:  # only dropping backslashes makes this one
            return _Member.OTHER
    return member


class PythonScanner:
    """Implements the seam `Scanner`; one for each body."""

    __slots__ = (
        "_base",
        "_counted",
        "_depth",
        "_escaped",
        "_fed",
        "_held",
        "_key_due",
        "_last",
        "_literal",
        "_member",
        "_roots",
        "_string",
        "_top",
        "_uncounted",
        "_value_due",
        "_value_end",
        "_value_start",
        "model",
        "options",
        "root_empty",
        "root_end",
        "stream",
    )

    def __init__(self) -> None:
        self.model: bytes | None = None
        self.stream: bool | None = None
        self.options: Sequence[tuple[int, int]] = ()
        self.root_end = -1
        self.root_empty = True
        self._fed = 0
        self._base = 0  # where the data that is being read begins in the body
        self._depth = 0
        self._top = 0  # the depth that tokens are judged at: 1 in a root object, 0 outside and in a root array
        self._roots = 0
        self._key_due = False
        self._member = _Member.OTHER
        self._value_due = False  # nothing but white space and colons yet after the key
        self._value_start = -1  # where the value of `stream` or `stream_options` begins; -1 while there is none
        self._value_end = -1  # after its last byte so far that is no white space
        self._literal = b""  # how it begins
        self._string: _String | None = None
        self._held = b""
        self._escaped = False
        self._counted = 0
        self._uncounted = b""
        self._last = b""  # the byte before

    @property
    def open_option(self) -> int:
        """See the seam."""
        return self._value_start if self._member is _Member.OPTIONS else -1

    @property
    def words(self) -> int:
        """See the seam. Counted when asked: for a small body that takes as long as all the rest."""
        self._count(self._uncounted)
        self._uncounted = b""
        return self._counted

    def feed(self, data: bytes) -> None:
        """Look at the next DATA of the body."""
        if self._uncounted:
            self._count(self._uncounted)
        if len(data) <= UNCOUNTED_BYTES:
            self._uncounted = data
        else:
            self._uncounted = b""
            self._count(data)
        self._base = self._fed
        self._fed += len(data)
        if self._escaped:
            data, self._escaped = b"\\" + data, False
            self._base -= 1
        self._scan(data)
        if self._value_start >= 0:
            self._read_value(data, len(data))

    def _count(self, data: bytes) -> None:
        """Count the words of DATA, which follows what was counted before."""
        for start in range(0, len(data), _COUNTED_AT_ONCE):
            piece = self._last + data[start : start + _COUNTED_AT_ONCE]
            self._counted += piece.translate(_LETTERS).count(b"a ")
            self._last = piece[-1:]

    def _scan(self, data: bytes) -> None:
        size = len(data)
        position = 0 if self._string is None else self._read_string(data, 0)
        if self._value_due:
            self._seek_value(data, position)
        while position < size:
            if self._depth > self._top:
                skipped = _NESTED.match(data, position)
                assert skipped is not None
                position = skipped.end()
            elif self._key_due:
                members = _MEMBERS.match(data, position)
                assert members is not None
                if self.root_empty and self._roots == 1:
                    self.root_empty = data.find(b'"', position, members.end()) < 0
                position = members.end()
                if members.lastgroup is not None:
                    self._take(members)
                    if data[position - 1] != _COMMA:
                        self._close_root(position - 1)
                    continue
            position = self._read_token(data, position)

    def _take(self, members: re.Match[bytes]) -> None:
        """Take the member that was read at once."""
        name = members.lastgroup
        if name == "model":
            if self.model is None:
                self.model = members["model"]
        elif self._roots == 1:
            if name == "stream":
                self.stream = members["stream"] == b"true"
            else:
                start, end = members.span("options")
                self._add_option(self._base + start, self._base + end)

    def _add_option(self, start: int, end: int) -> None:
        if len(self.options) < OPTIONS_KEPT:
            self.options = (*self.options, (start, end))

    def _read_token(self, data: bytes, position: int) -> int:
        """Find and judge the next token; returns the position after it."""
        found = (_TOKEN if self._depth else _START).search(data, position)
        if found is None:
            return len(data)
        position = found.end()
        token = data[position - 1]
        if token == _QUOTE:
            return self._open_string(data, position)
        if token in b"{[":
            if self._depth == 0:
                self._top = 1 if token == ord("{") else 0
                self._key_due = self._top == 1
                self._roots += 1
            if self._member is _Member.MODEL:
                self._member = _Member.OTHER
            self._depth += 1
        elif token == _COMMA:
            if self._depth == self._top == 1:
                self._end_member(data, position - 1)
                self._key_due = True
        elif self._depth > 1:
            self._depth -= 1
        elif self._depth == 1:
            self._end_member(data, position - 1)
            self._close_root(position - 1)
        return position

    def _close_root(self, position: int) -> None:
        if self._roots == self._top == 1:
            self.root_end = self._base + position
        self._depth = self._top = 0
        self._key_due = False

    def _open_string(self, data: bytes, position: int) -> int:
        """Read the string whose contents begin at POSITION; returns like `_read_string`."""
        self._held = b""
        self._string = _String.SKIPPED
        if self._depth == self._top == 1:
            if self._key_due:
                self._string = _String.KEY
                if self._roots == 1:
                    self.root_empty = False
            elif self._member is _Member.MODEL and self.model is None:
                self._string = _String.VALUE
        return self._read_string(data, position)

    def _read_string(self, data: bytes, position: int) -> int:
        """Read on in a string from POSITION; returns the position after its closing quote, or the end of DATA."""
        size = len(data)
        stop = data.find(b'"', position)
        if stop < 0:
            backslashes = size - max(position, len(data.rstrip(b"\\")))
            stop = size - backslashes % 2
        elif stop > position and data[stop - 1] == _BACKSLASH:
            rest = _REST_OF_STRING.match(data, position)
            assert rest is not None
            stop = rest.end()
        if self._string is _String.KEY:
            self._held = (self._held + data[position : min(stop, position + KEY_BYTES + 1)])[: KEY_BYTES + 1]
        elif self._string is _String.VALUE:
            held = _ESCAPE.sub(rb"\1", data[position : min(stop, position + 2 * MODEL_BYTES)])
            self._held = (self._held + held)[:MODEL_BYTES]
        if stop == size or data[stop] == _BACKSLASH:
            self._escaped = stop < size
            return size
        if self._string is _String.KEY:
            self._end_key(data, stop + 1)
        elif self._string is _String.VALUE:
            self.model = self._held
        self._string = None
        return stop + 1

    def _end_key(self, data: bytes, position: int) -> None:
        """Read the key that is held; what follows it begins at POSITION."""
        self._key_due = False
        self._member = _named(self._held)
        if self._member is _Member.STREAM or self._member is _Member.OPTIONS:
            if self._roots == 1:
                self._seek_value(data, position)
            else:
                self._member = _Member.OTHER

    def _seek_value(self, data: bytes, position: int) -> None:
        """Find where the value begins, from POSITION on."""
        separator = _SEPARATOR.match(data, position)
        assert separator is not None
        position = separator.end()
        self._value_due = position == len(data)
        if not self._value_due and data[position] not in b",}]":
            self._value_start = self._base + position
            self._literal = b""

    def _read_value(self, data: bytes, end: int) -> None:
        """Take in what DATA has of the value, up to END."""
        start = max(self._value_start - self._base, 0)
        text = data[start:end].rstrip(_SPACE)
        if text:
            self._value_end = self._base + start + len(text)
        self._literal += data[start : min(end, start + 5 - len(self._literal))]

    def _end_member(self, data: bytes, position: int) -> None:
        """End the member of the root that is open, if any, at the comma or bracket at POSITION."""
        if self._member is _Member.OTHER:
            return
        if self._value_start >= 0:
            self._read_value(data, position)
        if self._member is _Member.STREAM:
            length = self._value_end - self._value_start
            self.stream = _LITERALS.get((self._literal[:length], length)) if self._value_start >= 0 else None
        elif self._member is _Member.OPTIONS and self._value_start >= 0:
            self._add_option(self._value_start, self._value_end)
        self._member = _Member.OTHER
        self._value_start = -1
        self._value_due = False
