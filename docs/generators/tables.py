"""Tables of Markdown, and texts that were written for other places as Markdown."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

CODE: Final = re.compile(r"(`[^`]*`)")
MARKUP: Final = re.compile(r"(?<!\w)_|_(?!\w)|[<*]")
"""What Markdown would read as something else than itself."""


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table."""
    yield f"| {' | '.join(columns)} |"
    yield f"| {' | '.join('---' for _ in columns)} |"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def prose(text: str) -> str:
    """TEXT, plain but for code between backquotes, as one line that fits in a cell."""
    parts = CODE.split(one_line(text))
    plain = [part if part.startswith("`") else MARKUP.sub(r"\\\g<0>", part) for part in parts]
    return "".join(plain).replace("|", "\\|")


def one_line(text: str) -> str:
    """TEXT without its line ends."""
    return re.sub(r"\s+", " ", text).strip()


def code(text: str) -> str:
    """TEXT as code in a cell."""
    return f"`{text}`".replace("|", "\\|")
