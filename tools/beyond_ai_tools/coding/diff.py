"""A unified diff of one file, for people."""

from difflib import SequenceMatcher
from typing import Final

from beyond_ai import ToolLimits
from beyond_ai_tools.coding.matching import common_start
from beyond_ai_tools.coding.truncation import head

_CONTEXT: Final = 3
_LINES_COMPARED: Final = 20_000


def unified(name: str, before: str, after: str, limits: ToolLimits) -> str:
    """How AFTER differs from BEFORE, no longer than LIMITS; empty where it does not."""
    if before == after:
        return ""
    old, new = _lines(before, after)
    same = common_start(old, new)
    same_below = min(common_start(old[::-1], new[::-1]), len(old) - same, len(new) - same)
    # what is equal at both ends need not be compared, but for the lines that are shown around a change
    start, below = max(same - _CONTEXT, 0), max(same_below - _CONTEXT, 0)
    old, new = old[start : len(old) - below], new[start : len(new) - below]
    parts = [f"--- a/{name}", f"+++ b/{name}"]
    if max(len(old), len(new)) > _LINES_COMPARED:
        return "\n".join([*parts, f"(left out: {len(old)} lines became {len(new)})"])
    for group in SequenceMatcher(None, old, new).get_grouped_opcodes(_CONTEXT):
        first, last = group[0], group[-1]
        parts.append(f"@@ -{_range(first[1], last[2], start)} +{_range(first[3], last[4], start)} @@")
        for tag, i1, i2, j1, j2 in group:
            if tag == "equal":
                parts += (f" {line}" for line in old[i1:i2])
            else:
                parts += (f"-{line}" for line in old[i1:i2])
                parts += (f"+{line}" for line in new[j1:j2])
    cut = head("\n".join(parts), limits)
    return f"{cut.text}\n{marker}" if (marker := cut.marker("The rest is left out.")) else cut.text


def _lines(before: str, after: str) -> tuple[list[str], list[str]]:
    """Both in lines; CR shows, unless every line of both ends in CR and LF."""
    if "\r" in before + after:
        if all(text.count("\n") == text.count("\r\n") == text.count("\r") for text in (before, after)):
            before, after = before.replace("\r", ""), after.replace("\r", "")
        else:
            before, after = before.replace("\r", "^M"), after.replace("\r", "^M")
    return _split(before), _split(after)


def _split(text: str) -> list[str]:
    lines = text.split("\n")
    if lines[-1]:
        lines[-1] += "\n\\ No newline at end of file"
    else:
        lines.pop()
    return lines


def _range(start: int, end: int, offset: int) -> str:
    """As `diff -u` writes it: a start from 1 (or the line before, for nothing), and a count unless it is 1."""
    length = end - start
    first = start + offset + (1 if length else 0)
    return str(first) if length == 1 else f"{first},{length}"
