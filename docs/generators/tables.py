"""Tables of Markdown, and texts that were written for other places as Markdown."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

CODE: Final = re.compile(r"(`[^`]*`)")
MARKUP: Final = re.compile(r"(?<!\w)_|_(?!\w)|[<*|]")
"""What Markdown would read as something else than itself, in one of its dialects."""


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table."""
    yield f"| {' | '.join(columns)} |"
    yield f"| {' | '.join('---' for _ in columns)} |"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def prose(text: str) -> str:
    """TEXT, plain but for code between backquotes, as one line that fits in a cell."""
    parts = CODE.split(one_line(text))
    return "".join(code(part[1:-1]) if part.startswith("`") else MARKUP.sub(_entity, part) for part in parts)


def one_line(text: str) -> str:
    """TEXT without its line ends."""
    return re.sub(r"\s+", " ", text).strip()


def code(text: str) -> str:
    """TEXT as code in a cell. Dialects of Markdown disagree on a pipe between backquotes."""
    return f"<code>{MARKUP.sub(_entity, text)}</code>" if "|" in text else f"`{text}`"


def _entity(found: re.Match[str]) -> str:
    return f"&#{ord(found[0])};"
