"""What keys and values of the bucket mean."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beyond_ai import DenyReason, DenyScope
from beyond_ai_plugins.deny.nats.entries import is_removal, key_of, parse_key, parse_value

U64 = st.integers(0, 2**64 - 1)


@given(st.sampled_from(DenyScope), U64)
def test_every_id_has_its_key(scope: DenyScope, number: int) -> None:
    assert parse_key(key_of(scope, number)) == (scope, number)


@pytest.mark.parametrize(
    "key",
    [
        *("blackhole.", "blackhole", "blackhole.key.", "blackhole.key", "blackhole.x", "allowance.1", "", "1"),
        *("blackhole.007", "blackhole.+1", "blackhole.-1", "blackhole. 1", "blackhole.1 ", "blackhole.1\n"),
        *("blackhole.1.2", "blackhole.key.1.2", "blackhole.KEY.1", "blackhole.18446744073709551616"),
        *("blackhole.key.01", "blackhole.\u0661", "blackhole.1_0", "blackhole.99999999999999999999"),
    ],
)
def test_other_keys_are_nobodys(key: str) -> None:
    assert parse_key(key) is None


@given(st.text())
def test_no_text_is_taken_for_a_number_that_it_is_not(text: str) -> None:
    found = parse_key(f"blackhole.{text}")
    assert found is None or text in (str(found[1]), f"key.{found[1]}")


@pytest.mark.parametrize("space", [b"", b" ", b"\r\n", b"\t \n"])
@pytest.mark.parametrize("reason", [DenyReason.SPEND, DenyReason.FRAUD])
def test_reasons(reason: DenyReason, space: bytes) -> None:
    word = reason.value
    for value in (
        word,
        f'{{"reason":"{word}"}}',
        f'{{"exp": 17, "reason" : "{word}", "by": {{"reason": 1}}}}',
        '{"\\u0072eason":"' + "".join(f"\\u{ord(letter):04x}" for letter in word) + '"}',
    ):
        assert parse_value(space + value.encode() + space) is reason


@pytest.mark.parametrize(
    "value",
    [
        *(b"", b" ", b"Spend", b"spendy", b"spend fraud", b'"spend"', b"null", b"\xff", b"spend\xff", b"\xc3\xa9"),
        *(b"{", b"{}", b"{spend}", b'{"reason":null}', b'{"reason":["spend"]}', b'{"reason":{}}', b'{"reason":1}'),
        *(b'{"reason":" spend"}', b'{"Reason":"spend"}', b'{"reason":"spend"', b'{"reason":"spend"} x', b"[]"),
        *(b'{"reason":"sp\xffend"}', b'{"reason":"unknown"}', b"unknown", b"\x00spend", b'{"a":' * 5000),
    ],
)
def test_anything_else_is_unknown_and_denies(value: bytes) -> None:
    assert parse_value(value) is DenyReason.UNKNOWN


@given(st.binary())
def test_any_bytes_have_a_reason(value: bytes) -> None:
    reason = parse_value(value)
    if value.strip() not in (b"spend", b"fraud"):
        assert reason is DenyReason.UNKNOWN or value.strip().startswith(b"{")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), JSON), st.sampled_from(["spend", "fraud", "other"]) | JSON, st.booleans())
def test_any_object_has_the_reason_of_its_member(others: dict[str, object], reason: object, ascii_only: bool) -> None:
    value = json.dumps({**others, "reason": reason}, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    known = reason if reason in ("spend", "fraud") else "unknown"
    assert parse_value(value).value == known


def test_an_empty_value_takes_back() -> None:
    assert [is_removal(value) for value in (None, b"", b" ", b"x")] == [True, True, False, False]
