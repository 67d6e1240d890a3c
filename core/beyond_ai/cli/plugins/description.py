"""`plugins show`: all that is known of one plugin."""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from importlib.metadata import Distribution
from inspect import formatannotation
from typing import TYPE_CHECKING, Annotated, Final

import typer

from beyond_ai.cli.options import ConfigFile, Json, write_json
from beyond_ai.cli.plugins.loaded import loaded, note_scanner, table_of, written
from beyond_ai.errors import BeyondError, PluginError
from beyond_ai.layers import Layers, nearest
from beyond_ai.registry import Plugin, PluginPolicy
from beyond_ai.registry.creation import checked_table
from beyond_ai.spec.component import Component
from beyond_ai.spec.provider import Provider
from beyond_ai.spec.tool import Tool

if TYPE_CHECKING:
    from pydantic import BaseModel

_LINKS: Final = ("documentation", "docs", "homepage", "repository", "source")
"""Labels of links in a distribution's metadata that lead to documentation, the best first."""


def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A plugin, what it offers, or KIND:NAME.")],
    config: ConfigFile = None,
    json: Json = False,
) -> None:
    """Show all that is known of one plugin.

    Its origin, hooks, records, documentation, and configuration keys, each with its value and where it was set; of all
    plugins with that name, where there are several.
    """
    layers = written(config)
    registry = loaded(PluginPolicy.from_values(layers.values))
    note_scanner(registry, layers.values)
    found = [plugin for plugin in registry.plugins if name in (plugin.name, plugin.qualified, *plugin.records)]
    if not found:
        known = {known for plugin in registry.plugins for known in (plugin.name, *plugin.records)}
        raise PluginError(f"no plugin is called {name}{nearest(name, known)}", "see `beyond-ai plugins list`")
    described = [_described(plugin, layers) for plugin in found]
    if json:
        write_json(described)
        return
    typer.echo("\n\n".join("\n".join(_lines(facts)) for facts in described))


def _described(plugin: Plugin, layers: Layers) -> dict[str, object]:
    """All that is known of PLUGIN, as JSON values."""
    distribution = plugin.entry_point.dist
    return plugin.report().row() | {
        "group": plugin.kind.group,
        "location": str(distribution.locate_file("")) if distribution is not None else "",
        "documentation": _documentation(plugin, distribution),
        "hooks": list(plugin.hooks),
        "offers": {name: _facts(record) for name, record in plugin.records.items()},
        "config": {
            key: described
            for record in plugin.records.values()
            if isinstance(record, Component | Tool) and record.config is not None
            for key, described in _config_keys(plugin, record, record.config, layers).items()
        },
    }


def _documentation(plugin: Plugin, distribution: Distribution | None) -> str:
    """Where PLUGIN is described: its own record's link, else the best of its distribution's."""
    for record in plugin.records.values():
        if isinstance(record, Provider) and record.documentation:
            return record.documentation
    if distribution is None:
        return ""
    by_label: dict[str, str] = {}
    for line in distribution.metadata.get_all("Project-URL") or ():
        label, _, link = line.partition(",")
        by_label[label.strip().lower()] = link.strip()
    return next((by_label[label] for label in _LINKS if by_label.get(label)), "")


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
    if isinstance(value, list | tuple):
        return [_json(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _json(item) for key, item in value.items()}
    return value if value is None or isinstance(value, str | int | float) else getattr(value, "value", str(value))


def _config_keys(
    plugin: Plugin, record: Component[object] | Tool, model: "type[BaseModel]", layers: Layers
) -> dict[str, dict[str, object]]:
    """The keys of a plugin's table: what each is for, its value, secrets hidden, and where that was set.

    `default` is None where a key must be set or its default is computed. Of a table that is refused no value is shown.
    """
    values: BaseModel | None = None
    problem = ""
    try:
        values = checked_table(plugin, record, table_of(plugin, layers.values))
    except BeyondError as error:
        problem = error.message
    keys = {
        info.alias or key: {
            "type": formatannotation(info.annotation),
            "value": None if values is None else _json(getattr(values, key)),
            "source": _source(f"plugins.{plugin.name}.{info.alias or key}", layers),
            "default": None if info.is_required() or info.default_factory else _json(info.default),
            "required": info.is_required(),
            "description": info.description or "",
        }
        for key, info in model.model_fields.items()
    }
    return keys | ({"problem": {"text": problem}} if problem else {})


def _source(key: str, layers: Layers) -> str:
    """Where the value at KEY was set: `default`, `file` with its path, or `env` with the variable."""
    inner = (source for found, source in layers.sources.items() if found == key or found.startswith(f"{key}."))
    source = next(inner, "default")
    return f"file {layers.file}" if source == "file" else source


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
