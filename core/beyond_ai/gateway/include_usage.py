"""Asks for usage on the client's behalf: `stream_options.include_usage` is made true in a Chat Completions stream.

Without it a stream says nothing of its tokens (https://platform.openai.com/docs/api-reference/chat/create,
`stream_options`). The body is not parsed and written anew: bytes are spliced in, and every other byte, the order of
keys and the spacing stay as the client sent them, since prompt caches and strict schemas depend on them.
"""

import json
import re
import sys
from collections.abc import Iterator
from typing import Final

from beyond_ai.spec.scanner import OPTIONS_KEPT, Scanner

HOLD_BYTES: Final = 16 * 1024
"""A bound on what is held of a body that is streamed: options take less than a hundred bytes."""

_MEMBER: Final = b'"include_usage":true'
_OPTIONS: Final = b"{" + _MEMBER + b"}"
_APPENDED: Final = b',"stream_options":' + _OPTIONS

_ASKS: Final = re.compile(rb'\{[ \t\r\n]*+"include_usage"[ \t\r\n]*+:[ \t\r\n]*+true[ \t\r\n]*+\}')
"""How nearly every client asks."""
_SPACE: Final = re.compile(r"[ \t\r\n]*+")
_COLON: Final = re.compile(r"[ \t\r\n]*+:[ \t\r\n]*+")
_NEXT: Final = re.compile(r"[ \t\r\n]*+([,}])[ \t\r\n]*+")
_DECODER: Final = json.JSONDecoder(parse_int=str, parse_float=str, strict=False)
"""Reads whatever some provider may read; numbers of any length, since they do not matter here."""


class UsageForcer:
    """Makes one request body ask for usage if it asks for a stream; any other stays as it is, byte for byte.

    A value of `stream_options` that does not ask is held back, with what follows it, until the root object ends: only
    then is it known whether there is a stream, since of repeated members the last counts. The output does not depend
    on where the body is cut, and a body that is cut off, or whose options are no JSON, stays as it is. What else may
    be wrong with a body is not looked for: it may be changed, and the provider still finds what is wrong.

    HOLD bounds what is held, in bytes, for a body that is streamed. Past it, what is not known yet is settled so:

    - an object is forced unless `stream` is false so far: providers refuse these options without a stream;
    - any other value is forced only if `stream` is true so far: many clients write null for what they do not use;
    - what was not forced, and a value that is itself longer than HOLD, goes up as it is, and if there turns out to be
      a stream, a second `stream_options` at the end overrules it.

    The last is done as well, whatever HOLD, with a value that is nested too deeply to read.
    """

    __slots__ = ("_asked", "_base", "_done", "_fed", "_held", "_hold", "_lacking", "_read", "_scanner", "added")

    def __init__(self, scanner: Scanner, hold: int | None = None) -> None:
        """SCANNER is fed here and must not have been before; HOLD of None is no bound, for a body collected anyway."""
        self.added = False
        """Whether it is a stream whose client did not ask for usage, so that the frame with it is to be withheld.

        Known once the root object has ended, or once HOLD is passed. False where the client's wish cannot be read."""
        self._scanner = scanner
        self._hold = sys.maxsize if hold is None else hold
        self._fed = 0
        self._read = 0  # how many of the scanner's options are settled
        self._held: list[bytes] = []
        self._base = 0  # where the first byte that is held stands in the body
        self._asked: bool | None = False  # what the client wrote last; None when that cannot be read
        self._lacking = True  # what went up last does not ask for usage
        self._done = False

    def feed(self, data: bytes) -> bytes:
        """Take the next DATA of the body, and give what may go up by now; DATA itself where nothing changes."""
        scanner = self._scanner
        scanner.feed(data)
        start = self._fed
        self._fed = start + len(data)
        if self._done:
            return data
        if scanner.root_end >= 0:
            return self._close(data, start)
        # An open value that began in what has gone up is one too long to hold.
        if not self._held and scanner.open_option < start and len(scanner.options) == self._read:
            return data
        return self._hold_back(data, start)

    def end(self) -> bytes:
        """What was held back, when nothing more comes."""
        held, self._held = self._held, []
        return b"".join(held)

    def _close(self, data: bytes, start: int) -> bytes:
        """Settle everything, now that the root object has ended in DATA, which begins at START."""
        self._done = True
        base = start
        if self._held:
            base, data = self._base, b"".join([*self._held, data])
            self._held = []
        scanner = self._scanner
        if not scanner.stream:
            self.added = False
            return data
        after = len(data) - (scanner.root_end - base)
        if scanner.options:
            data = self._force(data, base)
        if len(scanner.options) >= OPTIONS_KEPT:
            self._asked, self._lacking = None, True  # there may be more of them, and of all the last counts
        self.added = self._asked is False
        if not self._lacking:
            return data
        brace = len(data) - after
        return b"".join((data[:brace], _APPENDED, data[brace:]))

    def _hold_back(self, data: bytes, start: int) -> bytes:
        """Hold DATA, which begins at START, from the first value on that may have to change."""
        passed = b""
        if not self._held:
            self._base = self._first_doubtful(data, start)
            if self._base < 0:
                return data
            passed, data = data[: self._base - start], data[self._base - start :]
        self._held.append(data)
        if self._fed - self._base <= self._hold:
            return passed
        held, self._held = b"".join(self._held), []
        opened = self._scanner.open_option
        too_long = self._fed - opened > self._hold
        border = len(held) if opened < 0 or too_long else opened - self._base
        passed += self._force(held[:border], self._base)
        if self._done:
            return passed + held[border:]
        if opened >= 0 and too_long:
            self._asked, self._lacking = None, True
        if border < len(held):
            self._held.append(held[border:])
            self._base += border
        self.added = self._scanner.stream is True and self._asked is False
        return passed

    def _first_doubtful(self, data: bytes, start: int) -> int:
        """Where the first value in DATA, which begins at START, is that is open or does not ask; -1 if none is."""
        for begin, end in self._scanner.options[self._read :]:
            if begin >= start:  # not the end of one too long to hold
                if _ASKS.fullmatch(data, begin - start, end - start) is None:
                    return begin
                self._asked, self._lacking = True, False
            self._read += 1
        opened = self._scanner.open_option
        return opened if opened >= start else -1

    def _force(self, body: bytes, base: int) -> bytes:
        """Make the complete values in BODY, which begins at BASE, ask for usage."""
        options = self._scanner.options
        pieces: list[bytes] = []
        copied = 0
        for offset, after in options[self._read :]:
            begin, end = offset - base, after - base
            if begin < 0:  # it was too long to hold
                continue
            value = body[begin:end]
            try:
                forced, self._asked = _asking(value)
            except ValueError:
                self._done, self._asked, self._lacking = True, None, False
                return body
            except RecursionError:
                forced, self._asked = value, None
            self._lacking = self._asked is None or (forced is not value and self._may_stay(value))
            if forced is not value and not self._lacking:
                pieces += (body[copied:begin], forced)
                copied = end
        self._read = len(options)
        if not pieces:
            return body
        pieces.append(body[copied:])
        return b"".join(pieces)

    def _may_stay(self, value: bytes) -> bool:
        """Whether VALUE stays for now, although it goes up before it is known if there is a stream."""
        stream = self._scanner.stream
        return stream is False or (stream is None and not value.startswith(b"{"))


