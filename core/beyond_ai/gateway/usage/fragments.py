"""JSON documents of which only one end is there: a member is found by the document's structure all the same.

In JSON a quote within a string is always escaped. So `"usage"` with a bare quote at its front is a whole string, never
text within one, wherever a fragment was cut; followed by a colon it is a key; and from there to the end that is known,
strings can be told from brackets, which gives the key's depth. That depth keeps apart what the provider wrote at the
top and what a client may have put deeper (a tool's schema that has a property named `usage`).
"""

import json
import re
from typing import Final

import orjson

_STRING: Final = re.compile(rb'"[^"\\]*+(?>(?:\\.[^"\\]*+)*)"', re.DOTALL)
"""An atomic group instead of `(...)*+`, which is broken before Python 3.11.5 (CPython issue 106052)."""
_COLON: Final = re.compile(rb"[ \t\r\n]*+:[ \t\r\n]*+")
_NUMBER: Final = re.compile(rb"-?[0-9]++(?>(?:\.[0-9]++)?)(?>(?:[eE][+-]?[0-9]++)?)")
_SPACE: Final = b" \t\r\n"
_BACKSLASH: Final = 0x5C
_DECODER: Final = json.JSONDecoder()


def load_object(data: bytes) -> dict[str, object] | None:
    """DATA as one JSON object; None when it is anything else."""
    try:
        value: object = orjson.loads(data)
    except ValueError:
        # The standard library also takes lone surrogates, which models do write, and broken UTF-8.
        try:
            value = json.loads(data.decode("utf-8-sig", "replace"))
        except (ValueError, RecursionError):
            return None
    return value if isinstance(value, dict) else None


def member_from_end(fragment: bytes, name: str, depth: int) -> object:
    """The value of the last member NAME at DEPTH (1 is the root) of an object of which FRAGMENT is the end.

    None when there is none. The caller must know that FRAGMENT's end is the document's.
    """
    token = b'"%b"' % name.encode("ascii")
    border = len(fragment)
    if not fragment.rstrip(_SPACE).endswith(b"}"):
        return None
    level = 0
    position = fragment.rfind(token)
    while position >= 0:
        if _is_string(fragment, position):
            level -= _nesting(fragment[position:border])
            border = position
            if level == depth:
                found, value = _value_after(fragment, position + len(token))
                if found:
                    return value
        position = fragment.rfind(token, 0, position)
    return None


def member_from_start(fragment: bytes, name: str, depth: int) -> object:
    """The value of the first member NAME at DEPTH (1 is the root) of an object of which FRAGMENT is the beginning.

    None when there is none, or its value is not there whole.
    """
    token = b'"%b"' % name.encode("ascii")
    if not fragment.lstrip(_SPACE).startswith(b"{"):
        return None
    border = level = 0
    position = fragment.find(token)
    while position >= 0:
        if _is_string(fragment, position):
            level += _nesting(fragment[border:position])
            border = position
            if level == depth:
                found, value = _value_after(fragment, position + len(token))
                if found:
                    return value
        position = fragment.find(token, position + 1)
    return None


def number_text(fragment: bytes, name: str, value: float) -> str | None:
    """How FRAGMENT writes VALUE, the number that is known to be a member NAME; None when it does not."""
    token = b'"%b"' % name.encode("ascii")
    position = fragment.rfind(token)
    while position >= 0:
        colon = _COLON.match(fragment, position + len(token))
        number = _NUMBER.match(fragment, colon.end()) if colon is not None else None
        if number is not None and float(number[0]) == value:
            return number[0].decode("ascii")
        position = fragment.rfind(token, 0, position)
    return None


def _is_string(fragment: bytes, position: int) -> bool:
    """Whether the quote at POSITION begins a string. No backslash stands before such a quote: those are in strings."""
    return position == 0 or fragment[position - 1] != _BACKSLASH


def _nesting(text: bytes) -> int:
    """How many levels deeper JSON is after TEXT, which begins and ends between tokens."""
    bare = _STRING.sub(b"", text)
    return bare.count(b"{") + bare.count(b"[") - bare.count(b"}") - bare.count(b"]")


def _value_after(fragment: bytes, position: int) -> tuple[bool, object]:
    """The value after the key that ends at POSITION, if it is a key and its value is there whole."""
    colon = _COLON.match(fragment, position)
    if colon is None:
        return False, None
    text = fragment[colon.end() :].decode("utf-8", "replace")
    try:
        value, _ = _DECODER.raw_decode(text)
    except (ValueError, RecursionError):
        return False, None
    return True, value
