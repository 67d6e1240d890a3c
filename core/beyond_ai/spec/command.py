"""Commands: sub-commands of `beyond-ai` itself.

The entry point's name is the command's name, so that help can list it without importing the plugin.

    import typer
    from beyond_ai import Command, hookimpl

    app = typer.Typer()

    @app.command()
    def hello(): print("hello")

    @hookimpl
    def beyond_commands():
        yield Command(name="greet", summary="Says hello.", app=app)
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from beyond_ai.spec.markers import hookspec

if TYPE_CHECKING:
    import typer


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A typer application that `beyond-ai NAME` runs."""

    name: str
    summary: str
    app: "typer.Typer"


class CommandHooks:
    """The hook of the group `beyond_ai.commands`."""

    @hookspec
    def beyond_commands(self) -> Iterable[Command]:  # type: ignore[empty-body]
        """Yield the command that this plugin adds, named as its entry point. Called when that command is used."""
