"""`edit` against a plain model, on texts that no one would think of."""

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from beyond_ai import ToolError, ToolLimits
from beyond_ai_tools.coding.document import Change, Document
from beyond_ai_tools.coding.edit import EditArguments, OneEdit, _edits, _matches
from beyond_ai_tools.coding.matching import Normalised, fold

relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

CHARACTERS = st.sampled_from(
    "\uff76\uff9e\u1112\u1161\u314f\u00bd\u00a8ab \t\n\u201c\"\u2019'\u2014-\u00a0\u00e9e\u0301\ufb01f\u200b\U0001f600"
)
TEXT = st.text(CHARACTERS, max_size=30)
LINE_END = st.sampled_from(["\n", "\r\n"])
BOM = st.sampled_from(["", "\ufeff"])


@st.composite
def mixed(draw: st.DrawFn) -> str:
    """A text whose line ends are mixed, with a CR by itself here and there."""
    text = draw(TEXT)
    return "".join(draw(st.sampled_from(["\n", "\r\n", "\r"])) if char == "\n" else char for char in text)


def applied(before: str, edits: list[OneEdit], *, replace_all: bool = False) -> str:
    document = Document(before.encode())
    matches = _matches(document, edits, "f", ToolLimits(), replace_all=replace_all)
    return document.changed([match.change for match in matches]).decode()


def overlapping(text: str, old: str) -> int:
    return sum(text.startswith(old, start) for start in range(len(text)))


@relaxed
@given(TEXT, st.data(), TEXT, LINE_END, BOM)
def test_one_exact_edit_is_what_replace_does(text: str, data: st.DataObject, new: str, line_end: str, bom: str) -> None:
    assume(text)
    start = data.draw(st.integers(0, len(text) - 1))
    old = text[start : data.draw(st.integers(start + 1, len(text)))]
    before = bom + text.replace("\n", line_end)
    line_end = line_end if "\n" in text else "\n"  # a file of one line has no line ends to keep
    edits = [OneEdit(old_string=old, new_string=new)]
    if overlapping(text, old) > 1:
        with pytest.raises(ToolError, match="times, at lines"):
            applied(before, edits)
    else:
        assert applied(before, edits) == bom + text.replace(old, new).replace("\n", line_end)
    after = applied(before, edits, replace_all=True)
    assert after == bom + text.replace(old, new).replace("\n", line_end)


@relaxed
@given(st.data(), LINE_END, BOM)
def test_several_exact_edits_are_what_cutting_and_joining_does(data: st.DataObject, line_end: str, bom: str) -> None:
    """Each piece to replace is unique by a mark in it."""
    count = data.draw(st.integers(1, 5))
    between = [data.draw(TEXT) for _ in range(count)] + ["\n"]
    olds = [f"<{index}>" + data.draw(TEXT) + f"</{index}>" for index in range(count)]
    news = [data.draw(TEXT) for _ in range(count)]

    def joined(pieces: list[str]) -> str:
        text = between[0] + "".join(piece + gap for piece, gap in zip(pieces, between[1:], strict=True))
        return bom + text.replace("\n", line_end)

    edits = [OneEdit(old_string=old, new_string=new) for old, new in zip(olds, news, strict=True)]
    assert applied(joined(olds), data.draw(st.permutations(edits))) == joined(news)


@relaxed
@given(mixed(), st.data(), TEXT)
def test_bytes_outside_the_matched_span_stay(before: str, data: st.DataObject, new: str) -> None:
    """Whatever the line ends, what is before and after the span is there byte by byte."""
    mark = "<" + data.draw(TEXT) + ">"
    at = data.draw(st.integers(0, len(before)).filter(lambda at: before[at - 1 : at + 1] != "\r\n"))
    above, below = before[:at], before[at:]
    assume(not above.endswith("\r"))
    whole = above + data.draw(st.sampled_from([mark, mark.replace("\n", "\r\n")])) + below
    after = applied(whole, [OneEdit(old_string=mark, new_string=new)])
    assert after.startswith(above)
    assert after.endswith(below)
    inserted = after[len(above) : len(after) - len(below)]
    assert inserted.replace("\r\n", "\n") == new


@relaxed
@given(TEXT, TEXT, TEXT, st.data())
def test_a_loose_match_changes_its_span_alone(above: str, below: str, new: str, data: st.DataObject) -> None:
    below = "." + below  # what combines with the bracket would make it another character
    there = "<\u201c" + data.draw(TEXT) + ">"
    *lines, last = [fold(line) for line in there.split("\n")]
    wanted = "\n".join([*(line + data.draw(st.sampled_from(["", " ", "\t "])) for line in lines), last])
    before = above + there + below
    after = applied(before, [OneEdit(old_string=wanted, new_string=new)])
    assert after.startswith(above)
    assert after.endswith(below)
    if "\n" not in wanted:
        assert after == above + new + below


@relaxed
@given(TEXT, TEXT)
def test_what_is_found_in_normal_form_has_that_form(text: str, wanted: str) -> None:
    for start, end in Normalised(text).find(wanted):
        assert 0 <= start < end <= len(text) or fold(text[start:end]).strip() == fold(wanted).strip() == ""
        assert [fold(line).rstrip() for line in text[start:end].split("\n")] == [
            fold(line).rstrip() for line in wanted.split("\n")
        ]


@relaxed
@given(mixed(), BOM)
def test_a_document_without_changes_is_the_file(text: str, bom: str) -> None:
    data = (bom + text).encode()
    document = Document(data)
    assert document.changed([]) == data
    whole = Change(0, len(document.text), document.text)
    assert document.changed([whole]) == data


@relaxed
@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=4), mixed())
def test_nothing_but_a_refusal_comes_out(pairs: list[tuple[str, str]], before: str) -> None:
    edits = [{"old_string": old, "new_string": new} for old, new in pairs]
    try:
        checked = _edits(EditArguments(path="f", edits=edits))
        after = applied(before, checked)
    except ToolError:
        return
    spans = sorted(
        match.span for match in _matches(Document(before.encode()), checked, "f", ToolLimits(), replace_all=False)
    )
    assert all(one.end <= other.start for one, other in pairwise(spans))
    assert Document(after.encode()).changed([]) == after.encode()
