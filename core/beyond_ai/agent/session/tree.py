"""The tree in a session's entries: which conversation leads to the leaf, and who is whose child.

Every entry with an `id` is a node, of whatever kind. `message` holds a message; `compaction` holds the summary that
takes the place of all that stood before the entry `first_kept_id`; `leaf` is no node and moves the leaf.
"""

from collections.abc import Iterable, Mapping

from beyond_ai.agent.session.codec import MessageReader
from beyond_ai.spec.conversation import JsonObject, Message

Node = tuple[str, Message]
"""A message and the id of its entry."""


class Tree:
    """The nodes by id, in the order of the file, and the leaf. A parent that is missing is the entry before."""

    def __init__(self, entries: Iterable[JsonObject]) -> None:
        self.nodes: dict[str, JsonObject] = {}
        self.parents: dict[str, str | None] = {}
        self.leaf: str | None = None
        for entry in entries:
            self.add(entry)

    def add(self, entry: JsonObject) -> None:
        """Take ENTRY, the next of the file."""
        if entry.get("type") == "leaf":
            target = entry.get("target_id")
            if target is None or target in self.nodes:
                self.leaf = target if isinstance(target, str) else None
            return
        name, parent = entry.get("id"), entry.get("parent_id")
        if not isinstance(name, str):
            return
        if parent is not None and parent not in self.nodes:
            parent = next(reversed(self.nodes), None)  # the parent's line was torn
        self.nodes[name] = entry
        self.parents[name] = parent if isinstance(parent, str) else None
        self.leaf = name

    def path(self, leaf: str | None) -> list[JsonObject]:
        """The entries from the root to LEAF."""
        found: list[JsonObject] = []
        seen: set[str] = set()
        while leaf is not None and leaf not in seen:
            seen.add(leaf)
            found.append(self.nodes[leaf])
            leaf = self.parents[leaf]
        return found[::-1]

    def conversation(self, reader: MessageReader) -> list[Node]:
        """The messages that a model is to see at the leaf; a summary stands for what it replaced."""
        nodes: list[Node] = []
        for entry in self.path(self.leaf):
            name = str(entry["id"])
            if entry.get("type") == "message":
                message = reader.read(entry)
                if message is not None:
                    nodes.append((name, message))
            elif entry.get("type") == "compaction":
                summary = _summary(entry, reader)
                if summary is not None:
                    kept = entry.get("first_kept_id")
                    place = next((place for place, (node, _) in enumerate(nodes) if node == kept), len(nodes))
                    nodes = [(name, summary), *nodes[place:]]
        return nodes


def _summary(entry: Mapping[str, object], reader: MessageReader) -> Message | None:
    message = entry.get("message")
    return reader.read(message) if isinstance(message, dict) else None
