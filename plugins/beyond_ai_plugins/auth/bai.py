"""Managed keys: `bai_...` tokens, verified here, swapped for a pool key by the gateway.

Whatever begins with `bai_` is ours and fails closed: a forged key, or one of a version we do not know, is refused and
never passed on as somebody's own key.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Final

from nacl.signing import SigningKey, VerifyKey

from beyond_ai import AuthScheme, Component, Context, DevCredential, Identity, hookimpl
from beyond_ai_plugins.auth import token
from beyond_ai_plugins.auth.ranges import MAX_U32

REMEMBERED: Final = 16_384
"""How many verified tokens are remembered, at most; about 6 MiB when full."""


class VirtualKeys:
    """Verifies `bai_v1` and `bai_v2` tokens under a fixed set of signing keys.

    Verified tokens are remembered whole, the least recently used forgotten first: a signature costs some 40 us to
    check, a lookup 0.1. Refusals are not remembered, so that forged keys cannot push out good ones.
    """

    managed = True

    def __init__(self, signing_keys: Mapping[int, bytes], remembered: int = REMEMBERED) -> None:
        """SIGNING_KEYS maps key ids to raw public keys; ValueError names the id of one that cannot be used."""
        self._keys = {kid: _verify_key(kid, raw) for kid, raw in signing_keys.items()}
        self._verified: OrderedDict[str, Identity] = OrderedDict()
        self._remembered = remembered

    def claims(self, credential: str) -> bool:
        """Tell whether CREDENTIAL is a virtual key of any version, well-formed or not."""
        return credential.startswith(token.PREFIX)

    def authenticate(self, credential: str) -> Identity:
        """Whose token CREDENTIAL is; `InvalidCredential` when it is not a token under one of our keys."""
        verified = self._verified
        identity = verified.get(credential)
        if identity is not None:
            verified.move_to_end(credential)
            return identity
        identity = token.verify(token.parse(credential), self._keys)
        verified[credential] = identity
        if len(verified) > self._remembered:
            verified.popitem(last=False)
        return identity

    def dev_credential(self) -> DevCredential:
        """Make a signing key under the first free key id from 1 on, trust it, and sign tenant 1, VPC 1 with it."""
        signing_key = SigningKey.generate()
        kid = 1
        while kid in self._keys:
            kid += 1
        self._keys[kid] = signing_key.verify_key
        credential = token.mint(signing_key, kid, Identity(tenant_id=1, vpc_id=1))
        return DevCredential(credential, {kid: bytes(signing_key.verify_key)})


def _verify_key(kid: int, raw: bytes) -> VerifyKey:
    if not 0 <= kid <= MAX_U32:
        raise ValueError(f"signing key {kid}: a key id is an unsigned 32-bit number")
    try:
        return token.verify_key(raw)
    except ValueError as error:
        raise ValueError(f"signing key {kid}: {error}") from error


def _create(context: Context) -> VirtualKeys:
    return VirtualKeys(context.signing_keys)


@hookimpl
def beyond_auth_schemes() -> Iterable[Component[AuthScheme]]:
    """Offer virtual keys."""
    yield Component(name="bai", summary="signed virtual keys, bai_v1 and bai_v2", create=_create)
