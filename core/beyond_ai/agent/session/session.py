"""A session as a program holds it: the conversation, and a checkpoint that puts on disk what is new in it."""

from pathlib import Path

from beyond_ai.agent.loop.conversation import Conversation, Entry
from beyond_ai.agent.session.codec import EntryReader, encode_entry
from beyond_ai.agent.session.journal import Journal, new_id, now
from beyond_ai.agent.session.repair import legal
from beyond_ai.agent.session.tree import Tree
from beyond_ai.spec.conversation import JsonObject, ThinkingLevel


class Session:
    """The conversation at the leaf of a session. Without a journal it is kept in memory alone.

    `conversation` records what happens, and `checkpoint` writes the entries that are not in the file yet, by their ids.
    """

    def __init__(
        self,
        journal: Journal | None = None,
        *,
        model: str | None,
        thinking: ThinkingLevel | None = None,
        default_model: str = "",
    ) -> None:
        """Make one. Where MODEL or THINKING is None, the session's own stays; a new one has DEFAULT_MODEL."""
        self.journal = journal
        self.id = new_id() if journal is None else str(journal.header.get("id") or new_id())
        self.tree = Tree([] if journal is None else journal.entries)
        header = {} if journal is None else journal.header
        started_with = str(header.get("model") or model or default_model)
        read = self._read()
        self.conversation = Conversation.replay(legal(read, self._new_id), model=started_with, new_id=self._new_id)
        entries = self.conversation.entries
        self._written = sum(entry.id in self.tree.nodes for entry in entries)
        self._parent = self.tree.leaf  # what the next entry hangs on
        if self._written < len(entries):  # mended: a branch from the last entry that was sound
            self._parent = entries[self._written - 1].id if self._written else None
        self.conversation.switch(model or self.conversation.model, thinking or self.conversation.thinking)

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        cwd: Path,
        model: str | None,
        thinking: ThinkingLevel | None = None,
        default_model: str = "",
    ) -> "Session":
        """The session in the file PATH, a new one where there is none. Raises SessionError."""
        journal = Journal.open(path, cwd=cwd, model=model or default_model)
        return cls(journal, model=model, thinking=thinking, default_model=default_model)

    @property
    def path(self) -> Path | None:
        """The session's file."""
        return None if self.journal is None else self.journal.path

    def checkpoint(self) -> None:
        """Write what is new in the conversation; on disk when this returns. Raises SessionError: then it is not."""
        fresh = self.conversation.entries[self._written :]
        if self.journal is None or not fresh:
            return
        parent = self._parent
        values: list[JsonObject] = []
        timestamp = now()
        for entry in fresh:
            values.append(encode_entry(entry, parent, timestamp))
            parent = entry.id
        self.journal.append(values)
        for value in values:
            self.tree.add(value)
        self._written += len(fresh)
        self._parent = parent

    def close(self) -> None:
        """Let another process have the file."""
        if self.journal is not None:
            self.journal.close()
            self.journal = None

    def _read(self) -> list[Entry]:
        """The entries on the way to the leaf, of the kinds that we know."""
        if not self.tree.nodes:
            return []
        reader = EntryReader()
        read = (reader.read(value) for value in self.tree.path(self.tree.leaf))
        return [entry for entry in read if entry is not None]

    def _new_id(self) -> str:
        name = new_id()
        while name in self.tree.nodes:
            name = new_id()
        return name
