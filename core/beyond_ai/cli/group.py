"""The top-level command: knows the names of its commands, imports the one that is used, and is the border at which
an expected failure becomes a line on stderr and an exit code.
"""

import importlib
import traceback
from typing import TYPE_CHECKING, Final

import typer
import typer.main
from typer.core import TyperCommand, TyperGroup

from beyond_ai.errors import BeyondError, PluginError

if TYPE_CHECKING:
    from typer._click.core import Command as ClickCommand
    from typer._click.core import Context as ClickContext

BUILT_IN: Final = {
    "gateway": ("beyond_ai.cli.gateway", "Run the gateway."),
    "agent": ("beyond_ai.cli.agent", "Do coding tasks in this folder."),
    "plugins": ("beyond_ai.cli.plugins", "List installed plugins, look at one, check all."),
    "config": ("beyond_ai.cli.config", "Show the configuration and where it comes from, or check it."),
    "doctor": ("beyond_ai.cli.doctor", "Look at everything that a gateway needs here."),
}
"""Our own commands: the module whose `app` each is, and its line in the help."""
COMPLETION: Final = ("install_completion", "show_completion")
"""Options that typer gives to an application, and that a command of ours must not have."""


class CommandGroup(TyperGroup):
    """Lists commands by name alone. What `get_command` returns for help is a mere label; a run resolves it."""

    def list_commands(self, ctx: "ClickContext") -> list[str]:
        """Our own commands, then those of plugins by name."""
        if not self.commands:
            lines = _plugin_commands() | {name: summary for name, (_, summary) in BUILT_IN.items()}
            names = [*BUILT_IN, *(name for name in lines if name not in BUILT_IN)]
            self.commands.update({name: TyperCommand(name, help=lines[name]) for name in names})
        return super().list_commands(ctx)

    def get_command(self, ctx: "ClickContext", cmd_name: str) -> "ClickCommand | None":
        """The label of CMD_NAME, with what the help says of it."""
        self.list_commands(ctx)
        return super().get_command(ctx, cmd_name)

    def resolve_command(
        self, ctx: "ClickContext", args: list[str]
    ) -> "tuple[str | None, ClickCommand | None, list[str]]":
        """The command that ARGS begin with, imported."""
        name = args[0]
        if name not in BUILT_IN:
            super().resolve_command(ctx, args)  # ends the program when there is no such command
        return name, _imported(name), args[1:]

    def invoke(self, ctx: "ClickContext") -> object:
        """Run a command; an expected failure ends it with one line, a hint and its exit code."""
        try:
            return super().invoke(ctx)
        except BeyondError as error:
            if ctx.params.get("debug"):
                traceback.print_exception(error)
            for line in error.message.splitlines():
                typer.echo(f"error: {line}", err=True)
            if error.hint:
                typer.echo(f"hint: {error.hint}", err=True)
            raise typer.Exit(error.exit_code) from None


def _imported(name: str) -> "ClickCommand":
    application = importlib.import_module(BUILT_IN[name][0]).app if name in BUILT_IN else _plugin_application(name)
    command = typer.main.get_command(application)
    command.params = [param for param in command.params if param.name not in COMPLETION]
    return command


def _plugin_commands() -> dict[str, str]:
    """The commands of plugins with a line each: our own plugins say it themselves, others are not imported for it."""
    from beyond_ai.registry import PluginPolicy, State, load

    registry = load(["command"], PluginPolicy(third_party=False))
    summaries = {name: command.summary for name, command in registry.commands().items()}
    return {
        plugin.name: summaries.get(plugin.name, "Broken." if plugin.state is State.FAILED else f"From {plugin.origin}.")
        for plugin in registry.plugins
    }


def _plugin_application(name: str) -> typer.Typer:
    """The application that the plugin NAME brings; no other plugin is imported for it. Raises BeyondError."""
    from beyond_ai.layers import read_layers
    from beyond_ai.registry import PluginPolicy, State, load

    policy = PluginPolicy.from_values(read_layers().values)
    registry = load(["command"], policy, only=name)
    command = registry.commands().get(name)
    if command is not None:
        return command.app
    for plugin in registry.plugins:
        if plugin.state is not State.DISABLED:
            raise plugin.error(plugin.reason or "offers no command")
    raise PluginError(f"command {name}: {registry.plugins[0].reason}", "see `beyond-ai plugins list`")
