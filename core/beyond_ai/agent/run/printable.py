"""Text that comes from a model or a tool, made harmless for a terminal."""

import re
from typing import Final

CONTROLS: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""What moves cursors, rings bells, opens escape sequences or turns the direction of writing around."""


def harmless(text: str) -> str:
    """TEXT without control characters but for tab and line feed."""
    return CONTROLS.sub("", text)


def one_line(text: str, width: int = 100) -> str:
    """TEXT in one line of at most WIDTH characters."""
    line = " ".join(harmless(text).split())
    return line if len(line) <= width else f"{line[: width - 3]}..."
