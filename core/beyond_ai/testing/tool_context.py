"""Where a tool runs when a test calls it: a folder of the test's own, bounds and a stop to play with."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from beyond_ai.spec.tool import Cancellation, PathPolicy, ToolContext, ToolError, ToolLimits


@dataclass
class Fence:
    """A `PathPolicy` that lets everything pass until it has a `root`; `asked` holds each path, and whether to write."""

    root: Path | None = None
    asked: list[tuple[Path, bool]] = field(default_factory=list)

    def check(self, path: Path, *, write: bool) -> None:
        """Raise ToolError when PATH is outside `root`."""
        self.asked.append((path, write))
        if self.root is not None and not path.is_relative_to(self.root):
            raise ToolError(f"{path} is outside {self.root}")


class Switch:
    """A `Cancellation` that a test sets."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    @property
    def requested(self) -> bool:
        """Whether it was set."""
        return self._event.is_set()

    async def wait(self) -> None:
        """Return when it is set."""
        await self._event.wait()

    def set(self) -> None:
        """Ask the tool to stop."""
        self._event.set()


def tool_context(
    cwd: Path,
    *,
    scratch: Path | None = None,
    limits: ToolLimits | None = None,
    paths: PathPolicy | None = None,
    sees_images: bool = True,
    environment: Mapping[str, str] | None = None,
    progress: Callable[[str], None] = lambda _: None,
    cancellation: Cancellation | None = None,
) -> ToolContext:
    """A context in the folder CWD; SCRATCH is a folder beside it by default, and no path is out of bounds."""
    return ToolContext(
        cwd=cwd,
        cancellation=cancellation or Switch(),
        progress=progress,
        limits=limits or ToolLimits(),
        environment=environment if environment is not None else {"PATH": "/usr/bin:/bin"},
        paths=paths or Fence(),
        sees_images=sees_images,
        scratch=scratch or cwd.parent / f"{cwd.name}-scratch",
    )
