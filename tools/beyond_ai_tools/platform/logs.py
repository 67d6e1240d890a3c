"""The tool `logs`: what applications on the Beyond platform log."""

from collections.abc import Iterable

from pydantic import Field

from beyond_ai import Tool, ToolContext, ToolResult, hookimpl
from beyond_ai_tools.coding.arguments import Arguments
from beyond_ai_tools.platform.beyond_command import run_beyond
from beyond_ai_tools.platform.words import Word
from beyond_ai_tools.processes.command import Commands


class LogsArguments(Arguments):
    """What the model sends."""

    app: Word | None = None
    query: str | None = Field(default=None, min_length=1, description="Lucene")


class Logs:
    """The tool."""

    def __init__(self) -> None:
        self._commands = Commands()

    async def run(self, arguments: LogsArguments, context: ToolContext) -> ToolResult:
        """Run `beyond logs [--app APP] [--query QUERY]`."""
        app = () if arguments.app is None else ("--app", arguments.app)
        return await run_beyond(self._commands, ("logs", *app, *_query(arguments.query)), context)


def _query(query: str | None) -> tuple[str, ...]:
    """The option; in one word where the query begins with a dash, Lucene's NOT, and would be taken for an option."""
    if query is None:
        return ()
    return (f"--query={query}",) if query.startswith("-") else ("--query", query)


@hookimpl
def beyond_tools() -> Iterable[Tool]:
    """Yield `logs`."""
    yield Tool(
        name="logs",
        description="Show logs of apps on the Beyond platform.",
        arguments=LogsArguments,
        run=Logs().run,
        read_only=True,
    )
