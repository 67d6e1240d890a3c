"""What every tool's test needs: a context in a folder of its own."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from beyond_ai import ToolContext
from beyond_ai.testing import Fence, Switch, tool_context

MakeContext = Callable[..., ToolContext]


@pytest.fixture
def make_context(tmp_path: Path) -> MakeContext:
    scratch = tmp_path.parent / f"{tmp_path.name}-scratch"

    def make(*, cwd: Path = tmp_path, **parts: object) -> ToolContext:
        return partial(tool_context, cwd, scratch=scratch)(**parts)  # type: ignore[arg-type]

    return make


@pytest.fixture
def context(make_context: MakeContext) -> ToolContext:
    return make_context()


@pytest.fixture
def fence() -> Fence:
    return Fence()


__all__ = ["Fence", "MakeContext", "Switch"]
