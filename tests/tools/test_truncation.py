"""Cutting to whole lines, by example and against a plain model."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from beyond_ai import ToolLimits
from beyond_ai_tools.coding.truncation import clip, first_bytes, fitting, head, last_bytes, size, split, tail

relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

TEXTS = st.text(st.sampled_from("ab\n\u00e9\u20ac\U0001f600\r"), max_size=60)
LIMITS = st.builds(ToolLimits, lines=st.integers(1, 8), bytes=st.integers(1, 40))


def test_what_fits_is_whole() -> None:
    cut = head("a\nb\n", ToolLimits())
    assert (cut.text, cut.first, cut.last, cut.total, cut.total_bytes) == ("a\nb", 1, 2, 2, 4)
    assert not cut.truncated
    assert cut.marker("rest") == ""
    assert tail("a\nb\n", ToolLimits()) == cut


def test_nothing_is_nothing() -> None:
    cut = head("", ToolLimits())
    assert (cut.text, cut.total, cut.truncated) == ("", 0, False)
    assert not tail("", ToolLimits()).truncated


@pytest.mark.parametrize(
    ("limits", "first", "last"),
    [
        (ToolLimits(lines=2), "one\ntwo", "two\nthree"),
        (ToolLimits(bytes=7), "one\ntwo", "three"),
        (ToolLimits(bytes=8), "one\ntwo", "three"),
        (ToolLimits(bytes=9), "one\ntwo", "two\nthree"),
        (ToolLimits(bytes=3), "one", "ree"),
    ],
)
def test_whole_lines_only_but_for_one_oversize_line(limits: ToolLimits, first: str, last: str) -> None:
    assert head("one\ntwo\nthree\n", limits).text == first
    assert tail("one\ntwo\nthree\n", limits).text == last


def test_markers_say_what_is_shown_of_what() -> None:
    text = "\n".join(map(str, range(1, 11)))
    assert head(text, ToolLimits(lines=3)).marker("Ask for more.") == "[Lines 1-3 of 10 shown. Ask for more.]"
    assert tail(text, ToolLimits(lines=3)).marker("See f.") == "[Lines 8-10 of 10 shown. See f.]"
    assert tail(text, ToolLimits(lines=1)).marker("See f.") == "[Line 10 of 10 shown. See f.]"
    assert tail("x" * 9, ToolLimits(bytes=4)).marker("See f.") == "[4 bytes of line 1 of 1 shown (9 in all). See f.]"


def test_a_character_is_never_cut() -> None:
    assert first_bytes("\u20ac\u20ac", 5) == "\u20ac"
    assert last_bytes("\u20ac\u20ac", 5) == "\u20ac"
    assert last_bytes("ab", 0) == first_bytes("ab", 0) == ""
    assert clip("\u20ac\u20ac\u20ac", 4) == "\u20ac... [6 more bytes in this line]"
    assert clip("abc", 3) == "abc"
    assert head("\u20ac\u20ac", ToolLimits(bytes=4)).text == "\u20ac"


def test_lone_surrogates_do_no_harm() -> None:
    text = "a\udc80" * 10
    head(text, ToolLimits(bytes=5)).text.encode()
    tail(text, ToolLimits(bytes=5)).text.encode()


@relaxed
@given(TEXTS, LIMITS)
def test_as_many_whole_lines_as_fit(text: str, limits: ToolLimits) -> None:
    lines = split(text)

    def fits(part: list[str]) -> bool:
        return len(part) <= limits.lines and len("\n".join(part).encode()) <= limits.bytes

    kept = max(count for count in range(len(lines) + 1) if fits(lines[:count]))
    assert fitting(lines, limits) == kept
    cut = head(text, limits)
    assert cut.text == ("\n".join(lines[:kept]) if kept or not lines else first_bytes(lines[0], limits.bytes))
    assert cut.truncated == (kept < len(lines))
    kept = max(count for count in range(len(lines) + 1) if fits(lines[len(lines) - count :]))
    cut = tail(text, limits)
    assert cut.text == (
        "\n".join(lines[len(lines) - kept :]) if kept or not lines else last_bytes(lines[-1], limits.bytes)
    )
    assert cut.truncated == (kept < len(lines))
    assert (cut.last, cut.total, cut.total_bytes) == (len(lines), len(lines), len(text.encode()))


@relaxed
@given(TEXTS, st.integers(0, 40))
def test_bytes_are_bounded_and_a_prefix_or_suffix(text: str, limit: int) -> None:
    first, last = first_bytes(text, limit), last_bytes(text, limit)
    assert text.startswith(first)
    assert text.endswith(last)
    for part in (first, last):
        assert size(part) <= limit
        assert part == text or size(part) > limit - 4
