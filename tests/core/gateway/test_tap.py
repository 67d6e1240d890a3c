"""The tap keeps both ends of any body, however it is cut, in bounded memory."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beyond_ai.gateway.tap import HEAD_BYTES, TAIL_BYTES, Tap


def tapped(*chunks: bytes) -> Tap:
    tap = Tap()
    for chunk in chunks:
        tap.feed(chunk)
    return tap


def numbered(length: int) -> bytes:
    """LENGTH bytes of which no two stretches of eight are alike."""
    return b"".join(b"%08d" % number for number in range(length // 8 + 1))[:length]


def held(tap: Tap) -> int:
    return sum(map(len, tap._chunks)) + len(tap._head or b"")


def test_an_empty_body() -> None:
    tap = tapped()
    assert (tap.length, tap.whole, tap.head(), tap.tail()) == (0, b"", b"", b"")


def test_empty_chunks_change_nothing() -> None:
    tap = tapped(b"", b"ab", b"", b"c")
    assert (tap.length, tap.whole) == (3, b"abc")


@pytest.mark.parametrize("length", [1, HEAD_BYTES, TAIL_BYTES, HEAD_BYTES + TAIL_BYTES, 136 * 1024, 300_000, 1_000_003])
@pytest.mark.parametrize("size", [1, 7, 200, 4096, 65536, 262144])
def test_both_ends_are_exact(length: int, size: int) -> None:
    body = numbered(length)
    tap = tapped(*(body[start : start + size] for start in range(0, length, size)))
    assert tap.length == length
    assert tap.head() == body[:HEAD_BYTES]
    assert tap.tail() == body[-TAIL_BYTES:]
    assert tap.tail(100) == body[-100:]
    assert tap.whole == (body if length <= HEAD_BYTES + TAIL_BYTES else None)


@given(st.lists(st.integers(0, 300_000), max_size=12))
def test_chunk_borders_do_not_matter(sizes: list[int]) -> None:
    body = numbered(sum(sizes))
    tap, start = Tap(), 0
    for size in sizes:
        tap.feed(body[start : start + size])
        start += size
        assert tap.length == start
        assert tap.head() == body[:start][:HEAD_BYTES]
        assert tap.tail() == body[max(0, start - TAIL_BYTES) : start]


@pytest.mark.parametrize("size", [16, 256, 65536, 262144])
def test_memory_is_bounded(size: int) -> None:
    tap, total = Tap(), 1024 * 1024
    for _ in range(total // size):
        tap.feed(b"x" * size)
        assert held(tap) + 48 * len(tap._chunks) <= 2 * (HEAD_BYTES + TAIL_BYTES)
    assert tap.length == total


def test_a_tail_of_no_bytes() -> None:
    assert tapped(b"abc").tail(0) == b""


def test_a_tail_is_at_most_what_is_kept() -> None:
    assert len(tapped(b"x" * 200_000).tail(1_000_000)) == TAIL_BYTES
