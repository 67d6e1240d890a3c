"""Tools: what the coding agent can do.

A tool is a function with typed arguments. The agent shows the model `name`, `description` and the JSON schema of
`arguments`, checks what the model sends against it, and only then calls `run`.

    from pydantic import BaseModel
    from beyond_ai import Tool, ToolContext, ToolResult, hookimpl

    class Add(BaseModel):
        a: int
        b: int

    async def add(arguments: Add, context: ToolContext) -> ToolResult:
        return ToolResult(str(arguments.a + arguments.b))

    @hookimpl
    def beyond_tools():
        yield Tool(name="add", description="Add two integers.", arguments=Add, run=add)
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beyond_ai.spec.markers import hookspec

if TYPE_CHECKING:
    from pydantic import BaseModel


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolContext:
    """Where a tool runs: `cwd` is the agent's working folder; `progress(text)` shows the user a line at once."""

    cwd: Path
    progress: Callable[[str], None] = lambda _text: None


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What the model gets back: `text`, and whether it tells of a failure."""

    text: str
    is_error: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """One tool. `run` gets an instance of `arguments`; an exception becomes a result that tells the model of it."""

    name: str
    description: str
    arguments: "type[BaseModel]"
    run: Callable[[Any, ToolContext], Awaitable[ToolResult]]


class ToolHooks:
    """The hook of the group `beyond_ai.tools`."""

    @hookspec
    def beyond_tools(self) -> Iterable[Tool]:  # type: ignore[empty-body]
        """Yield the tools that this plugin adds. Called once, when the agent starts."""
