"""The token codec: known tokens, one spelling each, checks in their order, every failure an `InvalidCredential`."""

import re
from base64 import b64decode, urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.signing import SigningKey

from beyond_ai import Identity, InvalidCredential
from beyond_ai_plugins.auth import token

SEVENS = SigningKey(b"\x07" * 32)
ONES = SigningKey(b"\x01" * 32)

VECTORS = [
    pytest.param(
        *(SEVENS, "6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw=", 1, Identity(1, 1)),
        "bai_v1.1.AQAAAAAAAAABAAAAAAAAAA."
        "WrWcPbklu91PS-4WuR6GnBNF3h4nROpH0EQQlfJf06f7_lEnlQOCSBimhH2JMwXFJgw40BniTB7-yIdFnpldDw",
        id="v1-sevens",
    ),
    pytest.param(
        *(ONES, "iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=", 1, Identity(42, 7)),
        "bai_v1.1.KgAAAAAAAAAHAAAAAAAAAA."
        "-_QZpD6e0L5Cxc1tpC4XoKaP02rMlqh2LdDM3vxNDTTj1Lnz-JKgkzGFsrLV2DWD6BiXCMObBKmyAxtQi_5LAA",
        id="v1-ones",
    ),
    pytest.param(
        *(ONES, "iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=", 7, Identity(42, 99, 1000042)),
        "bai_v2.7.KgAAAAAAAABjAAAAAAAAAGpCDwAAAAAA."
        "VReVsJPVxrZA770Qs_HqNghpQCYJjYIg5DD_v0NPLkOjNTFfCYxSyAg-OJkSnefBtJZt83_lpZ277hZ8oyAZBw",
        id="v2-ones",
    ),
]
GOOD = token.mint(SEVENS, 1, Identity(1, 1))
KEYS = {1: SEVENS.verify_key}
u64 = st.integers(0, 2**64 - 1)


def check(text: str) -> Identity:
    return token.verify(token.parse(text), KEYS)


def signed(text: str) -> str:
    """TEXT with a valid signature over exactly itself."""
    return f"{text}.{b64url(SEVENS.sign(text.encode()).signature)}"


def b64url(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


@pytest.mark.parametrize(("key", "public", "kid", "identity", "text"), VECTORS)
def test_known_tokens(key: SigningKey, public: str, kid: int, identity: Identity, text: str) -> None:
    assert token.mint(key, kid, identity) == text
    assert token.verify(token.parse(text), {kid: token.verify_key(b64decode(public))}) == identity


@given(st.integers(0, 2**32 - 1), u64, u64, st.none() | u64)
def test_what_is_minted_verifies(kid: int, tenant: int, vpc: int, key_id: int | None) -> None:
    identity = Identity(tenant, vpc, key_id)
    text = token.mint(SEVENS, kid, identity)
    assert token.verify(token.parse(text), {kid: SEVENS.verify_key}) == identity
    assert text.startswith("bai_v1." if key_id is None else "bai_v2.")


@given(st.integers(0, len(GOOD) - 1), st.characters())
def test_no_changed_character_is_accepted(at: int, character: str) -> None:
    changed = GOOD[:at] + character + GOOD[at + 1 :]
    if changed != GOOD:
        with pytest.raises(InvalidCredential):
            check(changed)


@given(st.text() | st.text(alphabet="bai_v12.AQ-=+/ \n", max_size=130).map("bai_v1.1.".__add__))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidCredential):
        check(text)


@pytest.mark.parametrize("kid", ["01", "+1", "-1", " 1", "1 ", "1\n", "", "1_0", "٣", "4294967296", "9" * 5000, "0x1"])
def test_a_key_id_has_one_spelling(kid: str) -> None:
    with pytest.raises(InvalidCredential, match="key id"):
        check(signed(f"bai_v1.{kid}.AQAAAAAAAAABAAAAAAAAAA"))


@pytest.mark.parametrize(
    "payload",
    [
        "AQAAAAAAAAABAAAAAAAAAA==",
        "AQAAAAAAAAABAAAAAAAAAB",  # unused trailing bits set
        "AQAAAAAAAAABAAAAAAAAA",  # 21 characters: no whole number of bytes
        "AQAAAAAAAAAB AAAAAAAAAA",
        "AQAAAAAAAAABAAAAAAAAAA\n",
        "++//AAAAAAABAAAAAAAAAA",
        "AQAAAAAAAAABAAAAAAAAAé",
    ],
)
def test_the_payload_is_strict_base64url(payload: str) -> None:
    with pytest.raises(InvalidCredential, match="payload is not"):
        check(signed(f"bai_v1.1.{payload}"))


