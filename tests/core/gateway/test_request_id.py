"""Request ids: their form, and that no two are alike, over processes too."""

import os
import re

import pytest

from beyond_ai.gateway.request_id import RequestIds


def test_form_and_order() -> None:
    ids = RequestIds()
    made = [ids.next() for _ in range(300)]
    assert all(re.fullmatch(r"[0-9a-f]{1,16}-[0-9a-f]+", one) for one in made)
    assert len({one.partition("-")[0] for one in made}) == 1
    assert [one.partition("-")[2] for one in made] == [f"{number:x}" for number in range(300)]


def test_two_processes_have_different_instances() -> None:
    assert len({RequestIds().next() for _ in range(100)}) == 100


@pytest.mark.parametrize(
    ("drawn", "instance"),
    [(b"\x01" + bytes(7), "1"), (b"\xef\xbe\xad\xde" + bytes(4), "deadbeef"), (b"\xff" * 8, "f" * 16)],
)
def test_the_instance_is_little_endian_without_padding(
    monkeypatch: pytest.MonkeyPatch, drawn: bytes, instance: str
) -> None:
    monkeypatch.setattr(os, "urandom", lambda size: drawn[:size])
    assert RequestIds().next() == f"{instance}-0"


def test_never_more_than_33_characters() -> None:
    assert len(f"{2**64 - 1:x}-{2**64 - 1:x}") == 33
