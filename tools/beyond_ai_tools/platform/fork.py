"""The tool `fork`: a copy of an application on the Beyond platform."""

from collections.abc import Iterable

from beyond_ai import Tool, ToolContext, ToolResult, hookimpl
from beyond_ai_tools.coding.arguments import Arguments
from beyond_ai_tools.platform.beyond_command import run_beyond
from beyond_ai_tools.platform.words import Word
from beyond_ai_tools.processes.command import Commands


class ForkArguments(Arguments):
    """What the model sends."""

    app: Word
    name: Word | None = None


class Fork:
    """The tool."""

    def __init__(self) -> None:
        self._commands = Commands()

    async def run(self, arguments: ForkArguments, context: ToolContext) -> ToolResult:
        """Run `beyond fork APP [--name NAME]`."""
        named = () if arguments.name is None else ("--name", arguments.name)
        return await run_beyond(self._commands, ("fork", arguments.app, *named), context)


@hookimpl
def beyond_tools() -> Iterable[Tool]:
    """Yield `fork`."""
    yield Tool(
        name="fork",
        description="Copy an app on the Beyond platform, under a name of its own or one that is given.",
        arguments=ForkArguments,
        run=Fork().run,
    )
