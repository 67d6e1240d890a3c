"""What is a count of tokens in a provider's answer, and what is not."""

from typing import Final

U64_MAX: Final = 2**64 - 1
"""Counts are unsigned 64-bit wherever they go; larger ones stay at this."""
_TOO_WIDE: Final = 2.0**64


def token_count(value: object) -> int | None:
    """VALUE, out of JSON, as a count; None when it is none: JSON has no bool, float, string or negative of tokens."""
    if type(value) is int:
        return min(value, U64_MAX) if value >= 0 else None
    # orjson gives integers that are wider than 64 bits as floats.
    if type(value) is float and value >= _TOO_WIDE:
        return U64_MAX
    return None
