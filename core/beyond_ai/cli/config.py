"""`beyond-ai config`: what the configuration is and where each value comes from, and whether it holds."""

import contextlib
import json as json_format
import sys

import typer

from beyond_ai.cli.options import ConfigFile, Json, write_json, write_table
from beyond_ai.config import load_settings
from beyond_ai.config.resolution import unresolved
from beyond_ai.errors import ConfigError
from beyond_ai.registry import load
from beyond_ai.spec.kinds import KINDS

app = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="Show the configuration and where it comes from, or check it."
)


@app.command()
def show(config: ConfigFile = None, json: Json = False) -> None:
    """Show every key, its value and where it was set; secrets as ***."""
    loaded = load_settings(config)
    if json:
        values = {key: {"value": value, "source": source} for key, value, source in loaded.entries()}
        write_json({"file": None if loaded.file is None else str(loaded.file), "values": values})
        return
    rows = [(key, _text(value), source) for key, value, source in loaded.entries()]
    write_table(("key", "value", "source"), rows)
    typer.echo(f"file: {loaded.file or 'none'}")


@app.command()
def check(config: ConfigFile = None) -> None:
    """Name every problem and exit with 2, or say ok.

    Problems with plugins are among them. Nothing is started.
    """
    loaded = load_settings(config)
    policy = loaded.settings.plugin_policy()
    with contextlib.redirect_stdout(sys.stderr):
        registry = load([kind.name for kind in KINDS], policy)
    problems = unresolved(loaded.settings, registry)
    if problems:
        raise ConfigError("\n".join(problems), "`beyond-ai plugins list` shows what is installed")
    typer.echo("ok")


def _text(value: object) -> str:
    """VALUE as TOML writes it; a dash for what is unset."""
    return "-" if value is None else json_format.dumps(value, ensure_ascii=False)
