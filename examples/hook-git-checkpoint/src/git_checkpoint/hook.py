"""The agent hook: a checkpoint before calls that may write.

All calls of an answer pass their gates before any of them runs, so that an answer with several writes makes one
checkpoint, before the first. It is a gate: where the checkpoint cannot be made, the call does not run.
"""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from beyond_ai import AgentHook, Allow, BeyondError, Block, Component, Context, Verdict, hookimpl
from beyond_ai.spec.conversation import ToolUse
from git_checkpoint.checkpoints import Checkpoints
from git_checkpoint.git import Repository


class GitCheckpointSettings(BaseModel):
    """The table `[plugins.git_checkpoint]`."""

    model_config = ConfigDict(extra="forbid")

    harmless: tuple[str, ...] = Field(
        default=("read", "ls", "find", "grep", "logs"), description="tools that write nothing; all others may"
    )


class GitCheckpoint(AgentHook):
    """Makes checkpoints of the repository around FOLDER. WARN tells the user, once, that there is none."""

    def __init__(self, settings: GitCheckpointSettings, folder: Path, warn: Callable[[str], None]) -> None:
        self._harmless = frozenset(settings.harmless)
        self._folder = folder
        self._warn = warn
        self._checkpoints: Checkpoints | None = None
        self._warned = False

    async def before_tool_call(self, call: ToolUse) -> Verdict:
        """Make a checkpoint, and let CALL run if that worked."""
        if call.name in self._harmless:
            return Allow()
        try:
            made = await asyncio.to_thread(self._make, f"before {call.name} {call.input.get('path', '')}")
        except (BeyondError, OSError) as error:
            return Block(f"no checkpoint could be made before it ({error})")
        if not made and not self._warned:
            self._warned = True
            self._warn(
                f"{self._folder} is in no git repository: no checkpoints are made, and nothing can be rolled back"
            )
        return Allow()

    def _make(self, reason: str) -> bool:
        if self._checkpoints is None:  # a repository may be made while the agent runs
            repository = Repository.around(self._folder)
            if repository is None:
                return False
            self._checkpoints = Checkpoints(repository)
        self._checkpoints.make(reason)
        return True


def _create(context: Context) -> GitCheckpoint:
    return GitCheckpoint(context.settings(GitCheckpointSettings), Path.cwd(), context.warn)


@hookimpl
def beyond_agent_hooks() -> Iterator[Component[AgentHook]]:
    """Offer checkpoints."""
    yield Component(
        name="git-checkpoint", summary="a git commit before writes", create=_create, config=GitCheckpointSettings
    )
