"""The tree in a session's entries: which of them lead to the leaf, and who is whose child.

Every entry with an `id` is a node, of whatever kind; `leaf` is none and moves the leaf.
"""

from collections.abc import Iterable

from beyond_ai.spec.conversation import JsonObject


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