def _asking(value: bytes) -> tuple[bytes, bool]:
    """VALUE of `stream_options` made to ask for usage, itself if it does; and whether its last word was to ask.

    Raises ValueError where it is no JSON, RecursionError where it is nested too deeply.
    """
    if _ASKS.fullmatch(value):
        return value, True
    text = value.decode("latin-1")  # one character a byte: offsets stay
    if not text.startswith("{"):
        if _DECODER.raw_decode(text)[1] < len(text):
            raise ValueError("more than one value")
        return _OPTIONS, False
    asked: bool | None = None
    pieces: list[bytes] = []
    copied = 1
    empty = True
    for name, item, begin, end in _members(text):
        empty = False
        if name == "include_usage":
            asked = item is True
            if not asked:
                pieces += (value[copied:begin], b"true")
                copied = end
    if asked is None:
        pieces.append(_MEMBER if empty else _MEMBER + b",")
    if not pieces:
        return value, True
    return b"".join((b"{", *pieces, value[copied:])), asked is True


def _members(text: str) -> Iterator[tuple[str, object, int, int]]:
    """Name, value, and the value's start and end, of each member of the object TEXT. Raises like `_asking`."""
    space = _SPACE.match(text, 1)
    assert space is not None
    position = space.end()
    if text[position:] == "}":
        return
    while text.startswith('"', position):
        name, position = _DECODER.raw_decode(text, position)
        colon = _COLON.match(text, position)
        if colon is None:
            break
        begin = colon.end()
        value, end = _DECODER.raw_decode(text, begin)
        yield name, value, begin, end
        following = _NEXT.match(text, end)
        if following is None:
            break
        position = following.end()
        if following[1] == "}":
            if position < len(text):
                break
            return
    raise ValueError("not an object")
