"""Request heads that are recognised by their bytes.

A client sends the same head over and over on a kept connection, but for the length of its body. One that was parsed
and admitted before needs neither again: nothing in it can have changed. What may change with time, whether the key is
still good, is asked each time.
"""

import re
from typing import Final

from beyond_ai.gateway.admission import Ticket

MAX_KNOWN: Final = 4096
"""Bytes of a head that is remembered; usual ones take 200 to 1,500."""
_MAX_DIGITS: Final = 12

_CONTENT_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,%d})\r\n" % _MAX_DIGITS, re.IGNORECASE)
_NAME: Final = re.compile(rb"\r\ncontent-length[ \t]*:", re.IGNORECASE)


class KnownHead:
    """The head of an admitted request: `ticket` is how it was admitted, `content_length` the last one's, in bytes."""

    __slots__ = ("_head", "_prefix", "_size", "_suffix", "content_length", "dialect", "ticket")

    def __init__(self, ticket: Ticket, head: bytes, start: int, end: int, content_length: int) -> None:
        """HEAD ends with its blank line; CONTENT_LENGTH stands in it from START to END."""
        self.ticket = ticket
        self.dialect = ticket.route.dialect
        self.content_length = content_length
        self._head = head
        self._size = len(head)
        self._prefix = head[:start]
        self._suffix = head[end:]

    def match(self, data: bytes) -> int:
        """The length of the head that DATA begins with if it is this one, with any content length; else 0."""
        if data.startswith(self._head):
            return self._size
        prefix = self._prefix
        if not data.startswith(prefix):
            return 0
        start = len(prefix)
        end = data.find(b"\r", start, start + _MAX_DIGITS + 1)
        digits = data[start:end] if end > 0 else b""
        if not digits.isdigit() or not data.startswith(self._suffix, end):
            return 0
        self.content_length = int(digits)
        self._size = end + len(self._suffix)
        self._head = data[: self._size]
        return self._size


def known_head(ticket: Ticket, data: bytes) -> KnownHead | None:
    """The head that DATA, read at once, begins with, admitted as TICKET; None for one that is not worth remembering.

    Its body must be framed by a content length and nothing else, and it must keep the connection.
    """
    request = ticket.request
    length = request.content_length
    if length is None or request.chunked or request.expects_continue or request.http10 or not request.keep_alive:
        return None
    end = data.find(b"\r\n\r\n", 0, MAX_KNOWN)
    if end < 0:
        return None
    head = data[: end + 4]
    found = _CONTENT_LENGTH.search(head)
    if found is None or int(found[1]) != length or len(_NAME.findall(head)) > 1:
        return None
    return KnownHead(ticket, head, found.start(1), found.end(1), length)
