"""A session as a program holds it: the conversation, and a checkpoint that puts on disk what is new in it."""

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from beyond_ai.agent.loop.conversation import Conversation, Entry, MessageEntry
from beyond_ai.agent.session.codec import EntryReader, encode_entry
from beyond_ai.agent.session.journal import Journal, SessionError, new_id, now
from beyond_ai.agent.session.repair import legal
from beyond_ai.agent.session.tree import Tree
from beyond_ai.spec.conversation import JsonObject, Message, ThinkingLevel


class Session:
    """The conversation at the leaf of a session. Without a journal it is kept in memory alone.

    `conversation` records what happens, and `checkpoint` writes the entries that are not in the file yet, by their ids.
    `branch` puts another one in its place.
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
        self._started_with = str(header.get("model") or model or default_model)
        self._title: str | None = None
        self._written = 0
        self._parent: str | None = None
        self.conversation = self._at_leaf()
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
        more: Mapping[str, object] | None = None,
    ) -> "Session":
        """The session in the file PATH, a new one with MORE in its header where there is none. Raises SessionError."""
        with _collector_at_rest():
            journal = Journal.open(path, cwd=cwd, model=model or default_model, more=more)
            return cls(journal, model=model, thinking=thinking, default_model=default_model)

    @property
    def path(self) -> Path | None:
        """The session's file."""
        return None if self.journal is None else self.journal.path

    @property
    def title(self) -> str | None:
        """The name that somebody gave it."""
        return self._title if self.journal is None else self.journal.title

    def checkpoint(self) -> None:
        """Write what is new in the conversation; on disk when this returns. Raises SessionError: then it is not."""
        fresh = self.conversation.entries[self._written :]
        if not fresh:
            return
        parent = self._parent
        values: list[JsonObject] = []
        timestamp = now()
        for entry in fresh:
            values.append(encode_entry(entry, parent, timestamp))
            parent = entry.id
        self._record(values)
        self._written += len(fresh)
        self._parent = parent

    def rename(self, title: str | None) -> None:
        """Give the session a name, or take it away. Raises SessionError."""
        self._title = title or None
        if self.journal is not None:
            self.journal.rename(title)

    def label(self, target: str, label: str | None) -> None:
        """Give the entry TARGET a name of its own, or take it away. Raises SessionError."""
        self._check(target)
        self._record([{"type": "label", "target_id": target, "label": label, "timestamp": now()}])

    def left_by(self, target: str | None) -> tuple[Message, ...]:
        """The messages that `branch` to TARGET would leave. Raises SessionError: there is no such entry."""
        if target is not None:
            self._check(target)
        kept = {entry["id"] for entry in self.tree.path(target)}
        entries = self.conversation.entries
        return tuple(entry.message for entry in entries if isinstance(entry, MessageEntry) and entry.id not in kept)

    def branch(self, target: str | None, summary: str = "") -> Conversation:
        """Go on from the entry TARGET, None for the start: `conversation` is another one then, and is returned.

        What stands behind TARGET stays in the file, as a branch. SUMMARY tells the model what happened there. Not to be
        called while a run is on. Raises SessionError: there is no such entry, or the disk fails.
        """
        if target is not None:
            self._check(target)
        self.checkpoint()
        left = self.tree.leaf
        self._record([{"type": "leaf", "target_id": target, "timestamp": now()}])
        self.conversation = self._at_leaf()
        if summary and left is not None:
            self.conversation.tell_of_branch(left, summary)
            self.checkpoint()
        return self.conversation

    def close(self) -> None:
        """Let another process have the file."""
        if self.journal is not None:
            self._title = self.journal.title
            self.journal.close()
            self.journal = None

    def _record(self, values: list[JsonObject]) -> None:
        if self.journal is not None:
            self.journal.append(values)
        for value in values:
            self.tree.add(value)

    def _check(self, target: str) -> None:
        if target not in self.tree.nodes:
            raise SessionError(f"the session has no entry {target}", "its branches list the entries that there are")

    def _at_leaf(self) -> Conversation:
        """The conversation that leads to the leaf."""
        read = read_path(self.tree)
        conversation = Conversation.replay(legal(read, self._new_id), model=self._started_with, new_id=self._new_id)
        entries = conversation.entries
        self._written = sum(entry.id in self.tree.nodes for entry in entries)
        self._parent = self.tree.leaf  # what the next entry hangs on
        if self._written < len(entries):  # mended: a branch from the last entry that was sound
            self._parent = entries[self._written - 1].id if self._written else None
        return conversation

    def _new_id(self) -> str:
        name = new_id()
        while name in self.tree.nodes:
            name = new_id()
        return name


@contextmanager
def _collector_at_rest() -> Iterator[None]:
    """Keep the garbage collector from looking through all that is read, again and again: none of it is garbage."""
    was_at_work = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_at_work:
            gc.enable()


def read_path(tree: Tree, leaf: str | None = None) -> list[Entry]:
    """The entries on the way to LEAF, else to the leaf of TREE, of the kinds that we know."""
    if not tree.nodes:
        return []
    reader = EntryReader()
    read = (reader.read(value) for value in tree.path(leaf or tree.leaf))
    return [entry for entry in read if entry is not None]
