"""Which tokens hold, and when the issuer is asked for keys. The issuer is a real server on loopback."""

import asyncio
import base64
import json
import re
import time
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import ValidationError

from beyond_ai import AuthScheme, CannotVerify, Identity, InvalidCredential
from beyond_ai.testing import ScriptedUpstream, json_response, response
from oidc_auth.key_set import KeySet, http_fetch, parse_keys
from oidc_auth.scheme import OidcTokens
from oidc_auth.settings import OidcSettings

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP256R1())
ISSUER = "https://login.example.com/"


def jwk(kid: str, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> dict[str, Any]:
    if isinstance(key, rsa.RSAPrivateKey):
        return {**jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid, "alg": "RS256"}
    return {**jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid, "alg": "ES256"}


def document(*keys: dict[str, Any]) -> bytes:
    return json_response({"keys": list(keys)})


def token(
    kid: str = "ec", key: Any = EC, algorithm: str = "ES256", *, without: tuple[str, ...] = (), **claims: Any
) -> str:
    body = {
        "iss": ISSUER,
        "aud": "llm-gateway",
        "exp": time.time() + 60,
        "tenant_id": 42,
        "vpc_id": "18446744073709551615",
        **claims,
    }
    return jwt.encode({k: v for k, v in body.items() if k not in without}, key, algorithm, headers={"kid": kid})


class Issuer:
    """The issuer's server, the scheme that asks it, and a clock for the ages of keys."""

    def __init__(self, server: ScriptedUpstream) -> None:
        self.server = server
        self.now = 1000.0
        self.settings = OidcSettings(issuer=ISSUER, audience="llm-gateway", jwks_url=f"http://{server.authority}/jwks")
        self.key_set = KeySet(self.settings, http_fetch(self.settings), lambda: self.now)
        self.scheme = OidcTokens(self.settings, self.key_set)

    async def ask(self, credential: str) -> Identity:
        verdict = self.scheme.authenticate(credential)
        return verdict if isinstance(verdict, Identity) else await verdict

    def at_once(self, credential: str) -> Identity:
        verdict = self.scheme.authenticate(credential)
        assert isinstance(verdict, Identity), "it waits"
        return verdict


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with ScriptedUpstream() as server:
        yield Issuer(server)


@pytest.fixture
async def known(issuer: Issuer) -> Issuer:
    """One whose two keys are here."""
    issuer.server.answer(document(jwk("ec", EC), jwk("rsa", RSA)))
    await issuer.ask(token())
    return issuer


async def test_the_first_token_waits_for_the_keys_and_the_next_for_nothing(issuer: Issuer) -> None:
    assert isinstance(issuer.scheme, AuthScheme)
    issuer.server.answer(document(jwk("ec", EC), jwk("rsa", RSA)))
    asked = [issuer.ask(token()), issuer.ask(token("rsa", RSA, "RS256", key_id=7))]
    assert await asyncio.gather(*asked) == [Identity(42, 2**64 - 1), Identity(42, 2**64 - 1, 7)]
    assert issuer.at_once(token("rsa", RSA, "RS256")).tenant_id == 42
    assert len(issuer.server.requests) == 1


PUBLIC_PEM = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def respelt(credential: str) -> str:
    """CREDENTIAL in other letters that decode to the same bytes."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return credential[:-1] + letters[letters.index(credential[-1]) | 1]


def forged(header: dict[str, str], signature: bytes = b"", *, deep: bool = False) -> str:
    """A token with HEADER, whose claims are good."""
    claims = token().split(".")[1]
    if deep:
        head = base64.urlsafe_b64encode(b'{"deep":' + b"[" * 5000).rstrip(b"=").decode()
        return f"{head}.{claims}."
    head, end = (
        base64.urlsafe_b64encode(raw).rstrip(b"=").decode() for raw in (json.dumps(header).encode(), signature)
    )
    return f"{head}.{claims}.{end}"


def hs256_with_the_public_key() -> str:
    import hashlib
    import hmac

    unsigned = forged({"alg": "HS256", "kid": "rsa"}).rstrip(".")
    return forged({"alg": "HS256", "kid": "rsa"}, hmac.digest(PUBLIC_PEM, unsigned.encode(), hashlib.sha256))


@pytest.mark.parametrize(
    ("credential", "reason"),
    [
        (forged({"alg": "none", "kid": "ec"}), "InvalidAlgorithmError"),
        (hs256_with_the_public_key(), "InvalidAlgorithmError"),
        (token("rsa", EC, "ES256"), "InvalidAlgorithmError"),
        (token("ec", OTHER), "InvalidSignatureError"),
        (token("rsa", RSA, "PS256"), "InvalidAlgorithmError"),
        (forged({"alg": "ES256"}), "no key id"),
        (token(iss="https://elsewhere.example/"), "InvalidIssuerError"),
        (token(aud="another"), "InvalidAudienceError"),
        (token(aud=["another"]), "InvalidAudienceError"),
        (token(exp=time.time() - 31), "ExpiredSignatureError"),
        (token(nbf=time.time() + 600), "ImmatureSignatureError"),
        (token(without=("exp",)), "MissingRequiredClaimError"),
        (token(without=("iss",)), "MissingRequiredClaimError"),
        (token(without=("aud",)), "MissingRequiredClaimError"),
        (token(without=("tenant_id",)), "no claim tenant_id"),
        (token(tenant_id=-1), "no unsigned 64-bit number"),
        (token(tenant_id=True), "no unsigned 64-bit number"),
        (token(tenant_id="007"), "no unsigned 64-bit number"),
        (token(vpc_id=2**64), "no unsigned 64-bit number"),
        (token(tenant_id=1.5), "no unsigned 64-bit number"),
        (token(padding="x" * 8192), "characters"),
        ("eyJh.eyJh.", "DecodeError"),
        (respelt(token()), "canonical|padding"),
        (forged({}, deep=True), "recursion"),
    ],
)
async def test_what_does_not_hold_is_refused(known: Issuer, credential: str, reason: str) -> None:
    assert known.scheme.claims(credential)
    with pytest.raises(InvalidCredential, match=reason):
        known.at_once(credential)
    assert len(known.server.requests) == 1


async def test_a_clock_that_is_a_little_off_is_forgiven(known: Issuer) -> None:
    assert known.at_once(token(exp=time.time() - 20, nbf=time.time() + 20)).tenant_id == 42


@pytest.mark.parametrize(
    "credential", ["bai_v1.1.a.b", "sk-fake", "team-blue", "eyJhbGciOiJIUzI1NiJ9", "eyJ.a.b.c", ""]
)
def test_other_peoples_keys_are_not_claimed(credential: str) -> None:
    settings = OidcSettings(issuer=ISSUER, audience="a", jwks_url="https://login.example.com/jwks")
    assert not OidcTokens(settings, KeySet(settings, http_fetch(settings))).claims(credential)


async def test_a_new_key_is_fetched_once_and_a_made_up_one_does_not_flood_the_issuer(known: Issuer) -> None:
    known.now += 20
    known.server.answer(document(jwk("new", OTHER)))
    good = [known.ask(token("new", OTHER)) for _ in range(20)]
    made_up = [known.ask(token(f"made-up-{number}")) for number in range(20)]
    results = await asyncio.gather(*good, *made_up, return_exceptions=True)
    assert results[:20] == [Identity(42, 2**64 - 1)] * 20
    assert all(isinstance(result, InvalidCredential) for result in results[20:])
    with pytest.raises(InvalidCredential, match="unknown key id"):
        known.at_once(token("made-up"))
    assert len(known.server.requests) == 2


async def test_what_was_verified_under_a_withdrawn_key_is_not_remembered(known: Issuer) -> None:
    old = token()
    assert known.at_once(old).tenant_id == 42
    known.now += 20
    known.server.answer(document(jwk("new", OTHER)))
    await known.ask(token("new", OTHER))
    with pytest.raises(InvalidCredential, match="unknown key id"):
        known.at_once(old)


async def test_stale_keys_serve_while_the_issuer_is_away_for_the_stated_time(known: Issuer) -> None:
    known.now += known.settings.fresh_secs + 1
    known.server.answer(response(503, [], b"away"))
    assert known.at_once(token()).tenant_id == 42  # and a fetch goes on beside
    await known.server.wait_for_requests(2)
    assert "ec" in await known.key_set.fetched()
    known.now += known.settings.stale_secs
    known.server.answer(response(503, [], b"away"))
    with pytest.raises(CannotVerify):
        await known.ask(token())
    with pytest.raises(CannotVerify):  # not asked again so soon
        await known.ask(token())
    assert len(known.server.requests) == 3
    known.now += known.settings.refetch_secs
    known.server.answer(document(jwk("ec", EC)))
    assert (await known.ask(token())).tenant_id == 42


async def test_a_request_that_leaves_does_not_break_off_the_fetch_of_others(issuer: Issuer) -> None:
    issuer.server.answer(document(jwk("ec", EC)))
    leaving, staying = (asyncio.ensure_future(issuer.ask(token())) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    assert (await staying).tenant_id == 42
    assert len(issuer.server.requests) == 1


def test_secrets_and_keys_for_encryption_verify_nothing() -> None:
    secret = {"kty": "oct", "kid": "secret", "k": "c2VjcmV0LWZha2U", "alg": "HS256"}
    encryption = {**jwk("enc", RSA), "use": "enc"}
    keys = parse_keys(json.dumps({"keys": [secret, encryption, jwk("ec", EC), {"kty": "from-the-future"}]}).encode())
    assert list(keys) == ["ec"]


@pytest.mark.parametrize(
    "wrong", [{"algorithms": ["none"]}, {"algorithms": ["HS256"]}, {"jwks_url": "http://login.example.com/jwks"}]
)
def test_a_dangerous_setting_is_refused(wrong: dict[str, Any]) -> None:
    settings = {"issuer": ISSUER, "audience": "a", "jwks_url": "https://login.example.com/jwks", **wrong}
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        OidcSettings.model_validate(settings)


def test_the_readme_shows_each_setting_with_its_default() -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    [shown] = re.findall(r"^```toml\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    settings = tomllib.loads(shown)["plugins"]["oidc"]
    required = {name: settings[name] for name in ("issuer", "audience", "jwks_url")}
    assert settings == OidcSettings.model_validate(required).model_dump(mode="json")
