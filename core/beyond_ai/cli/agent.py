"""`beyond-ai agent`: do coding tasks in the working folder, and show the tools that it has for it."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, TypeVar, get_args

import typer

from beyond_ai.agent.run.options import DEFAULT_URL, RunOptions, SessionOptions, ToolOptions
from beyond_ai.cli import agent_options as option
from beyond_ai.cli import agent_sessions
from beyond_ai.cli.options import GroupedCommand, Json, write_json
from beyond_ai.errors import ConfigError
from beyond_ai.layers import nearest

app = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Do coding tasks in this folder, through the gateway; list the agent's tools.",
)
app.add_typer(agent_sessions.app, name="sessions")
T = TypeVar("T", bound=str)

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
def run(
    ctx: typer.Context,
    task: Tasks = None,
    gateway_url: option.GatewayUrl = None,
    key: option.Key = None,
    model: option.Model = None,
    dialect: option.Dialect = None,
    idle_timeout: option.IdleTimeout = 600.0,
    max_turns: option.MaxTurns = None,
    max_tokens_total: option.MaxTokensTotal = None,
    max_seconds: option.MaxSeconds = None,
    retries: option.Retries = 4,
    thinking: option.Thinking = None,
    temperature: option.Temperature = None,
    system_prompt: option.SystemPrompt = None,
    append_system_prompt: option.AppendSystemPrompt = None,
    no_context_files: option.NoContextFiles = False,
    tools: option.Only = None,
    exclude_tools: option.Without = None,
    no_tools: option.NoTools = False,
    approve: option.Approve = "never",
    allow_destructive: option.AllowDestructive = False,
    root: option.Root = None,
    deny_tool: option.DenyTool = None,
    deny_bash_pattern: option.DenyBashPattern = None,
    deny_path: option.DenyPath = None,
    session: option.SessionFile = None,
    continue_: option.Continue = False,
    session_dir: option.SessionDir = None,
    no_session: option.NoSession = False,
    json: option.JsonEvents = False,
    output_schema: option.OutputSchema = None,
    cache_long: option.CacheLong = False,
    no_compaction: option.NoCompaction = False,
    context_window: option.ContextWindow = None,
    config: option.AgentConfig = None,
) -> None:
    """Do TASK in the working folder.

    The answer goes to stdout, what happens on the way to stderr. Exit codes: 0 done, 1 failed, 2 wrong usage,
    3 refused or denied, 4 a limit was reached, 5 gateway or provider, 130 and 143 for SIGINT and SIGTERM. The first
    Ctrl-C stops the task and keeps the session, the second ends at once.
    """
    from beyond_ai.agent.dialects.dialect import DialectName
    from beyond_ai.agent.policy.rules import parse_mode
    from beyond_ai.agent.run.program import Program
    from beyond_ai.spec.conversation import ThinkingLevel

    if (continue_ or no_session) and _is_from_environment(ctx, "session"):
        session = None
    where = SessionOptions(file=session, folder=session_dir, resume=continue_, keep=not no_session)
    _check_session(where)
    options = RunOptions(
        cwd=working_folder(),
        gateway_url=gateway_url or DEFAULT_URL,
        key=(key or "").strip(),
        model=model or None,
        dialect=one_of("--dialect", dialect, get_args(DialectName)),
        idle_timeout=idle_timeout,
        max_turns=max_turns,
        max_tokens_total=max_tokens_total,
        max_seconds=max_seconds,
        retries=retries,
        thinking=one_of("--thinking", thinking, get_args(ThinkingLevel)),
        temperature=temperature,
        system_prompt=system_prompt,
        append_system_prompt=tuple(append_system_prompt or ()),
        context_files=not no_context_files,
        tools=ToolOptions(
            only=names(tools),
            without=names(exclude_tools),
            none=no_tools,
            approve=parse_mode(approve),
            allow_destructive=allow_destructive,
            root=root,
            deny_tools=names(deny_tool),
            deny_commands=tuple(deny_bash_pattern or ()),
            deny_paths=tuple(deny_path or ()),
        ),
        session=where,
        json=json,
        output_schema=output_schema,
        cache_long=cache_long,
        compaction=not no_compaction,
        context_window=context_window,
        config=config,
        debug=bool(ctx.find_root().params.get("debug")),
    )
    Program(options).run(task or [])


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


def working_folder() -> Path:
    """The folder to work in. Raises ConfigError."""
    try:
        return Path.cwd()
    except OSError as error:
        raise ConfigError(f"the working folder cannot be used: {error.strerror}", "change to one that exists") from None


def _is_from_environment(ctx: typer.Context, name: str) -> bool:
    """Whether the parameter NAME was set by its variable, which any flag outweighs."""
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "ENVIRONMENT"


def names(given: list[str] | None) -> tuple[str, ...]:
    """The names in GIVEN, which commas may part."""
    return tuple(name.strip() for text in given or () for name in text.split(",") if name.strip())


def one_of(flag: str, given: str | None, known: tuple[T, ...]) -> T | None:
    """The one of KNOWN that FLAG was GIVEN. Raises ConfigError for another."""
    if given is None:
        return None
    for value in known:
        if given == value:
            return value
    raise ConfigError(f"{flag} {given}: must be one of {', '.join(known)}{nearest(given, known)}")


import beyond_ai.cli.agent_serve  # noqa: E402, F401 - adds its command to `app`
