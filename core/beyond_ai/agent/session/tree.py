"""The tree in a session's entries: which of them lead to the leaf, and who is whose child.

Every entry with an `id` is a node, of whatever kind. Those without one are not: `leaf` moves the leaf, `label` names a
node.
"""

from collections.abc import Iterable

from beyond_ai.spec.conversation import JsonObject


class Tree:
    """The nodes by id, in the order of the file, and the leaf. A parent that is missing is the entry before."""

    def __init__(self, entries: Iterable[JsonObject]) -> None:
        self.nodes: dict[str, JsonObject] = {}
        self.parents: dict[str, str | None] = {}
        self.labels: dict[str, str] = {}
        """names that people gave to nodes, by the node's id"""
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
        if entry.get("type") == "label" and entry.get("target_id") in self.nodes:
            self._label(str(entry["target_id"]), entry.get("label"))
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

    def tips(self) -> list[str]:
        """The nodes that no other hangs on, and the leaf: each is the end of a branch. In the order of the file."""
        inner = set(self.parents.values())
        names = list(self.nodes)  # a checkpoint may add to it meanwhile, in a thread of its own
        return [name for name in names if name not in inner or name == self.leaf]

    def _label(self, target: str, label: object) -> None:
        if isinstance(label, str) and label:
            self.labels[target] = label
        else:
            self.labels.pop(target, None)
