"""Lines out of bytes, at every split point."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beyond_ai.agent.serve.reader import Line, LineSplitter, id_in


def lines(*pieces: bytes, largest: int = 100) -> list[Line]:
    splitter = LineSplitter(largest)
    found = [line for piece in pieces for line in splitter.feed(piece)]
    return [*found, *splitter.end()]


@given(st.binary(max_size=300), st.lists(st.integers(0, 300)))
def test_how_bytes_are_cut_does_not_matter(content: bytes, places: list[int]) -> None:
    cuts = sorted({0, len(content), *(place for place in places if place < len(content))})
    pieces = [content[start:end] for start, end in pairwise(cuts)]
    assert lines(*pieces, largest=20) == lines(content, largest=20)


def test_blank_lines_crlf_and_line_separators_of_unicode() -> None:
    text = "{}\r\n\r\n \n{'a\u2028b'}\nlast".encode()
    assert [line.data for line in lines(text)] == [b"{}", "{'a\u2028b'}".encode(), b"last"]


def test_a_line_over_the_limit_is_one_line_and_the_next_is_whole() -> None:
    assert lines(b"x" * 101 + b"\n" + b"y" * 100 + b"\r\n") == [Line(b"x" * 101, False), Line(b"y" * 100)]


@pytest.mark.parametrize(
    ("line", "ident"),
    [
        (b'{"id":"7", oops', "7"),
        (b'{"type":"prompt","n":1,"id":"a\\"b","message":"x', 'a"b'),
        (b'{"message":"\\"id\\":\\"no\\"', None),
        (b'{"x":{"id":"no"}', None),
        (b"[", None),
        (b'{"id":5,', None),
    ],
)
def test_the_id_of_a_bad_line(line: bytes, ident: str | None) -> None:
    assert id_in(line) == ident