def test_the_signature_is_strict_base64url_of_64_bytes() -> None:
    head, _, signature = GOOD.rpartition(".")
    last = signature[-1]
    assert last in "AQgw"  # four of six bits carry nothing
    for wrong in (signature + "==", signature[:-1] + chr(ord(last) + 1), signature.replace("-", "+")):
        with pytest.raises(InvalidCredential, match="signature is not"):
            check(f"{head}.{wrong}")
    for size in (0, 63, 65):
        with pytest.raises(InvalidCredential, match=f"signature of {size} bytes"):
            check(f"{head}.{b64url(bytes(size))}")


@pytest.mark.parametrize("version", ["bai_v3", "bai_v", "bai_v10", "BAI_V1", "bai_v1 ", "", "sk-test"])
def test_other_versions_are_refused(version: str) -> None:
    with pytest.raises(InvalidCredential, match="unknown token version"):
        check(signed(f"{version}.1.AQAAAAAAAAABAAAAAAAAAA"))


@pytest.mark.parametrize("text", ["bai_v1", "bai_v1.1", "bai_v1.1.AQAAAAAAAAABAAAAAAAAAA", "bai_v2."])
def test_a_token_has_four_parts(text: str) -> None:
    with pytest.raises(InvalidCredential, match="four parts"):
        check(text)


def test_a_fifth_part_is_a_bad_signature_part() -> None:
    with pytest.raises(InvalidCredential, match="signature is not base64url"):
        check(GOOD + ".AA")


def test_checks_come_in_their_order() -> None:
    """Each text has the fault of its row and all faults of the rows below."""
    rows = [
        ("bai_v9.01.==.==", "version"),
        ("bai_v1.01.==.==", "key id"),
        ("bai_v1.5.==.==", "payload is not"),
        ("bai_v1.5.AA.==", "signature is not"),
        ("bai_v1.5.AA.AA", "signature of 1 bytes"),
        (f"bai_v1.5.AA.{b64url(bytes(64))}", "unknown key id 5"),
        (f"bai_v1.1.AA.{b64url(bytes(64))}", "bad signature"),
        (signed("bai_v1.1.AA"), "payload of 1 bytes"),
    ]
    for text, reason in rows:
        with pytest.raises(InvalidCredential, match=re.escape(reason)):
            check(text)


def test_a_payload_is_as_long_as_its_version_says() -> None:
    short, long = b64url(bytes(16)), b64url(bytes(24))
    assert check(signed(f"bai_v1.1.{short}")) == Identity()
    assert check(signed(f"bai_v2.1.{long}")) == Identity(key_id=0)
    for text in (f"bai_v1.1.{long}", f"bai_v2.1.{short}", "bai_v1.1."):
        with pytest.raises(InvalidCredential, match="payload of"):
            check(signed(text))


def test_a_signature_holds_for_one_version_and_one_key_id() -> None:
    identity = token.mint(SEVENS, 1, Identity(1, 1, 1))
    for text in (identity.replace("bai_v2", "bai_v1"), GOOD.replace("bai_v1.1.", "bai_v1.2.")):
        with pytest.raises(InvalidCredential, match="bad signature"):
            token.verify(token.parse(text), {1: SEVENS.verify_key, 2: SEVENS.verify_key})


@pytest.mark.parametrize(
    ("kid", "identity"),
    [(2**32, Identity()), (-1, Identity()), (1, Identity(2**64)), (1, Identity(0, -1)), (1, Identity(0, 0, 2**64))],
)
def test_numbers_out_of_range_are_not_minted(kid: int, identity: Identity) -> None:
    with pytest.raises(ValueError, match="unsigned"):
        token.mint(SEVENS, kid, identity)


@pytest.mark.parametrize("raw", [b"", bytes(31), bytes(33), bytes(32), b"\x07" * 32, b"\xff" * 32])
def test_bytes_that_are_no_point_are_no_public_key(raw: bytes) -> None:
    with pytest.raises(ValueError, match="Ed25519"):
        token.verify_key(raw)
