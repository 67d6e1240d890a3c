"""The two auth schemes as the gateway uses them: claiming, refusing, remembering, the credential for `--dev`."""

import pytest
from nacl.signing import SigningKey

from beyond_ai import AuthScheme, Context, DevAuthScheme, Identity, InvalidCredential
from beyond_ai_plugins.auth import bai, byo, token
from beyond_ai_plugins.auth.bai import VirtualKeys

KEY = SigningKey(b"\x07" * 32)
TRUSTED = {1: bytes(KEY.verify_key)}


def minted(tenant: int) -> str:
    return token.mint(KEY, 1, Identity(tenant, 1))


def forged(tenant: int) -> str:
    """TENANT's claim with another tenant's signature."""
    return f"{minted(tenant).rpartition('.')[0]}.{minted(tenant + 1).rpartition('.')[2]}"


def test_a_virtual_key_is_whose_it_says() -> None:
    scheme = VirtualKeys(TRUSTED)
    for _ in range(2):
        assert scheme.authenticate(minted(42)) == Identity(42, 1)
        assert scheme.authenticate(token.mint(KEY, 1, Identity(42, 1, 7))) == Identity(42, 1, 7)


def test_without_signing_keys_every_virtual_key_is_refused() -> None:
    with pytest.raises(InvalidCredential, match="unknown key id 1"):
        VirtualKeys({}).authenticate(minted(1))


def test_reasons_hold_no_part_of_the_key() -> None:
    text = minted(1)
    for wrong in (forged(1), text.replace(".1.", ".2."), text[:-5], text + "=="):
        with pytest.raises(InvalidCredential) as caught:
            VirtualKeys(TRUSTED).authenticate(wrong)
        parts = [part for part in wrong.split(".") if len(part) > 6]
        assert parts
        assert not any(part[:6] in str(caught.value) for part in parts)


def test_memory_is_bounded_and_the_used_stay() -> None:
    scheme = VirtualKeys(TRUSTED, remembered=8)
    scheme.authenticate(minted(0))
    for tenant in range(1, 40):
        assert scheme.authenticate(minted(tenant)) == Identity(tenant, 1)
        scheme.authenticate(minted(0))
    assert list(scheme._verified) == [*(minted(tenant) for tenant in range(33, 40)), minted(0)]


def test_a_remembered_token_needs_no_signature_check(monkeypatch: pytest.MonkeyPatch) -> None:
    scheme = VirtualKeys(TRUSTED)
    scheme.authenticate(minted(1))
    monkeypatch.setattr(scheme, "_keys", {})
    assert scheme.authenticate(minted(1)) == Identity(1, 1)
    with pytest.raises(InvalidCredential):
        scheme.authenticate(minted(2))


def test_refusals_are_not_remembered() -> None:
    scheme = VirtualKeys(TRUSTED)
    for tenant in range(5):
        with pytest.raises(InvalidCredential):
            scheme.authenticate(forged(tenant))
    assert not scheme._verified


@pytest.mark.parametrize(
    ("kid", "raw", "reason"),
    [(3, b"\x07" * 32, "not an Ed25519 public key"), (4, b"short", "has 5"), (2**32, TRUSTED[1], "unsigned 32-bit")],
)
def test_an_unusable_signing_key_is_named(kid: int, raw: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=rf"signing key {kid}: .*{reason}"):
        VirtualKeys({**TRUSTED, kid: raw})


def test_dev_credentials_work_here_only_and_take_a_free_key_id() -> None:
    scheme = VirtualKeys({**TRUSTED, 2: TRUSTED[1]})
    first, second = scheme.dev_credential(), scheme.dev_credential()
    assert [list(dev.signing_keys) for dev in (first, second)] == [[3], [4]]
    for dev in (first, second):
        assert scheme.authenticate(dev.credential) == Identity(1, 1)
        assert VirtualKeys(dev.signing_keys).authenticate(dev.credential) == Identity(1, 1)
        with pytest.raises(InvalidCredential):
            VirtualKeys(TRUSTED).authenticate(dev.credential)
    (kid,) = VirtualKeys({}).dev_credential().signing_keys
    assert kid == 1


@pytest.mark.parametrize("text", ["", "sk-test", "bai_v1.1", "ключ\udcff"])
def test_own_keys_are_all_claimed_and_nobody_s(text: str) -> None:
    (component,) = byo.beyond_auth_schemes()
    scheme = component.create(Context())
    assert (component.name, scheme.managed) == ("byo", False)
    assert scheme.claims(text)
    assert scheme.authenticate(text) == Identity()


def test_both_are_offered_and_own_keys_are_asked_last() -> None:
    (component,) = bai.beyond_auth_schemes()
    scheme = component.create(Context(signing_keys=TRUSTED))
    assert component.name == "bai"
    assert isinstance(scheme, DevAuthScheme)
    assert isinstance(scheme, AuthScheme)
    assert scheme.authenticate(minted(1)) == Identity(1, 1)
    assert _options(byo.beyond_auth_schemes)["trylast"]
    assert not _options(bai.beyond_auth_schemes)["trylast"]


def _options(hook: object) -> dict[str, object]:
    """What `hookimpl` was told, as pluggy keeps it on the function."""
    options: dict[str, object] = getattr(hook, "beyond_ai_impl")  # noqa: B009 - the attribute is not in its type
    return options
