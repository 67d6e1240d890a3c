"""How large the numbers in a virtual key are; apart from `token`, so that a command's help loads no cryptography."""

from typing import Final

MAX_U32: Final = 2**32 - 1
MAX_U64: Final = 2**64 - 1
