"""`plugins list` and `plugins check`."""

from collections.abc import Mapping
from typing import Annotated, Final

import typer

from beyond_ai.cli.options import ConfigFile, Json, write_json, write_table
from beyond_ai.cli.plugins.loaded import KINDS_BY_NAME, kind_called, loaded, note_scanner, written
from beyond_ai.errors import BeyondError
from beyond_ai.layers import nearest
from beyond_ai.registry import PluginPolicy, PluginReport, State

COLUMNS: Final = ("kind", "name", "provides", "origin", "version", "load ms", "state")


def list_(
    config: ConfigFile = None,
    json: Json = False,
    kind: Annotated[str | None, typer.Option("--kind", help=f"One kind only: {', '.join(KINDS_BY_NAME)}.")] = None,
) -> None:
    """List every installed plugin, in use or not.

    Its origin is built-in or the distribution that it came with; its time that of its import and its hook.
    """
    values: Mapping[str, object] = {}
    try:
        values = written(config).values
        policy = PluginPolicy.from_values(values)
    except BeyondError as error:  # a broken configuration must not hide what is installed
        typer.echo(f"warning: {error.message}; shown as without a configuration", err=True)
        policy = PluginPolicy()
    registry = loaded(policy, None if kind is None else kind_called(kind))
    note_scanner(registry, values)
    reports = registry.reports
    if json:
        write_json([report.row() for report in reports])
        return
    write_table(COLUMNS, [_row(report) for report in reports])


def check(config: ConfigFile = None) -> None:
    """Load every plugin; exit with 1 when one fails.

    A plugin that the configuration disables and that is not installed is a failure too.
    """
    policy = PluginPolicy.from_values(written(config).values)
    registry = loaded(policy)
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


def _row(report: PluginReport) -> tuple[str, ...]:
    state = f"{report.state.value}: {report.reason}" if report.reason else report.state.value
    origin = "built-in" if report.built_in else report.distribution
    provides = ", ".join(f"{name} (active)" if name in report.active else name for name in report.provides)
    time = f"{report.load_ms:.1f}" if report.load_ms else "-"
    return report.kind, report.name, provides or "-", origin, report.version or "-", time, state
