"""Makes a history legal again that was cut off or lost lines: roles alternate, and every call has one result.

Nothing is run again, and nothing that stands in the file is changed: from the first place on where something is amiss,
entries get new ids, so that they become a branch.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final, Literal

from beyond_ai.agent.loop.conversation import CompactionEntry, Entry, MessageEntry
from beyond_ai.spec.conversation import Message, Text, ToolOutput, ToolUse

STOPPED: Final = "The agent was stopped while this ran. It may be done in part or in whole: look before you repeat it."
LOST: Final = "(a message was lost here)"


class _Repair:
    def __init__(self, new_id: Callable[[], str]) -> None:
        self._new_id = new_id
        self._renamed: dict[str, str] = {}
        self._dirty = False
        self._last: Message | None = None
        self.entries: list[Entry] = []

    def take(self, entry: Entry) -> None:
        if isinstance(entry, MessageEntry):
            for inserted in self._due_before(entry.message):
                self._add(MessageEntry(id=self._new_id(), message=inserted), changed=True)
            message = self._answering(entry.message)
            changed = message is not entry.message
            self._add(replace(entry, message=message) if changed else entry, changed=changed)
        elif isinstance(entry, CompactionEntry) and entry.first_kept is not None:
            self._add(replace(entry, first_kept=self._renamed.get(entry.first_kept, entry.first_kept)))
        else:
            self._add(entry)

    def _add(self, entry: Entry, *, changed: bool = False) -> None:
        self._dirty = self._dirty or changed
        if self._dirty:
            before, entry = entry.id, replace(entry, id=self._new_id())
            self._renamed[before] = entry.id
        if isinstance(entry, MessageEntry):
            self._last = entry.message
        self.entries.append(entry)

    def _due_before(self, message: Message) -> list[Message]:
        """What is missing between the last message and MESSAGE."""
        role: Literal["user", "assistant"] = "assistant"
        if self._last is None or self._last.role == "assistant":
            role = "user"
        if message.role == role:
            return []
        if self._last is not None and self._last.tool_uses:
            return [Message(role="user", content=_results(self._last.tool_uses, ()))]
        return [Message(role=role, content=(Text(text=LOST),))]

    def _answering(self, message: Message) -> Message:
        """MESSAGE with one result for each call before it, and no other."""
        if message.role == "assistant":
            return message
        calls = self._last.tool_uses if self._last is not None else ()
        given = [block for block in message.content if isinstance(block, ToolOutput)]
        if [block.tool_use_id for block in given] == [call.id for call in calls]:
            return message
        rest = [block for block in message.content if not isinstance(block, ToolOutput)]
        content = (*_results(calls, given), *rest)
        return replace(message, content=content or (Text(text=LOST),))


def legal(entries: Iterable[Entry], new_id: Callable[[], str]) -> list[Entry]:
    """ENTRIES, with what a history lacks put in. Calls at the end may still wait for their results."""
    repair = _Repair(new_id)
    for entry in entries:
        repair.take(entry)
    return repair.entries


def _results(calls: Sequence[ToolUse], given: Iterable[ToolOutput]) -> tuple[ToolOutput, ...]:
    """A result for each of CALLS: the one that is GIVEN, else that it was stopped."""
    known = {block.tool_use_id: block for block in given}
    return tuple(known.get(call.id, ToolOutput(tool_use_id=call.id, content=STOPPED, is_error=True)) for call in calls)
