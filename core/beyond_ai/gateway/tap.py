"""The tap: the two ends of a response body, kept while it streams by, so that usage can be read when it is over.

Memory stays bounded whatever the length and however the body is cut into chunks.
"""

from collections.abc import Sequence
from typing import Final

HEAD_BYTES: Final = 8 * 1024
"""How much of the beginning is kept: an Anthropic stream's `message_start`, a Responses stream's model."""

TAIL_BYTES: Final = 64 * 1024
"""How much of the end is kept."""

_CHUNK_OVERHEAD: Final = 48
"""What a chunk costs beside its bytes: the object's header and its place in the list."""

_ENDS_BYTES: Final = HEAD_BYTES + TAIL_BYTES
_MEMORY_LIMIT: Final = HEAD_BYTES + 2 * TAIL_BYTES


class Tap:
    """Keeps the first 8 KiB and the last 64 KiB of one body.

    `feed` runs on every chunk that is relayed: it takes a reference and adds a length. Only when 136 KiB are held is
    the middle let go, so that a byte is copied about once.
    """

    __slots__ = ("_chunks", "_dropped", "_head", "_memory")

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self._memory = 0
        self._dropped = 0
        self._head: bytes | None = None

    def feed(self, data: bytes) -> None:
        """Take the next DATA of the body, of any length."""
        self._chunks.append(data)
        self._memory += len(data) + _CHUNK_OVERHEAD
        if self._memory > _MEMORY_LIMIT:
            self._trim()

    @property
    def length(self) -> int:
        """How many bytes were fed."""
        return self._dropped + sum(map(len, self._chunks))

    @property
    def whole(self) -> bytes | None:
        """The whole body, while it is no longer than head and tail together; else None."""
        if self._head is not None:
            return None
        held = b"".join(self._chunks)
        return held if len(held) <= _ENDS_BYTES else None

    def head(self) -> bytes:
        """The first 8 KiB, or all when there is less."""
        return self._head if self._head is not None else _first(self._chunks, HEAD_BYTES)

    def tail(self, size: int = TAIL_BYTES) -> bytes:
        """The last SIZE bytes (at most 64 KiB), or all when there is less."""
        return _last(self._chunks, min(size, TAIL_BYTES))

    def _trim(self) -> None:
        length = self.length
        if length <= _ENDS_BYTES:
            # Many small chunks: their objects are what takes the room.
            kept = b"".join(self._chunks)
        else:
            if self._head is None:
                self._head = _first(self._chunks, HEAD_BYTES)
            kept = _last(self._chunks, TAIL_BYTES)
        self._chunks = [kept]
        self._dropped = length - len(kept)
        self._memory = len(kept) + _CHUNK_OVERHEAD


def _first(chunks: Sequence[bytes], size: int) -> bytes:
    taken = []
    missing = size
    for chunk in chunks:
        if missing <= 0:
            break
        taken.append(chunk)
        missing -= len(chunk)
    return b"".join(taken)[:size]


def _last(chunks: Sequence[bytes], size: int) -> bytes:
    taken = []
    missing = size
    for chunk in reversed(chunks):
        if missing <= 0:
            break
        taken.append(chunk)
        missing -= len(chunk)
    taken.reverse()
    # Not [-size:], which is everything when SIZE is 0.
    joined = b"".join(taken)
    return joined[max(0, len(joined) - size) :]
