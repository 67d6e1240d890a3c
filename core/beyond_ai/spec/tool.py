"""Tools: what the coding agent can do.

A tool is a function with typed arguments. The agent shows the model `name`, `description` and the JSON schema of
`arguments`, checks what the model sends against it, and only then calls `run`.

    from pydantic import BaseModel
    from beyond_ai import Tool, ToolContext, ToolResult, hookimpl

    class Add(BaseModel, extra="forbid"):
        a: int
        b: int

    async def add(arguments: Add, context: ToolContext) -> ToolResult:
        return ToolResult(str(arguments.a + arguments.b))

    @hookimpl
    def beyond_tools():
        yield Tool(name="add", description="Add two integers.", arguments=Add, run=add, read_only=True)

A failure that the model can do something about is a `ToolError`, or a result with `is_error`. Any other exception
becomes a result that names it. Nothing that a tool does ends the run.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from beyond_ai.spec.markers import hookspec

if TYPE_CHECKING:
    from pydantic import BaseModel

M = TypeVar("M", bound="BaseModel")


class ToolError(Exception):
    """A tool could not do what it was asked to. The text is for the model: what happened, and what to do instead."""


@dataclass(frozen=True, slots=True)
class ToolImage:
    """An image in a result: `media_type` as in `image/png`, `data` its bytes."""

    media_type: str
    data: bytes


class Cancellation(Protocol):
    """Whether the run is being cancelled. The task that a tool runs in is cancelled too, a moment later."""

    @property
    def requested(self) -> bool:
        """Whether to stop now."""
        ...

    async def wait(self) -> None:
        """Return when it is requested."""
        ...


class PathPolicy(Protocol):
    """Which paths a tool may touch."""

    def check(self, path: Path, *, write: bool) -> None:
        """Raise ToolError when PATH, absolute and with its links resolved, is out of bounds."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolLimits:
    """What goes back to the model at most: `lines` or `bytes`, whichever is first, and bytes of one line."""

    lines: int = 2_000
    bytes: int = 51_200
    line_bytes: int = 4_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolContext:
    """Where a tool runs.

    Attributes:
        cwd: the agent's working folder, absolute. Relative paths start here.
        cancellation: asks long work to stop.
        progress: shows the user all that a tool has said so far, at once and not to the model. Cheap; may be called
            from the event loop's thread only.
        limits: how much a result may hold.
        environment: of child processes: the agent's own, without its keys.
        paths: bounds on what may be read and written.
        sees_images: whether the model takes images.
        scratch: a folder of this run for what is too long for a result, as the whole output of a command.
        config: the tool's own settings, already checked; None for a tool that declares no model for them.
    """

    cwd: Path
    cancellation: Cancellation
    progress: Callable[[str], None]
    limits: ToolLimits
    environment: Mapping[str, str]
    paths: PathPolicy
    sees_images: bool
    scratch: Path
    config: "BaseModel | None" = None

    def settings(self, model: type[M]) -> M:
        """The tool's own settings as an instance of MODEL, the `config` of its record."""
        if not isinstance(self.config, model):
            raise TypeError(f"this tool declared no config model {model.__name__}")
        return self.config


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What the model gets back.

    Attributes:
        text: for the model.
        is_error: whether it tells of a failure. Never inferred from the text.
        images: for a model that takes them.
        terminate: whether the run may end here without asking the model again; it does if every call of a turn says so.
        details: for people and programs that watch, not for the model: `diff` is a unified diff that is shown.
    """

    text: str
    is_error: bool = False
    images: tuple[ToolImage, ...] = ()
    terminate: bool = False
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """One tool. `run` gets an instance of `arguments`.

    Attributes:
        name: 1 to 64 of `a-z`, `A-Z`, `0-9`, `_` and `-`.
        description: for the model.
        arguments: a pydantic model; its JSON schema is shown to the model. With `extra="forbid"`, so that the model is
            told of an argument that there is not.
        run: does the work.
        read_only: whether it changes nothing outside the run: then no approval is asked for under `--approve writes`.
        exclusive: whether nothing else may run beside it, as for a shell.
        writes: the path that a call writes, as the model gave it; calls that write one path run in their order.
        reads: the path of the file that a call reads, as the model gave it; kept when older messages are condensed.
        summary: what a call does, in a few words, for people; by default the first argument.
        config: a pydantic model of its settings: the table `[plugins.<name>]`, named as the entry point, in the user's
            own configuration. They come with the context.
    """

    name: str
    description: str
    arguments: "type[BaseModel]"
    run: Callable[[Any, ToolContext], Awaitable[ToolResult]]
    read_only: bool = False
    exclusive: bool = False
    writes: Callable[[Any], str] | None = None
    reads: Callable[[Any], str] | None = None
    summary: Callable[[Any], str] | None = None
    config: "type[BaseModel] | None" = None


class ToolHooks:
    """The hook of the group `beyond_ai.tools`."""

    @hookspec
    def beyond_tools(self) -> Iterable[Tool]:  # type: ignore[empty-body]
        """Yield the tools that this plugin adds. Called once, when the agent starts."""
