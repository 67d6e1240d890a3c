"""Messages as JSON values, and back. What is None or empty is left out; unknown members are passed over."""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Final

from beyond_ai.spec.conversation import JsonObject, Message

BLOCK_TYPES: Final = frozenset({"text", "thinking", "redacted_thinking", "tool_use", "tool_result", "image"})
LINE_ENDS: Final = {"\u2028": "\\u2028", "\u2029": "\\u2029"}
"""Characters that JSON allows raw and that some readers take for the end of a line."""


def encode_message(message: Message) -> JsonObject:
    """MESSAGE as JSON values."""
    value = _plain(message)
    assert isinstance(value, dict)
    return {"content": [], **value}


class MessageReader:
    """Reads messages out of JSON values. Made when a session is loaded: what checks them takes a while to build."""

    def __init__(self) -> None:
        from pydantic import TypeAdapter

        self._adapter = TypeAdapter(Message)

    def read(self, value: Mapping[str, object]) -> Message | None:
        """The message in VALUE, without blocks of kinds that are not known; None when it is none."""
        from pydantic import ValidationError

        content = value.get("content")
        if not isinstance(content, list):
            return None
        known = [block for block in content if isinstance(block, dict) and block.get("type") in BLOCK_TYPES]
        try:
            return self._adapter.validate_python({**value, "content": known})
        except ValidationError:
            return None


def line_of(value: Mapping[str, object]) -> bytes:
    """VALUE as one line that every reader takes for one."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for character, escape in LINE_ENDS.items():
        text = text.replace(character, escape)
    try:
        return text.encode() + b"\n"
    except UnicodeEncodeError:  # half a surrogate pair, as in a file's name that is no UTF-8
        return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        items = ((field.name, getattr(value, field.name)) for field in fields(value))
        return {name: _plain(item) for name, item in items if item is not None and item != () and item is not False}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value
