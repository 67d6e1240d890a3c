"""A session as a program holds it: the conversation, and a checkpoint that puts on disk what is new."""

from collections.abc import Sequence
from pathlib import Path

from beyond_ai.agent.session.codec import MessageReader, encode_message
from beyond_ai.agent.session.journal import Journal, new_id, now
from beyond_ai.agent.session.repair import close_calls
from beyond_ai.agent.session.tree import Node, Tree
from beyond_ai.spec.conversation import JsonObject, Message


class Session:
    """The conversation at the leaf of a session. Without a journal it is kept in memory alone.

    Entries are told apart by the message object that they were made from, never by their count: a conversation that
    shrinks, is summarised or is rewritten becomes a new branch, and what was there stays in the file.
    """

    def __init__(self, journal: Journal | None = None, *, session_id: str = "") -> None:
        self.journal = journal
        self.id = session_id or (new_id() if journal is None else str(journal.header.get("id") or new_id()))
        self.tree = Tree([] if journal is None else journal.entries)
        self._path: list[Node] = []
        self.messages: tuple[Message, ...] = ()
        if self.tree.nodes:
            self._path = self.tree.conversation(MessageReader())
            self.messages = tuple(close_calls([message for _, message in self._path]))

    @classmethod
    def open(cls, path: Path, *, cwd: Path, model: str) -> "Session":
        """The session in the file PATH, a new one where there is none. Raises SessionError."""
        session = cls(Journal.open(path, cwd=cwd, model=model))
        session.note_model(model)
        return session

    @property
    def path(self) -> Path | None:
        """The session's file."""
        return None if self.journal is None else self.journal.path

    @property
    def model(self) -> str:
        """The model that the session was last used with."""
        changes = [entry for entry in self.tree.path(self.tree.leaf) if entry.get("type") == "model_change"]
        last = changes[-1] if changes else ({} if self.journal is None else self.journal.header)
        return str(last.get("model") or "")

    def note_model(self, model: str) -> None:
        """Put it on record that MODEL answers from here on."""
        if self.journal is not None and model != self.model:
            self._append([self._entry("model_change", self.tree.leaf, model=model)])

    def checkpoint(self, messages: Sequence[Message]) -> None:
        """Make MESSAGES what the session holds, on disk when this returns. Raises SessionError: then it is not."""
        entries, path = self._difference(messages)
        self._append(entries)
        self._path = path
        self.messages = tuple(messages)

    def close(self) -> None:
        """Let another process have the file."""
        if self.journal is not None:
            self.journal.close()
            self.journal = None

    def _difference(self, messages: Sequence[Message]) -> tuple[list[JsonObject], list[Node]]:
        """The entries that lead from what is kept to MESSAGES, and the nodes of MESSAGES."""
        same = 0
        while same < min(len(messages), len(self._path)) and self._path[same][1] is messages[same]:
            same += 1
        path = list(self._path[:same])
        entries: list[JsonObject] = []
        parent = self.tree.leaf
        if same < len(self._path):
            kept = self._kept_behind_a_summary(messages) if same == 0 else None
            if kept is not None:
                entry = self._entry(
                    "compaction", parent, message=encode_message(messages[0]), first_kept_id=self._path[kept][0]
                )
                entries.append(entry)
                parent = str(entry["id"])
                path = [(parent, messages[0]), *self._path[kept:]]
            else:
                parent = path[-1][0] if path else None
        for message in messages[len(path) :]:
            entry = self._entry("message", parent, **encode_message(message))
            entries.append(entry)
            parent = str(entry["id"])
            path.append((parent, message))
        if not entries and same < len(self._path):
            entries.append({"type": "leaf", "target_id": parent, "timestamp": now()})
        return entries, path

    def _kept_behind_a_summary(self, messages: Sequence[Message]) -> int | None:
        """The place from which on all that is kept follows the first of MESSAGES, a new one; None when it does not."""
        if len(messages) < 2:  # a summary, and one that was kept
            return None
        place = next((place for place, (_, message) in enumerate(self._path) if message is messages[1]), None)
        if place is None:
            return None
        tail = [message for _, message in self._path[place:]]
        follows = len(messages) > len(tail) and all(
            mine is kept for mine, kept in zip(messages[1:], tail, strict=False)
        )
        return place if follows else None

    def _append(self, entries: list[JsonObject]) -> None:
        if self.journal is not None:
            self.journal.append(entries)
        for entry in entries:
            self.tree.add(entry)

    def _entry(self, kind: str, parent: str | None, **members: object) -> JsonObject:
        name = new_id()
        while name in self.tree.nodes:
            name = new_id()
        return {"type": kind, "id": name, "parent_id": parent, "timestamp": now(), **members}
