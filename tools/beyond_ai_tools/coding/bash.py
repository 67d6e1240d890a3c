"""The tool `bash`: runs a command in a shell, and nothing of it outlives the agent."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from pydantic import Field

from beyond_ai import Tool, ToolContext, ToolError, ToolResult, hookimpl
from beyond_ai_tools.coding.arguments import Arguments
from beyond_ai_tools.coding.paths import require_directory, resolve
from beyond_ai_tools.processes.command import Commands

BASH: Final = Path("/bin/bash")
DEFAULT_TIMEOUT: Final = 1_800_000
MAX_TIMEOUT: Final = 2_147_483_647


class BashArguments(Arguments):
    """What the model sends."""

    command: str = Field(min_length=1)
    cwd: str | None = None
    timeout_ms: int = Field(default=DEFAULT_TIMEOUT, ge=1, le=MAX_TIMEOUT)


class Bash:
    """The tool; what one call leaves running is known to the next."""

    def __init__(self) -> None:
        self._commands = Commands()

    async def run(self, arguments: BashArguments, context: ToolContext) -> ToolResult:
        """Run a command to its end."""
        folder = _folder(arguments.cwd, context)
        path = context.environment.get("PATH", os.defpath)
        shell = str(BASH) if BASH.exists() else shutil.which("bash", path=path) or "/bin/sh"
        words = (shell, "-c", arguments.command)
        return await self._commands.run(words, folder=folder, seconds=arguments.timeout_ms / 1000, context=context)


def _folder(text: str | None, context: ToolContext) -> Path:
    """The folder to run in."""
    try:
        folder = context.cwd if text is None else resolve(text, context, write=False)
        require_directory(folder, context)
    except ToolError as error:
        raise ToolError(f"The command was not run, its working directory is not there. {error}") from error
    return folder


def _summary(arguments: BashArguments) -> str:
    return arguments.command


@hookimpl
def beyond_tools() -> Iterable[Tool]:
    """Yield `bash`."""
    yield Tool(
        name="bash",
        description=(
            "Run a command with bash. Each call is a new shell in the working folder, without input. Output and errors "
            "come back together, the end of them if they are long. Start long-running processes with &."
        ),
        arguments=BashArguments,
        run=Bash().run,
        exclusive=True,
        summary=_summary,
    )
