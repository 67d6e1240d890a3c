"""Server-sent events: cut by line feeds alone, wherever the chunks begin and end."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beyond_ai.agent.dialects.sse import EventFramer, ServerSentEvent
from beyond_ai.agent.failure import ModelFailure


def framed(*chunks: bytes, max_bytes: int = 1000) -> list[ServerSentEvent]:
    framer = EventFramer(max_bytes)
    return [*(event for chunk in chunks for event in framer.feed(chunk)), *framer.finish()]


def test_an_event_has_its_data_and_its_name() -> None:
    stream = b"event: ping\ndata: {}\n\ndata:no space\n\n"
    assert framed(stream) == [ServerSentEvent(b"{}", "ping"), ServerSentEvent(b"no space")]


def test_several_data_lines_are_one_event() -> None:
    assert framed(b"data: one\ndata:\ndata:  two\n\n") == [ServerSentEvent(b"one\n\n two")]


def test_comments_and_other_fields_are_passed_over() -> None:
    stream = b": OPENROUTER PROCESSING\n\n:\nid: 7\nretry: 10\nnonsense\ndata: x\n\nevent: alone\n\ndata: y\n\n"
    assert framed(stream) == [ServerSentEvent(b"x"), ServerSentEvent(b"y")]


def test_a_carriage_return_before_the_line_feed_is_tolerated() -> None:
    assert framed(b"event: a\r\ndata: x\r\n\r", b"\n") == [ServerSentEvent(b"x", "a")]


def test_a_byte_order_mark_is_skipped_at_the_start_only() -> None:
    assert framed(b"\xef\xbb", b"\xbfdata: x\n\n\xef\xbb\xbfdata: y\n\n") == [ServerSentEvent(b"x")]


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\r", "\v", "\f", "\x1c", "\x1e"])
def test_nothing_but_a_line_feed_ends_a_line(separator: str) -> None:
    data = f'{{"text":"one{separator}two"}}'.encode()
    assert framed(b"data: " + data + b"\n\n") == [ServerSentEvent(data)]


def test_the_end_of_the_stream_ends_the_last_event() -> None:
    assert framed(b"data: x\n") == [ServerSentEvent(b"x")]
    assert framed(b"data: x") == [ServerSentEvent(b"x")]
    assert framed(b"data: x\n\n") == [ServerSentEvent(b"x")]
    assert framed(b"") == []


@pytest.mark.parametrize("stream", [b"data: " + b"x" * 100, b"data: 123456789\n" * 12, b": " + b"x" * 100])
def test_what_is_too_long_is_a_failure(stream: bytes) -> None:
    pieces = [stream[start : start + 10] for start in range(0, len(stream), 10)]
    with pytest.raises(ModelFailure, match="more than 100 bytes") as failure:
        framed(*pieces, max_bytes=100)
    assert failure.value.code == "network"
    assert not failure.value.retryable


def test_a_long_line_costs_no_more_than_its_length() -> None:
    framer = EventFramer()
    for _ in range(200_000):
        assert not framer.feed(b"data: x ")
    assert len(framer.feed(b"\n\n")) == 1


LINES = st.sampled_from(
    [b"data: a", b"data:", b"data: \xe2\x80\xa8", b"event: e", b": c", b"", b"", b"\r", b"data: b\r", b"id: 1", b"\xef"]
)


@given(st.lists(LINES, max_size=30), st.booleans(), st.lists(st.integers(0, 400), max_size=20))
def test_any_chunking_gives_the_same_events(lines: list[bytes], ends: bool, cuts: list[int]) -> None:
    stream = b"\n".join(lines) + (b"\n" if ends else b"")
    borders = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    chunks = [stream[start:end] for start, end in pairwise(borders)]
    assert framed(*chunks) == framed(stream) == framed(*(bytes([byte]) for byte in stream))


@given(st.lists(st.binary(max_size=40), max_size=10))
def test_any_bytes_are_framed(chunks: list[bytes]) -> None:
    assert framed(*chunks) == framed(b"".join(chunks))
