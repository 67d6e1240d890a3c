"""The command line, `beyond-ai`: each command's module is imported when the command runs, not before.

Our own commands are modules of this package, named in `group.BUILT_IN`, each with an `app`, a `typer.Typer`: one that
registers a single command becomes that command, one with several becomes a group. Other commands are plugins of the
group `beyond_ai.commands`.
"""

import os
import sys
from typing import Annotated, Final

import typer

from beyond_ai.cli.group import CommandGroup

PROFILE: Final = "--profile-startup"
"""Accepted anywhere in a command line: what it asks for begins before that is read."""

app = typer.Typer(
    cls=CommandGroup,
    add_completion=False,
    # Plain help and tracebacks: rich takes 70 ms to import, and its tracebacks would show local variables.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"beyond-ai {version('beyond-ai')}")
        raise typer.Exit


@app.callback()
def beyond_ai(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error came from.")] = False,
    profile_startup: Annotated[
        bool,
        typer.Option(PROFILE, help="When the command ends, say on stderr what was imported and how long it took."),
    ] = False,
) -> None:
    """LLM egress gateway and coding agent on a plugin framework."""


def main() -> None:
    """Run the command line; what the script `beyond-ai` calls."""
    _open_streams()
    if PROFILE in sys.argv[1:]:
        _run_profiled()
    try:
        app(prog_name="beyond-ai")
    except KeyboardInterrupt:  # before a command has signals in its own hands
        sys.exit(130)


def _run_profiled() -> None:
    """Start this command again with its imports timed, from the first one on; does not return."""
    from pathlib import Path

    rest = [argument for argument in sys.argv[1:] if argument != PROFILE]
    script = Path(__file__).with_name("import_times.py")
    sys.stdout.flush()
    # -P: the script's own folder has no place on the path of the program
    os.execv(sys.executable, [sys.executable, "-P", str(script), *rest])  # noqa: S606 - it is this program


def _open_streams() -> None:
    """Put /dev/null where a standard stream was closed before the start: the next file opened would take its number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None and os.open(os.devnull, os.O_RDWR) == number:
            os.set_inheritable(number, True)
            setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8", closefd=False))  # noqa: SIM115 - it has no path, and stays
