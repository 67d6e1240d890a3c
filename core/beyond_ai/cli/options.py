"""Options and output that commands share."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperCommand

if TYPE_CHECKING:
    from typer._click.core import Context as ClickContext
    from typer._click.formatting import HelpFormatter

ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "-c", "--config", metavar="FILE", help="Configuration file. [default: $AI_CONFIG_PATH, ./config.toml]"
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Write JSON.")]


class GroupedCommand(TyperCommand):
    """A command whose many options stand in groups in the plain help: by `rich_help_panel`, Other last."""

    def format_options(self, ctx: "ClickContext", formatter: "HelpFormatter") -> None:
        """Write the groups."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                groups.setdefault(getattr(param, "rich_help_panel", None) or "Other", []).append(record)
        for title, records in sorted(groups.items(), key=lambda group: group[0] == "Other"):
            with formatter.section(title):
                formatter.write_dl(records)


def write_json(value: object) -> None:
    """VALUE on stdout, indented."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def write_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on stdout: fitted to a terminal, else one whole line a row, in columns, for other programs."""
    if sys.stdout.isatty():
        _write_rich_table(columns, rows)
        return
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    for row in (columns, *rows):
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _write_rich_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)
