r"""The `python` scanner: finds the root member `model` with the standard library's C code, no compiler needed.

A state machine over bytes that never looks at most of them: strings are crossed by `bytes.find`, whole members and
nested values by regular expressions, and Python code runs once for a chunk, a token it must judge, or a border. Time is
linear in the body whatever it holds. What the machine makes of input that is not JSON is fixed too, so that another
scanner can be compared with it:

- Outside strings only `"`, `{`, `}`, `[`, `]` and `,` mean anything, and brackets are counted without matching kinds.
- In the root object a string is a key when it is the first since `{` or `,`; else it is a value, and is taken when the
  last key was `model` and no bracket stood between.
- When the root has closed, the next bracket opens a new one.

The patterns put greedy groups into atomic ones instead of using `(...)*+`: that is broken before Python 3.11.5
(CPython issue 106052).
"""

import re
from collections.abc import Iterable
from enum import Enum, auto
from typing import Final

from beyond_ai import Component, Context, Scanner, ScannerFactory, hookimpl

HELD_BYTES: Final = 256
"""How much is kept of a key or of the value; a longer key cannot match, a longer value is cut."""

_QUOTE: Final = 0x22
_BACKSLASH: Final = 0x5C

_STRING: Final = rb'"(?>[^"]*+(?<!\\)"|(?=[^"]*+")[^"\\]*+(?>(?:\\.[^"\\]*+)*)")'  # mostly the first quote ends it
_DEPTH: Final = 6  # levels of nesting crossed in one call: as many as a tool's schema has


def _contents(levels: int, outside: bytes = rb'[^"{}\[\]]') -> bytes:
    """A pattern for what stands in a container: all complete strings and containers (LEVELS deep), OUTSIDE between."""
    container = rb"|[{\[]%b[}\]]" % _contents(levels - 1) if levels else b""
    return rb"(?>(?:%b*+(?:%b%b))*)%b*+" % (outside, _STRING, container, outside)


_NESTED: Final = re.compile(_contents(_DEPTH), re.DOTALL)
"""Skips values in a container; stops at a bracket that it could not pair, at an open string, or at the end."""

_MEMBERS: Final = re.compile(
    rb'(?>(?:[^"{}\[\]]*+"(?!model")[^"\\]*+"%b,)*)[^"{}\[\]]*+' % _contents(_DEPTH, rb'[^"{}\[\],]')
    + rb'(?:"model"\s*+:\s*+"([^"\\]{0,%d}+)")?' % HELD_BYTES,
    re.DOTALL,
)
"""From where a root key is due: skips complete other members, then takes the model if it comes next and is plain."""

_TOKEN: Final = re.compile(rb'["{}\[\],]')
_START: Final = re.compile(rb'["{\[]')
_REST_OF_STRING: Final = re.compile(rb'[^"\\]*+(?>(?:\\.[^"\\]*+)*)', re.DOTALL)
_ESCAPE: Final = re.compile(rb"\\(.?)", re.DOTALL)


class _String(Enum):
    """What the string that is being read is for."""

    SKIPPED = auto()
    KEY = auto()
    VALUE = auto()


class PythonScanner:
    """Implements the seam `Scanner`; one for each body."""

    __slots__ = ("_depth", "_escaped", "_held", "_is_model", "_key_due", "_string", "_top", "model")

    def __init__(self) -> None:
        self.model: bytes | None = None
        self._depth = 0
        self._top = 0  # the depth that tokens are judged at: 1 in a root object, 0 outside and in a root array
        self._key_due = False
        self._is_model = False
        self._string: _String | None = None
        self._held = b""
        self._escaped = False

    def feed(self, data: bytes) -> None:
        """Look at the next DATA of the body; a no-op once `model` is set."""
        if self.model is not None:
            return
        if self._escaped:
            data, self._escaped = b"\\" + data, False
        size = len(data)
        position = 0 if self._string is None else self._read_string(data, 0)
        while position < size:
            if self._depth > self._top:
                skipped = _NESTED.match(data, position)
                assert skipped is not None
                position = skipped.end()
            elif self._key_due:
                members = _MEMBERS.match(data, position)
                assert members is not None
                if (model := members[1]) is not None:
                    self.model = model
                    return
                position = members.end()
            position = self._read_token(data, position)

    def _read_token(self, data: bytes, position: int) -> int:
        """Find and judge the next token; returns the position after it."""
        found = (_TOKEN if self._depth else _START).search(data, position)
        if found is None:
            return len(data)
        position = found.end()
        token = data[position - 1]
        at_top = self._depth == self._top
        if token == _QUOTE:
            self._held = b""
            if not at_top or self._depth == 0:
                self._string = _String.SKIPPED
            elif self._key_due:
                self._string = _String.KEY
            else:
                self._string = _String.VALUE if self._is_model else _String.SKIPPED
            return self._read_string(data, position)
        if token in b"{[":
            if self._depth == 0:
                self._top = 1 if token == ord("{") else 0
                self._key_due = self._top == 1
            self._is_model = False
            self._depth += 1
        elif token == ord(","):
            if at_top and self._depth == 1:
                self._key_due, self._is_model = True, False
        elif self._depth > 0:
            self._depth -= 1
            if self._depth == 0:
                self._top, self._key_due = 0, False
        return position

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
        if self._string is not _String.SKIPPED:
            held = _ESCAPE.sub(rb"\1", data[position : min(stop, position + 2 * HELD_BYTES)])
            self._held = (self._held + held)[:HELD_BYTES]
        if stop == size or data[stop] == _BACKSLASH:
            self._escaped = stop < size
            return size
        if self._string is _String.KEY:
            self._key_due, self._is_model = False, self._held == b"model"
        elif self._string is _String.VALUE:
            self.model = self._held
            return size
        self._string = None
        return stop + 1


def _create(_context: Context) -> ScannerFactory:
    def scanner() -> Scanner:
        return PythonScanner()

    return ScannerFactory(scanner)


@hookimpl
def beyond_scanners() -> Iterable[Component[ScannerFactory]]:
    """Offer the scanner that always works."""
    yield Component(name="python", summary="pure Python, nothing to compile", create=_create)
