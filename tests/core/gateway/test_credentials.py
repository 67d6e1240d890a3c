"""Credentials: five places, every repeated line and every spelling, read as written and judged as decoded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.gateway.parts import asked

from beyond_ai.gateway.credentials import Credential, find_credentials, without_query_key


def found(*headers: tuple[bytes, bytes], query: bytes = b"") -> list[Credential]:
    return find_credentials(asked(*headers), query)


def texts(*headers: tuple[bytes, bytes], query: bytes = b"") -> list[str]:
    return [credential.text for credential in found(*headers, query=query)]


def test_places_in_their_order() -> None:
    headers = [
        (b"Authorization", b"Bearer four"),
        (b"X-Goog-Api-Key", b"three"),
        (b"API-KEY", b"two"),
        (b"x-api-key", b"one"),
    ]
    assert found(*headers, query=b"a=1&key=five&b=2") == [
        Credential("one", "one", b"x-api-key"),
        Credential("two", "two", b"api-key"),
        Credential("three", "three", b"x-goog-api-key"),
        Credential("four", "four", b"authorization"),
        Credential("five", "five", b"key"),
    ]


def test_without_any() -> None:
    assert found((b"content-type", b"text/plain"), (b"cookie", b"key=x"), query=b"a=1") == []


@pytest.mark.parametrize("name", [b"x-api-key", b"api-key", b"x-goog-api-key", b"authorization"])
def test_every_repeated_line_is_read_in_order(name: bytes) -> None:
    assert texts((name, b"first"), (name, b"second"), (name, b"third")) == ["first", "second", "third"]


@pytest.mark.parametrize("name", [b"x-api-key", b"api-key", b"x-goog-api-key", b"authorization"])
def test_empty_values_are_absent(name: bytes) -> None:
    assert texts((name, b""), (name, b" \t "), (name, b"real")) == ["real"]


@pytest.mark.parametrize(
    "value",
    [b"Bearer k", b"bearer k", b"BEARER k", b"bEaReR k", b"Bearer   k", b"Bearer\tk", b"Bearer \t k", b"  Bearer k  "],
)
def test_any_spelling_of_the_scheme(value: bytes) -> None:
    assert texts((b"authorization", value)) == ["k"]


@pytest.mark.parametrize("value", [b"Bearer", b"Bearer ", b"bearer \t"])
def test_a_scheme_alone_is_no_credential(value: bytes) -> None:
    assert texts((b"authorization", value)) == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"bai_v1.1.a.b", "bai_v1.1.a.b"),
        (b"Bearerk", "Bearerk"),
        (b"Basic dXNlcjprZXk=", "Basic dXNlcjprZXk="),
        (b"Bearer two words", "two words"),
    ],
)
def test_what_is_not_bearer_is_taken_whole(value: bytes, text: str) -> None:
    assert texts((b"authorization", value)) == [text]


def test_a_value_that_is_not_ascii_is_still_one() -> None:
    assert texts((b"x-api-key", b"caf\xe9")) == ["caf\xe9"]


@pytest.mark.parametrize(
    ("query", "values"),
    [
        (b"key=a", ["a"]),
        (b"key=a&key=b", ["a", "b"]),
        (b"k%65y=a", ["a"]),
        (b"%6B%65%79=a&x=1&k%65%79=b", ["a", "b"]),
        (b"key=a=b", ["a=b"]),
        (b"key=", []),
        (b"key", []),
        (b"&&key=a&", ["a"]),
        (b"Key=a&KEY=b&keys=c&akey=d&x=key=e&%4bey=f", []),
        (b"k%2565y=a", []),
    ],
)
def test_query_spellings(query: bytes, values: list[str]) -> None:
    assert texts(query=query) == values


def test_an_encoded_value_is_kept_as_written_and_judged_decoded() -> None:
    assert found(query=b"key=bai%5Fv1.1.a.b") == [Credential("bai%5Fv1.1.a.b", "bai_v1.1.a.b", b"key")]
    assert found(query=b"key=%20bai_v1.x") == [Credential("%20bai_v1.x", "bai_v1.x", b"key")]


@pytest.mark.parametrize(
    ("query", "rest"),
    [
        (b"key=a", b""),
        (b"beta=true&key=a&x=1", b"beta=true&x=1"),
        (b"key=a&b=%20+&key=c&d", b"b=%20+&d"),
        (b"k%65y=a&%6bey=b&z=key", b"z=key"),
        (b"key", b""),
        (b"a=1&&b=2", b"a=1&&b=2"),
        (b"Key=a&keys=b", b"Key=a&keys=b"),
    ],
)
def test_the_parameter_is_removed_and_nothing_else(query: bytes, rest: bytes) -> None:
    assert without_query_key(query) == rest


@given(st.lists(st.sampled_from([b"a=1", b"key=x", b"k%65y=y", b"", b"b", b"%6b%65%79", b"keys=z", b"c=%26key=w"])))
def test_no_key_remains_and_the_others_keep_their_order(parameters: list[bytes]) -> None:
    rest = without_query_key(b"&".join(parameters))
    assert texts(query=rest) == []
    spellings = (b"key=x", b"k%65y=y", b"%6b%65%79")
    assert rest == b"&".join(parameter for parameter in parameters if parameter not in spellings)
