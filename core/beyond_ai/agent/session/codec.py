"""A conversation's entries as JSON values, and back. What is None or empty is left out, unknown members are ignored.

In the file an entry is its own members beside `type`, `id`, `parent_id` and `timestamp`; a message stands flat in its.
"""

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Final

from beyond_ai.agent.loop.conversation import (
    BranchSummaryEntry,
    CompactionEntry,
    Entry,
    MessageEntry,
    ModelEntry,
    SpendEntry,
)
from beyond_ai.spec.conversation import JsonObject, Message

BLOCK_TYPES: Final = frozenset({"text", "thinking", "redacted_thinking", "tool_use", "tool_result", "image"})
RECORDS: Final[dict[str, type[CompactionEntry | ModelEntry | SpendEntry | BranchSummaryEntry]]] = {
    "branch_summary": BranchSummaryEntry,
    "compaction": CompactionEntry,
    "model": ModelEntry,
    "spend": SpendEntry,
}


def encode_entry(entry: Entry, parent: str | None, timestamp: float) -> JsonObject:
    """ENTRY, whose parent is PARENT, as the file holds it; TIMESTAMP in Unix seconds."""
    value = _members(entry)
    if isinstance(entry, MessageEntry):
        value |= {"content": []} | _members(entry.message)
        del value["message"]
    name, kind = value.pop("id"), value.pop("kind")
    return {"type": kind, "id": name, "parent_id": parent, "timestamp": timestamp, **value}


class EntryReader:
    """Reads entries out of JSON values. Made when a session is loaded: what checks them takes a while to build."""

    def __init__(self) -> None:
        from pydantic import TypeAdapter

        self._message = TypeAdapter(Message)
        self._others = {kind: (record, TypeAdapter[Entry](record)) for kind, record in RECORDS.items()}

    def read(self, value: Mapping[str, object]) -> Entry | None:
        """The entry in VALUE, without blocks of kinds that are not known; None when it is none that we know."""
        from pydantic import ValidationError

        kind = str(value.get("type"))
        try:
            if kind == "message":
                return MessageEntry(id=str(value["id"]), message=self._message.validate_python(_known(value)))
            if kind in self._others:
                record, adapter = self._others[kind]
                left_out = {field.name: None for field in fields(record) if field.default is MISSING}
                return adapter.validate_python({**left_out, **value, "kind": kind, "message": _message_in(value)})
        except ValidationError:
            pass
        return None


def _known(message: Mapping[str, object]) -> JsonObject:
    content = message.get("content")
    if not isinstance(content, list):
        return dict(message)
    known = [block for block in content if isinstance(block, dict) and block.get("type") in BLOCK_TYPES]
    return {**message, "content": known}


def _message_in(value: Mapping[str, object]) -> JsonObject | None:
    message = value.get("message")
    return _known(message) if isinstance(message, dict) else None


def _members(record: Entry | Message) -> JsonObject:
    value = _plain(record)
    assert isinstance(value, dict)
    return value


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        items = ((field.name, getattr(value, field.name)) for field in fields(value))
        return {name: _plain(item) for name, item in items if item is not None and item != () and item is not False}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value
