"""Every command with its arguments and options, from the applications themselves."""

import importlib
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer
import typer.main

from beyond_ai.cli.group import BUILT_IN, COMPLETION
from beyond_ai.registry import PluginPolicy, load
from generators.tables import code, prose, table

if TYPE_CHECKING:
    from typer._click.core import Command as ClickCommand


def page() -> Iterator[str]:
    """Yield the page."""
    yield "# Commands"
    yield ""
    yield (
        "`beyond-ai --version` says which one this is, and `--debug` before a command shows where an error came from. "
        "`-h` works everywhere."
    )
    for name, application in _applications():
        yield from _described(f"beyond-ai {name}", typer.main.get_command(application), level=2)


def _applications() -> Iterator[tuple[str, typer.Typer]]:
    """Our own commands, then those of our plugins."""
    for name, (module, _) in BUILT_IN.items():
        yield name, importlib.import_module(module).app
    registry = load(["command"], PluginPolicy(third_party=False))
    for name, command in sorted(registry.commands().items()):
        yield name, command.app


def _described(path: str, command: "ClickCommand", level: int) -> Iterator[str]:
    context = command.make_context(path, [], resilient_parsing=True)
    inner = getattr(command, "commands", None)
    yield ""
    yield f"{'#' * level} `{path}`"
    yield ""
    yield from _paragraphs(command.help or "")
    if inner is not None:
        for name, sub_command in inner.items():
            if not sub_command.hidden:
                yield from _described(f"{path} {name}", sub_command, level + 1)
        return
    yield "```text"
    yield " ".join([path, *command.collect_usage_pieces(context)])
    yield "```"
    for title, rows in _groups(command, context).items():
        yield ""
        yield from table((title.lower(), "meaning"), rows)


def _groups(command: "ClickCommand", context: object) -> dict[str, list[tuple[str, str]]]:
    """The parameters of COMMAND, in the groups of its help."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for param in command.get_params(context):  # type: ignore[arg-type]
        record = param.get_help_record(context)  # type: ignore[arg-type]
        if record is None or param.name in (*COMPLETION, "help"):
            continue
        is_argument = param.param_type_name == "argument"
        title = getattr(param, "rich_help_panel", None) or ("Argument" if is_argument else "Option")
        written = re.sub(r" <[\w\[\] |]+>$", "", record[0]) if is_argument else record[0]
        groups.setdefault(title, []).append((code(written), prose(record[1])))
    return groups


def _paragraphs(text: str) -> Iterator[str]:
    for paragraph in text.strip().split("\n\n"):
        yield prose(paragraph)
        yield ""
