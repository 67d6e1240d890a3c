"""JSON as one line that every reader takes for one: sessions and event streams are made of these."""

import json
import re
from collections.abc import Mapping
from typing import Final

LINE_ENDS: Final = re.compile("[\x85\u2028\u2029]")
"""Characters that JSON allows raw, and that some readers take for the end of a line."""


def json_line(value: Mapping[str, object]) -> bytes:
    """VALUE in UTF-8, LF at its end. Half a surrogate pair, as in a file's name that is no UTF-8, becomes `?`."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    text = LINE_ENDS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    return text.encode(errors="replace") + b"\n"
