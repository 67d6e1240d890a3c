"""`beyond-ai plugins`: what is installed, what it offers, and why something is not in use.

These are the commands for when something is broken, so they need no valid configuration beyond `[plugins]`, and no
plugin to import: what fails is a row. What plugins print while they load goes to stderr.
"""

import contextlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from inspect import formatannotation
from typing import TYPE_CHECKING, Annotated

import typer

from beyond_ai.cli.options import ConfigFile, Json, write_json, write_table
from beyond_ai.errors import BeyondError, PluginError
from beyond_ai.layers import nearest, read_layers
from beyond_ai.registry import Plugin, PluginPolicy, PluginReport, Registry, State, load
from beyond_ai.registry.scanners import AUTO, choose_scanner
from beyond_ai.spec.component import Component, Context
from beyond_ai.spec.kinds import KINDS
from beyond_ai.spec.scanner import ScannerFactory
from beyond_ai.spec.tool import Tool

if TYPE_CHECKING:
    from pydantic import BaseModel

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="List installed plugins, look at one, check all.")

KINDS_BY_NAME = [kind.name for kind in KINDS]


@app.command("list")
def list_(
    config: ConfigFile = None,
    json: Json = False,
    kind: Annotated[str | None, typer.Option("--kind", help=f"One kind only: {', '.join(KINDS_BY_NAME)}.")] = None,
) -> None:
    """List every installed plugin, in use or not."""
    values: Mapping[str, object] = {}
    try:
        values = _values(config)
        policy = PluginPolicy.from_values(values)
    except BeyondError as error:  # a broken configuration must not hide what is installed
        typer.echo(f"warning: {error.message}; shown as without a configuration", err=True)
        policy = PluginPolicy()
    registry = _load(policy, kind)
    _note_scanner(registry, values)
    reports = registry.reports
    if json:
        write_json([report.row() for report in reports])
        return
    write_table(("kind", "name", "provides", "distribution", "state"), [_row(report) for report in reports])


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A plugin, what it offers, or KIND:NAME.")],
    config: ConfigFile = None,
    json: Json = False,
) -> None:
    """Show all that is known of one plugin.

    Its origin, hooks, records and configuration keys; of all plugins with that name, where there are several.
    """
    values = _values(config)
    registry = _load(PluginPolicy.from_values(values), None)
    _note_scanner(registry, values)
    found = [plugin for plugin in registry.plugins if name in (plugin.name, plugin.qualified, *plugin.records)]
    if not found:
        known = {known for plugin in registry.plugins for known in (plugin.name, *plugin.records)}
        raise PluginError(f"no plugin is called {name}{nearest(name, known)}", "see `beyond-ai plugins list`")
    described = [_described(plugin) for plugin in found]
    if json:
        write_json(described)
        return
    typer.echo("\n\n".join("\n".join(_lines(facts)) for facts in described))


@app.command()
def check(config: ConfigFile = None) -> None:
    """Load every plugin; exit with 1 when one fails.

    A plugin that the configuration disables and that is not installed is a failure too.
    """
    policy = PluginPolicy.from_values(_values(config))
    registry = _load(policy, None)
    problems = [
        f"{plugin.qualified} ({plugin.origin}): {plugin.reason}"
        for plugin in registry.plugins
        if plugin.state is State.FAILED
    ]
    names = {known for plugin in registry.plugins for known in (plugin.name, plugin.qualified)}
    problems += [
        f"[plugins] disabled: no plugin is called {name}{nearest(name, names)}"
        for name in sorted(policy.disabled)
        if name not in names
    ]
    for problem in problems:
        typer.echo(problem)
    if problems:
        raise typer.Exit(1)
    typer.echo(f"ok: {len(registry.plugins)} plugins")


def _values(config: ConfigFile) -> Mapping[str, object]:
    """The configuration as it is written; of its keys only those are looked at that are about plugins."""
    return read_layers(config, scalars=("no_plugins", "plugins_strict", "scanner")).values


