"""The diff that people are shown, against what it has to say."""

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from beyond_ai import ToolLimits
from beyond_ai_tools.coding import diff as diff_module
from beyond_ai_tools.coding.diff import unified

relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

TEXT = st.lists(st.sampled_from("abc"), max_size=25).map(lambda lines: "".join(f"{line}\n" for line in lines))


def patched(before: str, diff: str) -> str:
    """What BEFORE becomes by DIFF, whose every line has to be right."""
    old = before.splitlines(keepends=True)
    new: list[str] = []
    done = 0
    for hunk in re.split(r"(?m)^(?=@@)", diff)[1:]:
        header, *lines = hunk.removesuffix("\n").split("\n")
        numbers = re.fullmatch(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@", header)
        assert numbers
        start, new_start = int(numbers[1]), int(numbers[3])
        first = start - 1 if numbers[2] != "0" else start
        new += old[done:first]
        assert len(new) == (new_start - 1 if numbers[4] != "0" else new_start)
        taken, made = [], []
        for line in lines:
            if line[0] in " -":
                taken.append(line[1:] + "\n")
            if line[0] in " +":
                made.append(line[1:] + "\n")
        assert taken == old[first : first + len(taken)]
        assert len(taken) == (int(numbers[2]) if numbers[2] else 1)
        assert len(made) == (int(numbers[4]) if numbers[4] else 1)
        new += made
        done = first + len(taken)
    return "".join(new + old[done:])


@relaxed
@given(TEXT, TEXT)
def test_it_says_how_to_get_from_one_to_the_other(before: str, after: str) -> None:
    diff = unified("f", before, after, ToolLimits())
    assert (diff == "") == (before == after)
    if diff:
        assert diff.startswith("--- a/f\n+++ b/f\n@@ ")
        assert patched(before, diff) == after


@relaxed
@given(st.integers(0, 200), st.integers(0, 200))
def test_only_what_is_near_a_change_is_shown(one: int, other: int) -> None:
    lines = [f"{number}\n" for number in range(201)]
    before = "".join(lines)
    lines[one] = "x\n"
    lines[other] = "y\n"
    after = "".join(lines)
    diff = unified("f", before, after, ToolLimits())
    assert patched(before, diff) == after
    assert diff.count("\n") < 22


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        ("a", "a\n", ["-a", "\\ No newline at end of file", "+a"]),
        ("a\n", "a", ["-a", "+a", "\\ No newline at end of file"]),
        ("a\r\n", "b\r\n", ["-a", "+b"]),
        ("a\r\n", "a\n", ["-a^M", "+a"]),
        ("", "a\n", ["+a"]),
    ],
)
def test_ends_of_lines_and_files(before: str, after: str, lines: list[str]) -> None:
    assert unified("f", before, after, ToolLimits()).split("\n")[3:] == lines


def test_it_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    diff = unified("f", "", "x\n" * 5_000, ToolLimits())
    assert diff.endswith("[Lines 1-2000 of 5003 shown. The rest is left out.]")
    monkeypatch.setattr(diff_module, "_LINES_COMPARED", 100)
    assert unified("f", "", "x\n" * 101, ToolLimits()).endswith("(left out: 0 lines became 101)")
