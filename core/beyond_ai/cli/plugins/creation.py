"""`plugins new`: a complete distribution with one plugin, to go on from."""

import os
import shutil
import sys
from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from beyond_ai.cli.plugins.loaded import KINDS_BY_NAME, kind_called
from beyond_ai.errors import BeyondError
from beyond_ai.spec.provider import check_provider_name


def new(
    kind: Annotated[str, typer.Argument(metavar="KIND", help=f"One of {', '.join(KINDS_BY_NAME)}.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="The plugin's name, as in `http-get`.")],
    directory: Annotated[
        Path | None,
        typer.Option("--directory", metavar="FOLDER", help="A new folder. [default: ./beyond-ai-KIND-NAME]"),
    ] = None,
) -> None:
    """Write a new plugin: a distribution with its test, checks and README, ready to install."""
    from beyond_ai.cli.group import BUILT_IN
    from beyond_ai.registry.discovery import discover
    from beyond_ai.scaffold import NewDistribution

    made = NewDistribution(kind_called(kind), name)
    if made.kind.name == "command" and name in BUILT_IN:
        raise BeyondError(f"the command {name} is beyond-ai's own", "choose another name")
    if made.kind.name == "provider":
        try:
            check_provider_name(name)
        except ValueError as error:
            raise BeyondError(f"provider `{name}`: {error}", "choose another name") from None
    for plugin in discover([made.kind]):
        if plugin.name == name:
            raise BeyondError(f"{plugin.qualified} is installed already, by {plugin.origin}", "choose another name")
    folder = directory or Path(made.distribution)
    files = made.write(folder)
    typer.echo(f"{folder}: {len(files)} files; the plugin is {files[-3]}\n\nnext:\n")
    for command in (
        f"{_program('pip')} install -e {quote(f'{folder}[dev]')}",
        f"{_program('pytest')} {quote(str(folder))}",
        f"{_program('beyond-ai')} plugins show {made.kind.name}:{name}",
    ):
        typer.echo(f"  {command}")


def _program(name: str) -> str:
    """How to call NAME of this environment: by name alone where the shell finds that one, else by its path."""
    here = Path(sys.executable).with_name(name)
    found = shutil.which(name)
    if found is not None and os.path.realpath(Path(found).parent) == os.path.realpath(here.parent):
        return name
    path = os.path.relpath(here)
    return quote(str(here) if path.startswith("..") else path)
