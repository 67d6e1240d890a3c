"""The `oidc` scheme: whoever has a valid token of the issuer is served on a pool key, as the tenant that it names.

A request waits only while keys have to be fetched. Whatever looks like a JWT is claimed and fails closed: a token that
does not hold is refused, and never passed on as somebody's own provider key.
"""

import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Iterator
from typing import Final

import jwt
from jwt.utils import base64url_decode, base64url_encode

from beyond_ai import AuthScheme, Component, Context, Identity, InvalidCredential, hookimpl
from oidc_auth.key_set import Keys, KeySet, http_fetch
from oidc_auth.settings import OidcSettings

MAX_TOKEN: Final = 8_192
"""Characters; a longer one is refused before it is decoded."""
REMEMBERED: Final = 4_096
"""Verified tokens that are remembered, at most."""
_JWT: Final = re.compile(r"eyJ[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*")
"""`eyJ` is `{"` in base64url; the signature of an unsigned token is empty."""


class OidcTokens:
    """Verifies tokens by SETTINGS under the keys of KEY_SET."""

    managed = True

    def __init__(self, settings: OidcSettings, key_set: KeySet) -> None:
        self._settings = settings
        self._key_set = key_set
        self._verified: OrderedDict[str, tuple[Identity, float]] = OrderedDict()
        self._changes = 0

    def claims(self, credential: str) -> bool:
        """Tell whether CREDENTIAL has the form of a JWT, of whatever issuer."""
        return _JWT.fullmatch(credential) is not None

    def authenticate(self, credential: str) -> Identity | Awaitable[Identity]:
        """Whose token CREDENTIAL is; to be waited for when the keys are not here, or this one is not among them."""
        kid = _key_id(credential)
        keys = self._key_set.usable()
        if keys is None or (kid not in keys and self._key_set.may_fetch):
            return self._after_fetch(credential, kid)
        return self._checked(credential, kid, keys)

    async def _after_fetch(self, credential: str, kid: str) -> Identity:
        return self._checked(credential, kid, await self._key_set.fetched())

    def _checked(self, credential: str, kid: str, keys: Keys) -> Identity:
        """Whose token it is, from memory if it was verified under the keys that hold now."""
        if self._changes != self._key_set.changes:
            self._changes = self._key_set.changes
            self._verified.clear()
        known = self._verified.get(credential)
        if known is not None and time.time() < known[1]:
            self._verified.move_to_end(credential)
            return known[0]
        identity, expires = self._verify(credential, kid, keys)
        self._verified[credential] = identity, expires
        if len(self._verified) > REMEMBERED:
            self._verified.popitem(last=False)
        return identity

    def _verify(self, credential: str, kid: str, keys: Keys) -> tuple[Identity, float]:
        """Whose token it is, and until when, on our clock. The key decides the algorithm, not the token."""
        settings = self._settings
        key = keys.get(kid)
        if key is None:
            raise InvalidCredential(f"unknown key id {kid!r}")
        if key.algorithm_name not in settings.algorithms:
            raise InvalidCredential(f"key {kid!r} is for {key.algorithm_name}, which is not allowed")
        try:
            claims = jwt.decode(
                credential,
                key,
                algorithms=[key.algorithm_name],
                issuer=settings.issuer,
                audience=settings.audience,
                leeway=settings.leeway_secs,
                options={"require": ["exp", "iss", "aud"]},
            )
        except jwt.PyJWTError as error:
            raise InvalidCredential(f"{type(error).__name__}: {error}") from None
        return self._identity(claims), claims["exp"] + settings.leeway_secs

    def _identity(self, claims: dict[str, object]) -> Identity:
        settings = self._settings
        tenant_id = _number(claims, settings.tenant_claim)
        if tenant_id is None:
            raise InvalidCredential(f"no claim {settings.tenant_claim}")
        vpc_id = _number(claims, settings.vpc_claim) or 0
        return Identity(tenant_id, vpc_id, _number(claims, settings.key_claim))


def _key_id(credential: str) -> str:
    if len(credential) > MAX_TOKEN:
        raise InvalidCredential(f"a token of {len(credential)} characters")
    signature = credential.rpartition(".")[2]
    try:
        kid: object = jwt.get_unverified_header(credential).get("kid")
        canonical = base64url_encode(base64url_decode(signature)).decode()
    except (jwt.PyJWTError, RecursionError, ValueError) as error:  # a header may be nested without end
        raise InvalidCredential(f"{type(error).__name__}: {error}") from None
    if canonical != signature:  # one that only decodes to the same would have a rate limit of its own
        raise InvalidCredential("the signature is not canonical base64url")
    if not isinstance(kid, str):
        raise InvalidCredential("no key id")
    return kid


def _number(claims: dict[str, object], name: str) -> int | None:
    """The unsigned 64-bit number NAME, which may be written in digits: many parsers round beyond 53 bits."""
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, str) and re.fullmatch("0|[1-9][0-9]{0,19}", value):
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**64:
        return value
    raise InvalidCredential(f"claim {name} is no unsigned 64-bit number")


def _create(context: Context) -> OidcTokens:
    settings = context.settings(OidcSettings)
    return OidcTokens(settings, KeySet(settings, http_fetch(settings)))


@hookimpl
def beyond_auth_schemes() -> Iterator[Component[AuthScheme]]:
    """Offer JWTs."""
    yield Component(name="oidc", summary="JWTs of an OpenID provider", create=_create, config=OidcSettings)
