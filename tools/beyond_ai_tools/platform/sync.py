"""The tool `sync`: brings a folder and its application on the Beyond platform together."""

from collections.abc import Iterable

from beyond_ai import Tool, ToolContext, ToolResult, hookimpl
from beyond_ai_tools.coding.arguments import Arguments
from beyond_ai_tools.coding.paths import resolve
from beyond_ai_tools.platform.beyond_command import run_beyond
from beyond_ai_tools.processes.command import Commands


class SyncArguments(Arguments):
    """What the model sends."""

    path: str | None = None


class Sync:
    """The tool."""

    def __init__(self) -> None:
        self._commands = Commands()

    async def run(self, arguments: SyncArguments, context: ToolContext) -> ToolResult:
        """Run `beyond sync [PATH]`."""
        words = ["sync"]
        if arguments.path is not None:
            words.append(str(resolve(arguments.path, context, write=True)))
        return await run_beyond(self._commands, words, context)


@hookimpl
def beyond_tools() -> Iterable[Tool]:
    """Yield `sync`."""
    yield Tool(
        name="sync",
        description="Sync a folder, by default the working folder, with its app on the Beyond platform.",
        arguments=SyncArguments,
        run=Sync().run,
        exclusive=True,
    )
