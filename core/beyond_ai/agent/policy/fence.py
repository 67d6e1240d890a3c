"""The bounds of tools that take paths."""

from pathlib import Path
from typing import Final

from beyond_ai.agent.policy.rules import Rules
from beyond_ai.spec.tool import ToolError


class Fence:
    """A `PathPolicy`: nothing outside the root where there is one, nothing that a glob denies.

    SCRATCH, where long outputs are put for the model to read, is inside the fence for reading.
    """

    def __init__(self, rules: Rules, scratch: Path) -> None:
        self._rules: Final = rules
        self._scratch: Final = scratch.resolve()

    def check(self, path: Path, *, write: bool) -> None:
        """Raise ToolError when PATH is out of bounds. Its links are resolved here too: a link is where it leads."""
        resolved = path.resolve()
        root = self._rules.root
        inside_scratch = resolved.is_relative_to(self._scratch)
        if root is not None and not resolved.is_relative_to(root) and (write or not inside_scratch):
            verb = "written" if write else "read"
            raise ToolError(f"{path} is outside {root}, and nothing there may be {verb} (--root)")
        for text, pattern in self._rules.paths:
            if pattern.match(str(resolved)) or pattern.match(str(path)):
                raise ToolError(f"{path} matches `{text}`, which may be neither read nor written (--deny-path)")
