"""What every tool's test needs: a context in a folder of its own."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from beyond_ai import ToolContext, ToolError, ToolLimits


@dataclass
class Fence:
    """A policy that lets everything pass until it has a ROOT; says what it was asked."""

    root: Path | None = None
    asked: list[tuple[Path, bool]] = field(default_factory=list)

    def check(self, path: Path, *, write: bool) -> None:
        self.asked.append((path, write))
        if self.root is not None and not path.is_relative_to(self.root):
            raise ToolError(f"{path} is outside {self.root}")


class Switch:
    """A cancellation that a test sets."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    @property
    def requested(self) -> bool:
        return self._event.is_set()

    async def wait(self) -> None:
        await self._event.wait()

    def set(self) -> None:
        self._event.set()


MakeContext = Callable[..., ToolContext]


@pytest.fixture
def make_context(tmp_path: Path) -> MakeContext:
    def make(
        *,
        cwd: Path = tmp_path,
        limits: ToolLimits | None = None,
        paths: Fence | None = None,
        sees_images: bool = True,
        environment: dict[str, str] | None = None,
        progress: Callable[[str], None] = lambda text: None,
        cancellation: Switch | None = None,
    ) -> ToolContext:
        return ToolContext(
            cwd=cwd,
            cancellation=cancellation or Switch(),
            progress=progress,
            limits=limits or ToolLimits(),
            environment=environment if environment is not None else {"PATH": "/usr/bin:/bin"},
            paths=paths or Fence(),
            sees_images=sees_images,
            scratch=tmp_path.parent / f"{tmp_path.name}-scratch",
        )

    return make


@pytest.fixture
def context(make_context: MakeContext) -> ToolContext:
    return make_context()


@pytest.fixture
def fence() -> Fence:
    return Fence()
