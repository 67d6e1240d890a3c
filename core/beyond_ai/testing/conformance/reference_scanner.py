"""The rules of the scanners, one byte at a time, as plainly as they can be written; and what there is to compare."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from beyond_ai.spec.scanner import Scanner

WHITE_SPACE = b" \t\r\n"
LETTERS = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True)
class Reading:
    """All that a scanner says of a body."""

    model: bytes | None
    stream: bool | None
    options: tuple[tuple[int, int], ...]
    open_option: int
    root_end: int
    root_empty: bool
    words: int


def reading(scanner: Scanner) -> Reading:
    """All that SCANNER says now."""
    return Reading(
        scanner.model,
        scanner.stream,
        tuple(scanner.options),
        scanner.open_option,
        scanner.root_end,
        scanner.root_empty,
        scanner.words,
    )


def read(scanner: Scanner, chunks: Iterable[bytes]) -> Reading:
    """Feed CHUNKS to SCANNER; all that it says then."""
    for chunk in chunks:
        scanner.feed(chunk)
    return reading(scanner)


def named(key: bytes) -> str:
    """The member that KEY, as it was written, is for."""
    dropped, at = b"", 0
    while at < len(key):
        at += key[at : at + 1] == b"\\"
        dropped += key[at : at + 1]
        at += 1
    if dropped == b"model":
        return "model"
    try:
        decoded = json.loads(b'"' + key + b'"')
    except ValueError:  # or it is no UTF-8
        return ""
    return decoded if decoded in ("stream", "stream_options") else ""


class ByteScanner:
    """Keeps the whole body, and each key and value whole."""

    def __init__(self) -> None:
        self.model: bytes | None = None
        self.stream: bool | None = None
        self.options: tuple[tuple[int, int], ...] = ()
        self.root_end = -1
        self.root_empty = True
        self.words = 0
        self.body = b""
        self.depth = 0
        self.roots = 0
        self.root_is_object = False
        self.key_due = False
        self.member = ""
        self.value_start = -1
        self.role = ""
        self.escaped = False
        self.string_start = 0

    @property
    def open_option(self) -> int:
        """Where a value of `stream_options` starts that is not complete."""
        return self.value_start if self.member == "stream_options" else -1

    def feed(self, data: bytes) -> None:
        """Look at DATA, a byte at a time."""
        for code in data:
            byte = bytes([code])
            self.words += byte == b" " and self.body[-1:] in LETTERS and self.body != b""
            self.body += byte
            if self.role:
                self.in_string(byte)
            else:
                self.outside(byte)

    def in_string(self, byte: bytes) -> None:
        """Take BYTE of a string."""
        if self.escaped:
            self.escaped = False
        elif byte == b"\\":
            self.escaped = True
        elif byte == b'"':
            self.end_string(self.body[self.string_start : -1])

    def end_string(self, content: bytes) -> None:
        """End the string that held CONTENT."""
        if self.role == "key":
            self.key_due = False
            self.member = named(content)
            if self.roots > 1 and self.member != "model":
                self.member = ""
        elif self.role == "value":
            kept, at = bytearray(), 0
            while at < len(content):
                at += content[at] == ord("\\")
                kept.append(content[at])
                at += 1
            self.model = bytes(kept[:256])
        self.role = ""

    def outside(self, byte: bytes) -> None:
        """Take BYTE of anything else."""
        in_root = self.depth == 1 and self.root_is_object
        if in_root and byte in (b",", b"}", b"]"):
            self.end_member()
        elif self.member.startswith("stream") and self.value_start < 0 and byte not in WHITE_SPACE + b":":
            self.value_start = len(self.body) - 1
        if byte == b'"':
            self.string_start = len(self.body)
            self.role = "skipped"
            if in_root and self.key_due:
                self.role = "key"
                self.root_empty &= self.roots > 1
            elif in_root and self.member == "model" and self.model is None:
                self.role = "value"
        elif byte in (b"{", b"["):
            if self.depth == 0:
                self.root_is_object = self.key_due = byte == b"{"
                self.roots += 1
            if self.member == "model":
                self.member = ""
            self.depth += 1
        elif byte in (b"}", b"]"):
            if in_root and self.roots == 1:
                self.root_end = len(self.body) - 1
            self.depth = max(0, self.depth - 1)
        elif byte == b"," and in_root:
            self.key_due = True

    def end_member(self) -> None:
        """End the member of the root that is under way."""
        value = self.body[self.value_start : -1].rstrip(WHITE_SPACE) if self.value_start >= 0 else b""
        if self.member == "stream":
            self.stream = {b"true": True, b"false": False}.get(value)
        elif self.member == "stream_options" and value and len(self.options) < 16:
            self.options += ((self.value_start, self.value_start + len(value)),)
        self.member = ""
        self.value_start = -1
