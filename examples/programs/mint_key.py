"""Mint a virtual key where beyond-ai is not installed: all that it takes is Ed25519, here from PyNaCl.

    AI_MINT_KEY=PRIVATE_KEY python examples/programs/mint_key.py KID TENANT VPC [KEY_ID]

PRIVATE_KEY is what `beyond-ai keys new` makes: the 32-byte seed in base64. The format is in docs/gateway.md.
"""

import os
import struct
import sys
from base64 import b64decode, urlsafe_b64encode

from nacl.signing import SigningKey


def mint(seed: bytes, kid: int, tenant: int, vpc: int, key_id: int | None = None) -> str:
    """The key of VPC of TENANT: `bai_v1`, or `bai_v2` with a KEY_ID, by which it can be taken back alone."""
    numbers = [tenant, vpc] if key_id is None else [tenant, vpc, key_id]
    payload = struct.pack(f"<{len(numbers)}Q", *numbers)  # unsigned, 64-bit, little-endian
    signed = f"bai_v{len(numbers) - 1}.{kid}.{base64url(payload)}"
    return f"{signed}.{base64url(SigningKey(seed).sign(signed.encode()).signature)}"


def base64url(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


if __name__ == "__main__":
    print(mint(b64decode(os.environ["AI_MINT_KEY"]), *map(int, sys.argv[1:])))
