"""`beyond-ai agent`: do coding tasks in the working folder, and show the tools that it has for it."""

import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from beyond_ai.agent.run.options import RunOptions, SessionOptions
from beyond_ai.cli import agent_options as option
from beyond_ai.cli import agent_sessions
from beyond_ai.cli.agent_flags import takes_common_flags
from beyond_ai.cli.options import GroupedCommand, Json, write_json
from beyond_ai.errors import ConfigError

app = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Do coding tasks in this folder, through the gateway; list the agent's tools.",
)
app.add_typer(agent_sessions.app, name="sessions")

Tasks = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="TASK...",
        rich_help_panel="Arguments",
        show_default=False,
        help="What to do; several are done one after the other in one session. @FILE attaches a file or an image, "
        "/skill:NAME and /TEMPLATE stand for what is written there. Piped text goes before the first; - waits for it.",
    ),
]


@app.command(cls=GroupedCommand)
@takes_common_flags
def run(
    ctx: typer.Context,
    *,
    task: Tasks = None,
    common: RunOptions,
    session: option.SessionFile = None,
    continue_: option.Continue = False,
    session_dir: option.SessionDir = None,
    no_session: option.NoSession = False,
    json: option.JsonEvents = False,
    output_schema: option.OutputSchema = None,
) -> None:
    """Do TASK in the working folder.

    The answer goes to stdout, what happens on the way to stderr. Exit codes: 0 done, 1 failed, 2 wrong usage,
    3 refused or denied, 4 a limit was reached, 5 gateway or provider, 130 and 143 for SIGINT and SIGTERM. The first
    Ctrl-C stops the task and keeps the session, the second ends at once.
    """
    from beyond_ai.agent.run.program import Program

    if (continue_ or no_session) and _is_from_environment(ctx, "session"):
        session = None
    where = SessionOptions(file=session, folder=session_dir, resume=continue_, keep=not no_session)
    _check_session(where)
    debug = bool(ctx.find_root().params.get("debug"))
    Program(replace(common, session=where, json=json, output_schema=output_schema, debug=debug)).run(task or [])


@app.command()
def tools(config: option.AgentConfig = None, json: Json = False) -> None:
    """List the tools, with what the model is told of each; --json with their schemas."""
    from beyond_ai.agent.loop.definitions import ToolSet
    from beyond_ai.agent.run.plugins import plug, user_layers

    def warn(text: str) -> None:
        typer.echo(f"warning: {text}", err=True)

    plugged = plug(user_layers(config, Path.home()), warn, hooks=False)
    definitions = ToolSet(plugged.tools.values()).definitions
    if json:
        write_json(
            [
                {
                    "name": shown.name,
                    "description": shown.description,
                    "read_only": plugged.tools[shown.name].read_only,
                    "schema": shown.schema,
                }
                for shown in definitions
            ]
        )
        return
    for shown in definitions:
        kind = "reads" if plugged.tools[shown.name].read_only else "may change things"
        typer.echo(f"{shown.name} ({kind})")
        for line in shown.description.splitlines():
            typer.echo(f"  {line}")
        properties = shown.schema.get("properties")
        if isinstance(properties, dict):
            typer.echo(f"  arguments: {', '.join(_arguments(properties, shown.schema.get('required')))}")
        sys.stdout.write("\n")


def _arguments(properties: dict[str, object], required: object) -> Iterable[str]:
    needed = required if isinstance(required, list) else []
    return (name if name in needed else f"[{name}]" for name in properties)


def _check_session(where: SessionOptions) -> None:
    chosen = [
        flag
        for flag, given in (
            ("--session", where.file is not None),
            ("--continue", where.resume),
            ("--no-session", not where.keep),
        )
        if given
    ]
    if len(chosen) > 1:
        raise ConfigError(f"{' and '.join(chosen)} exclude each other", "keep one of them")


def _is_from_environment(ctx: typer.Context, name: str) -> bool:
    """Whether the parameter NAME was set by its variable, which any flag outweighs."""
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "ENVIRONMENT"


import beyond_ai.cli.agent_serve  # noqa: E402, F401 - adds its command to `app`