def _load(policy: PluginPolicy, kind: str | None) -> Registry:
    if kind is not None and kind not in KINDS_BY_NAME:
        raise PluginError(
            f"no kind is called {kind}{nearest(kind, KINDS_BY_NAME)}", f"kinds: {', '.join(KINDS_BY_NAME)}"
        )
    with contextlib.redirect_stdout(sys.stderr):
        return load(KINDS_BY_NAME if kind is None else [kind], replace(policy, strict=False))


def _note_scanner(registry: Registry, values: Mapping[str, object]) -> None:
    """Let REGISTRY note the scanner that a gateway with the configuration VALUES would use, if it could start."""
    tables = values.get("plugins")

    def create(name: str) -> ScannerFactory:
        table = tables.get(registry.origin("scanner", name).name) if isinstance(tables, Mapping) else None
        return registry.create("scanner", name, Context(), table if isinstance(table, Mapping) else None)

    def failed(name: str, error: PluginError) -> None:
        registry.fail("scanner", name, error.message)

    wanted = values.get("scanner", AUTO)
    if isinstance(wanted, str) and (wanted == AUTO or wanted in registry.scanners()):
        with contextlib.suppress(BeyondError), contextlib.redirect_stdout(sys.stderr):
            choose_scanner(registry, wanted, create, failed)


def _row(report: PluginReport) -> tuple[str, ...]:
    state = f"{report.state.value}: {report.reason}" if report.reason else report.state.value
    origin = f"{report.distribution} {report.version}".strip()
    provides = ", ".join(f"{name} (active)" if name in report.active else name for name in report.provides)
    return report.kind, report.name, provides, origin, state


def _described(plugin: Plugin) -> dict[str, object]:
    """All that is known of PLUGIN, as JSON values."""
    distribution = plugin.entry_point.dist
    return plugin.report().row() | {
        "group": plugin.kind.group,
        "location": str(distribution.locate_file("")) if distribution is not None else "",
        "hooks": list(plugin.hooks),
        "offers": {name: _facts(record) for name, record in plugin.records.items()},
        "config": {
            key: described
            for record in plugin.records.values()
            if isinstance(record, Component | Tool) and record.config is not None
            for key, described in _config_keys(record.config).items()
        },
    }


def _facts(record: object) -> dict[str, object]:
    """The attributes of RECORD that say something, as JSON values."""
    if isinstance(record, Component):
        return {"summary": record.summary}
    if isinstance(record, Tool):
        return {"description": record.description, "arguments": list(record.arguments.model_fields)}
    if not is_dataclass(record):
        return {}
    values = {field.name: getattr(record, field.name) for field in fields(record) if field.name not in ("name", "app")}
    return {key: _json(value) for key, value in values.items() if value not in ("", (), None)}


def _json(value: object) -> object:
    if isinstance(value, tuple):
        return [_json(item) for item in value]
    return value if isinstance(value, str | int | float) else getattr(value, "value", str(value))


def _config_keys(model: "type[BaseModel]") -> dict[str, dict[str, object]]:
    """The keys of a plugin's table: type, default (None where it must be set or is computed), what it is for."""
    return {
        info.alias or key: {
            "type": formatannotation(info.annotation),
            "default": None if info.is_required() or info.default_factory else _json(info.default),
            "required": info.is_required(),
            "description": info.description or "",
        }
        for key, info in model.model_fields.items()
    }


def _lines(facts: Mapping[str, object], indent: str = "") -> Iterator[str]:
    """FACTS as indented `key: value` lines; what is empty is left out."""
    for key, value in facts.items():
        if isinstance(value, Mapping):
            if value:
                yield f"{indent}{key}:"
                yield from _lines(value, f"{indent}  ")
        elif isinstance(value, list):
            if value:
                yield f"{indent}{key}: {', '.join(map(str, value))}"
        elif value not in ("", None):
            yield f"{indent}{key}: {str(value).lower() if isinstance(value, bool) else value}"
