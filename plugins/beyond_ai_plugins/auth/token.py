"""The virtual key, `bai_v1` and `bai_v2`: a tenant's identity, signed by the control plane with Ed25519 (RFC 8032).

    token   = version "." kid "." payload "." signature
    payload = tenant_id, vpc_id and, in bai_v2, key_id: unsigned 64-bit, little-endian
    signed  = the token's text before its last dot

`kid` is the decimal number of the signing key, 32 bits. Payload and signature are base64url without padding (RFC 4648,
section 5). A key has one spelling: anything that only decodes to the same bytes is refused, so that nothing keyed by
the text (a rate limit, a cache) can be escaped by respelling it. There is no nonce and no expiry: the same identity
under the same signing key always makes the same token.

Pure functions; nothing here does io or keeps state.
"""

import re
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from nacl.bindings import crypto_core_ed25519_is_valid_point
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from beyond_ai import Identity, InvalidCredential
from beyond_ai_plugins.auth.ranges import MAX_U32, MAX_U64

PREFIX: Final = "bai_"
"""How every virtual key begins, those of versions to come included."""


_V1: Final = "bai_v1"
_V2: Final = "bai_v2"
_PAYLOADS: Final = {_V1: struct.Struct("<QQ"), _V2: struct.Struct("<QQQ")}
_SIGNATURE_BYTES: Final = 64
_PUBLIC_KEY_BYTES: Final = 32
_KID: Final = re.compile(r"0|[1-9][0-9]{0,9}")
_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class Token:
    """A virtual key taken apart, its signature not yet verified. `payload` may still have the wrong length."""

    version: str
    kid: int
    payload: bytes
    signature: bytes
    signed: bytes

    def identity(self) -> Identity:
        """Who the payload names. Raise `InvalidCredential` when it does not have the length of its version."""
        layout = _PAYLOADS[self.version]
        if len(self.payload) != layout.size:
            raise InvalidCredential(f"payload of {len(self.payload)} bytes, {self.version} has {layout.size}")
        return Identity(*layout.unpack(self.payload))


def parse(text: str) -> Token:
    """Take TEXT apart. Raise `InvalidCredential` for anything but the one spelling of a token."""
    version, *parts = text.split(".", 3)
    if version not in _PAYLOADS:
        raise InvalidCredential("unknown token version")
    if len(parts) != 3:
        raise InvalidCredential("malformed token: not four parts")
    kid, payload, signature = parts
    if _KID.fullmatch(kid) is None or int(kid) > MAX_U32:
        raise InvalidCredential("malformed key id")
    payload_bytes = _decode(payload, "payload")
    signature_bytes = _decode(signature, "signature")
    if len(signature_bytes) != _SIGNATURE_BYTES:
        raise InvalidCredential(f"signature of {len(signature_bytes)} bytes, not {_SIGNATURE_BYTES}")
    return Token(version, int(kid), payload_bytes, signature_bytes, f"{version}.{kid}.{payload}".encode("ascii"))


def verify(token: Token, keys: Mapping[int, VerifyKey]) -> Identity:
    """Check TOKEN's signature with the key in KEYS that it names. Raise `InvalidCredential` when it does not hold."""
    key = keys.get(token.kid)
    if key is None:
        raise InvalidCredential(f"unknown key id {token.kid}")
    try:
        key.verify(token.signed, token.signature)
    except BadSignatureError:
        raise InvalidCredential(f"bad signature under key id {token.kid}") from None
    return token.identity()


def mint(key: SigningKey, kid: int, identity: Identity) -> str:
    """The token of IDENTITY under KEY; `bai_v2` when it has a key id. ValueError when a number is too big."""
    numbers = [identity.tenant_id, identity.vpc_id]
    if identity.key_id is not None:
        numbers.append(identity.key_id)
    if not 0 <= kid <= MAX_U32:
        raise ValueError(f"kid {kid} is not an unsigned 32-bit number")
    for number in numbers:
        if not 0 <= number <= MAX_U64:
            raise ValueError(f"{number} is not an unsigned 64-bit number")
    version = _V1 if identity.key_id is None else _V2
    signed = f"{version}.{kid}.{_encode(_PAYLOADS[version].pack(*numbers))}"
    return f"{signed}.{_encode(key.sign(signed.encode('ascii')).signature)}"


def verify_key(raw: bytes) -> VerifyKey:
    """The public key whose 32 bytes are RAW. ValueError when they are no usable point of the curve."""
    if len(raw) != _PUBLIC_KEY_BYTES:
        raise ValueError(f"an Ed25519 public key has {_PUBLIC_KEY_BYTES} bytes, this one has {len(raw)}")
    if not crypto_core_ed25519_is_valid_point(raw):
        raise ValueError("these 32 bytes are not an Ed25519 public key (a private key, or damaged in copying?)")
    return VerifyKey(raw)


def _encode(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def _decode(text: str, part: str) -> bytes:
    """Decode strictly: the alphabet only, no padding, and unused trailing bits zero."""
    if _BASE64URL.fullmatch(text) is None or len(text) % 4 == 1:
        raise InvalidCredential(f"{part} is not base64url")
    raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if _encode(raw) != text:
        raise InvalidCredential(f"{part} is not canonical base64url")
    return raw
