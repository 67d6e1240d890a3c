"""The snapshot: a log on disk that has the deny-set before NATS answers. Its form is that of the reference gateway, 2.

    header  "PGSS", u16 version
    record  u32 CRC-32 of all that follows, u8 type, payload; numbers are little-endian
      1 put     u16 length, key, u32 length, value, u8 length, revision
      2 delete  u16 length, key, u8 length, revision
      3 cursor  u8 length, revision
    revision  8 bytes, BIG-endian, or nothing where none is known

The file is a cache: it may be deleted at any time, and what is wrong with it is never fatal.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from zlib import crc32

from beyond_ai_plugins.deny.nats.entries import Update, is_removal

HEADER: Final = b"PGSS\x02\x00"
_PUT: Final = 1
_DELETE: Final = 2
_CURSOR: Final = 3
_CRC: Final = struct.Struct("<I")
_LENGTHS: Final = {_PUT: ("<H", "<I", "<B"), _DELETE: ("<H", "<B"), _CURSOR: ("<B",)}
"""The fields of each type, all of them bytes with their length before them."""
_REVISION_BYTES: Final = 8
_MAX_REVISION_BYTES: Final = 10
_HEAD_BYTES: Final = 5

Stored = tuple[bytes, int | None]
"""A value and its revision."""


class CorruptError(Exception):
    """The file cannot be believed. The text says why."""


@dataclass(slots=True)
class Contents:
    """What a file holds: values and revisions by key, and the revision that they stand for, None when not known.

    `compact` is whether it has no more in it than it needs.
    """

    entries: dict[bytes, Stored] = field(default_factory=dict)
    cursor: int | None = None
    compact: bool = True


def update_records(update: Update) -> bytes:
    """The records of one UPDATE: what it changed, and how far the file has come."""
    key = update.key.encode("utf-8")
    if update.value is None or is_removal(update.value):
        changed = _record(_DELETE, key, _revision(update.revision))
    else:
        changed = _record(_PUT, key, update.value, _revision(update.revision))
    return changed + _record(_CURSOR, _revision(update.revision))


def whole(entries: Mapping[bytes, Stored], cursor: int | None) -> bytes:
    """A compact file: ENTRIES in the order of their keys, then CURSOR."""
    records = [_record(_PUT, key, value, _revision(revision)) for key, (value, revision) in sorted(entries.items())]
    return b"".join((HEADER, *records, _record(_CURSOR, _revision(cursor))))


def replay(data: bytes) -> Contents:
    """What the file with the bytes DATA holds. A last record that is not whole, as a crash leaves it, is dropped.

    Raises CorruptError.
    """
    contents = Contents()
    if not HEADER.startswith(data[: len(HEADER)]):
        raise CorruptError("it is no snapshot of version 2")
    at, ended = len(HEADER), False
    last_key: bytes | None = None
    while at < len(data):
        try:
            type_, fields, end = _read(data, at)
        except EOFError:
            break
        if _CRC.unpack_from(data, at)[0] != crc32(data[at + 4 : end]):
            if end == len(data):
                break
            raise CorruptError(f"the checksum at byte {at} is wrong")
        *key, last = fields
        revision = _number(last)
        contents.compact &= type_ != _DELETE and not ended
        if type_ == _CURSOR:
            contents.cursor, ended = revision, True
        elif type_ == _PUT:
            contents.entries[key[0]] = key[1], revision
            contents.compact &= last_key is None or last_key < key[0]
            last_key = key[0]
        else:
            contents.entries.pop(key[0], None)
        at = end
    contents.compact &= ended and at == len(data)
    return contents


def _read(data: bytes, at: int) -> tuple[int, list[bytes], int]:
    """Type and fields of the record at AT, and where it ends. Raises EOFError when DATA ends first."""
    if at + _HEAD_BYTES > len(data):
        raise EOFError
    type_ = data[at + 4]
    if type_ not in _LENGTHS:
        raise CorruptError(f"the record at byte {at} is of an unknown type")
    at += _HEAD_BYTES
    fields: list[bytes] = []
    for form in _LENGTHS[type_]:
        size = struct.calcsize(form)
        if at + size > len(data):
            raise EOFError
        (length,) = struct.unpack_from(form, data, at)
        at += size
        if at + length > len(data):
            raise EOFError
        fields.append(data[at : at + length])
        at += length
    return type_, fields, at


def _record(type_: int, *fields: bytes) -> bytes:
    parts = [bytes((type_,))]
    for form, content in zip(_LENGTHS[type_], fields, strict=True):
        parts += struct.pack(form, len(content)), content
    body = b"".join(parts)
    return _CRC.pack(crc32(body)) + body


def _revision(number: int | None) -> bytes:
    return b"" if number is None else number.to_bytes(_REVISION_BYTES, "big")


def _number(revision: bytes) -> int | None:
    if len(revision) > _MAX_REVISION_BYTES:
        raise CorruptError("a revision is longer than any")
    return int.from_bytes(revision, "big") if len(revision) == _REVISION_BYTES else None
