"""`beyond-ai checkpoint`: see the checkpoints of this repository, and go back to one."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from beyond_ai import BeyondError, Command, hookimpl
from git_checkpoint.checkpoints import Checkpoints
from git_checkpoint.git import Repository

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="The folder as it was before the agent wrote.")


@app.command("list")
def list_() -> None:
    """Show the checkpoints, the latest first."""
    for checkpoint in _checkpoints().all():
        typer.echo(f"{checkpoint.commit[:10]}  {checkpoint.time}  {checkpoint.reason}")


@app.command()
def rollback(
    checkpoint: Annotated[str, typer.Argument(help="As `list` shows it.")],
) -> None:
    """Make all files as they were at a checkpoint. Branch, index and ignored files stay as they are.

    The files as they are now become a checkpoint first.
    """
    target, kept = _checkpoints().roll_back(checkpoint)
    typer.echo(f"as it was at {target.commit[:10]}, {target.reason}")
    typer.echo(f"to take that back: beyond-ai checkpoint rollback {kept[:10]}")


def _checkpoints() -> Checkpoints:
    repository = Repository.around(Path.cwd())
    if repository is None:
        raise BeyondError("this folder is in no git repository", "checkpoints are made in repositories only: git init")
    return Checkpoints(repository)


@hookimpl
def beyond_commands() -> Iterator[Command]:
    """Offer `checkpoint`."""
    yield Command(name="checkpoint", summary="The folder as it was before the agent wrote.", app=app)
