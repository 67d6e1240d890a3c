"""`beyond-ai agent serve`: the agent for a program at the other end of stdin and stdout."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

import typer

from beyond_ai.agent.run.options import RunOptions, SessionOptions
from beyond_ai.cli import agent_options as option
from beyond_ai.cli.agent import app
from beyond_ai.cli.agent_flags import takes_common_flags
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
SessionDir = Annotated[
    Path | None,
    typer.Option(
        "--session-dir",
        envvar="AI_AGENT_SESSION_DIR",
        metavar="DIR",
        show_default=False,
        rich_help_panel=option.SESSION,
        help="Keep sessions in this folder, and begin a new one. Without it, and without a file, nothing is kept.",
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
@takes_common_flags
def serve(
    common: RunOptions,
    approval_timeout: ApprovalTimeout = APPROVAL_SECONDS,
    session_file: SessionFile = None,
    session_dir: SessionDir = None,
) -> None:
    """Do what comes in on stdin, one JSON object a line, and answer on stdout (docs/serve-protocol.md).

    Without a file or folder the session is in memory alone. It ends with its input: exit code 0, and 130, 143 and 129
    for SIGINT, SIGTERM and SIGHUP; 1 or 2 where it cannot start.
    """
    from beyond_ai.agent.serve.server import Server, check

    options = replace(common, session=SessionOptions(file=session_file, folder=session_dir))
    check(options)
    Server(options, approval_timeout).run()


@app.command(name="serve-schema", hidden=True)
def serve_schema() -> None:
    """Print the JSON Schema of the frames of `serve`."""
    from beyond_ai.agent.serve.schema import schema
    from beyond_ai.cli.options import write_json

    write_json(schema())
