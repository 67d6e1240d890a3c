"""`beyond-ai agent serve`: the agent for a program at the other end of stdin and stdout."""

from pathlib import Path
from typing import Annotated, Final, get_args

import typer

from beyond_ai.agent.run.options import DEFAULT_URL, RunOptions, SessionOptions, ToolOptions
from beyond_ai.cli import agent_options as option
from beyond_ai.cli.agent import app, names, one_of, working_folder
from beyond_ai.cli.options import GroupedCommand

APPROVAL_SECONDS: Final = 300.0

SessionFile = Annotated[
    Path | None,
    typer.Option(
        "--session-file",
        envvar="AI_AGENT_SESSION_FILE",
        metavar="FILE",
        show_default=False,
        rich_help_panel=option.SESSION,
        help="Keep the session in this file, and continue what is in it.",
    ),
]
ApprovalTimeout = Annotated[
    float,
    typer.Option(
        "--approval-timeout",
        metavar="SECONDS",
        min=0,
        show_default=False,
        rich_help_panel=option.TOOLS,
        help="How long an approval_request waits; then the answer is no. [default: 300]",
    ),
]


@app.command(cls=GroupedCommand)
def serve(
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
    system_prompt: option.SystemPrompt = None,
    append_system_prompt: option.AppendSystemPrompt = None,
    no_context_files: option.NoContextFiles = False,
    tools: option.Only = None,
    exclude_tools: option.Without = None,
    approve: option.Approve = "never",
    allow_destructive: option.AllowDestructive = False,
    approval_timeout: ApprovalTimeout = APPROVAL_SECONDS,
    root: option.Root = None,
    session_file: SessionFile = None,
    session_dir: option.SessionDir = None,
    cache_long: option.CacheLong = False,
    no_compaction: option.NoCompaction = False,
    context_window: option.ContextWindow = None,
    config: option.AgentConfig = None,
) -> None:
    """Do what comes in on stdin, one JSON object a line, and answer on stdout (docs/serve-protocol.md).

    Without a file or folder the session is kept in memory. It ends with its input: exit code 0, and 130, 143 and 129
    for SIGINT, SIGTERM and SIGHUP.
    """
    from beyond_ai.agent.dialects.dialect import DialectName
    from beyond_ai.agent.policy.rules import parse_mode
    from beyond_ai.agent.serve.server import Server, check
    from beyond_ai.spec.conversation import ThinkingLevel

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
        system_prompt=system_prompt,
        append_system_prompt=tuple(append_system_prompt or ()),
        context_files=not no_context_files,
        tools=ToolOptions(
            only=names(tools),
            without=names(exclude_tools),
            approve=parse_mode(approve),
            allow_destructive=allow_destructive,
            root=root,
        ),
        session=SessionOptions(file=session_file, folder=session_dir),
        cache_long=cache_long,
        compaction=not no_compaction,
        context_window=context_window,
        config=config,
    )
    check(options)
    Server(options, approval_timeout).run()


@app.command(name="serve-schema", hidden=True)
def serve_schema() -> None:
    """Print the JSON Schema of the frames of `serve`."""
    from beyond_ai.agent.serve.frames import schema
    from beyond_ai.cli.options import write_json

    write_json(schema())
