"""What keys and values of the bucket mean: `blackhole.{tenant}` and `blackhole.key.{key_id}`, and the reason why."""

import re
from dataclasses import dataclass
from typing import Final

import orjson

from beyond_ai import DenyReason, DenyScope

PREFIX: Final = "blackhole."
_PREFIXES: Final = {DenyScope.TENANT: PREFIX, DenyScope.KEY: f"{PREFIX}key."}
_KEY: Final = re.compile(r"blackhole\.(key\.)?(0|[1-9][0-9]{0,19})", re.ASCII)
_MAX_U64: Final = 0xFFFF_FFFF_FFFF_FFFF
_REASONS: Final = {"spend": DenyReason.SPEND, "fraud": DenyReason.FRAUD}


@dataclass(slots=True)
class Update:
    """What became of one key.

    `value` is None when it was deleted, purged or has expired. `revision` is its sequence number in the bucket's
    stream, `time` when that happened, nanoseconds since 1970.
    """

    key: str
    value: bytes | None
    revision: int
    time: int


def key_of(scope: DenyScope, number: int) -> str:
    """The key of an entry."""
    return f"{_PREFIXES[scope]}{number}"


def parse_key(key: str) -> tuple[DenyScope, int] | None:
    """Whom KEY denies; None for a key that is none of ours.

    A number counts in its one decimal spelling and within 64 bits only, so that nothing else is taken for some tenant.
    """
    match = _KEY.fullmatch(key)
    if match is None:
        return None
    number = int(match[2])
    if number > _MAX_U64:
        return None
    return DenyScope.KEY if match[1] else DenyScope.TENANT, number


def parse_value(value: bytes) -> DenyReason:
    """The reason in VALUE: a bare word, or the member `reason` of a JSON object; space around either does not count.

    What cannot be understood is `UNKNOWN`, which denies too.
    """
    trimmed = value.strip()
    try:
        reason = orjson.loads(trimmed).get("reason") if trimmed.startswith(b"{") else trimmed.decode("ascii")
    except ValueError:  # not UTF-8, not JSON
        return DenyReason.UNKNOWN
    return _REASONS.get(reason, DenyReason.UNKNOWN) if isinstance(reason, str) else DenyReason.UNKNOWN


def is_removal(value: bytes | None) -> bool:
    """Whether VALUE takes an entry back: there is none, or it is of no length.

    Some clients delete by writing an empty value; no control plane denies by one.
    """
    return not value
