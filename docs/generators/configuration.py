"""Every key of the configuration, from the fields of `Settings` in the order and under the headings of the example."""

import json
import re
from collections.abc import Iterator, Mapping
from inspect import formatannotation
from pathlib import Path
from types import NoneType
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints

from beyond_ai import Component
from beyond_ai.config import Settings, values
from beyond_ai.layers import DISABLED_VARIABLE, MAP_VARIABLES, PLAIN_VARIABLES
from beyond_ai.prices import ModelPrice
from beyond_ai.registry import PluginPolicy, load
from beyond_ai.spec import KINDS
from generators.sources import class_tree, notes
from generators.tables import code, prose, table

EXAMPLE: Final = Path(__file__).parents[2] / "config.example.toml"
HEADING: Final = re.compile(r"^# ---- ([^;\n]*?)(?:;[^\n]*)? ----$(.*?)(?=^# ----|\Z)", re.MULTILINE | re.DOTALL)
TABLES: Final = "Tables"
"""What stands in the example after the headings: maps of names to values."""
TYPES: Final = (
    (values.Listen, "`host:port`"),
    (values.Token, "text, secret"),
    (values.Secret, "text, secret"),
    (values.Workers, "0 to 512"),
    (values.Seconds, "seconds, above 0"),
    (values.SecondsOrNone, "seconds"),
    (values.Count, "1 or more"),
    (values.Limit, "0 or more"),
    (values.KeepaliveSeconds, "1 to 32767 seconds"),
    (values.KeepaliveCount, "1 to 127"),
    (values.Names, "list of names"),
    (values.KeyId, "number below 2^32"),
    (values.PublicKey, "Ed25519 public key, base64"),
    (values.ProviderName, "provider"),
    (values.PoolKeys, "key, or list of keys"),
    (values.Authority, "`host:port`"),
    (values.DialectName, "`openai` or `anthropic`"),
    (values.KeySchemeName, "`bearer`, `x-api-key` or `api-key`"),
    (ModelPrice, "prices"),
    (Path, "path"),
    (bool, "true or false"),
    (int, "number"),
    (float, "number"),
    (str, "text"),
    (object, "anything"),
)
"""The types of settings in an operator's words."""


def page() -> Iterator[str]:
    """Yield the page."""
    yield "# Configuration"
    yield ""
    yield (
        "Every key of the TOML file that `-c/--config` names, else `AI_CONFIG_PATH`, else `config.toml` in the working "
        "folder. A variable wins over the file. A key that is not known is refused. "
        "[config.example.toml](../../config.example.toml) is a file with all of them."
    )
    for heading, names in _headings():
        yield ""
        yield f"## {heading}"
        yield ""
        yield from table(("key", "type", "default", "variable", "meaning"), map(_row, names))
    yield ""
    yield f"`{DISABLED_VARIABLE}` adds names, with commas between them, to `disabled` of the table `plugins`."
    yield ""
    yield "## Tables of plugins"
    yield ""
    yield "`[plugins.<name>]` is the table of the plugin of that name. Of ours, these have one:"
    for name, model in _plugin_models().items():
        yield ""
        yield f"### `[plugins.{name}]`"
        yield ""
        texts = notes(class_tree(model).body)
        rows = [
            (
                f"`{info.alias or key}`",
                _annotation(info.annotation),
                _default(info.default),
                prose(info.description or texts.get(key, "")),
            )
            for key, info in model.model_fields.items()
        ]
        yield from table(("key", "type", "default", "meaning"), rows)


def _headings() -> Iterator[tuple[str, list[str]]]:
    """Each heading of the example, with the keys below it."""
    text, _, _ = EXAMPLE.read_text().partition("[signing_keys]")
    seen: list[str] = []
    for heading, part in HEADING.findall(text):
        names = re.findall(r"^#?(\w+) = ", part, re.MULTILINE)
        seen += names
        yield heading, names
    yield TABLES, [name for name in Settings.model_fields if name not in seen]


def _row(name: str) -> tuple[str, ...]:
    info = Settings.model_fields[name]
    kind = get_type_hints(Settings, include_extras=True)[name]
    optional = NoneType in get_args(kind)
    return (
        f"`{name}`",
        _type(next(part for part in get_args(kind) if part is not NoneType) if optional else kind),
        "" if isinstance(info.default, dict) else _default(Settings().shown()[name]),
        _variable(name, isinstance(info.default, dict)),
        prose(info.description or ""),
    )


def _type(kind: object) -> str:
    if get_origin(kind) is dict:
        key, value = get_args(kind)
        return f"table: {_type(key)} to {_type(value)}"
    if get_origin(kind) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(kind))
    for known, text in TYPES:
        if kind == known:
            return text
    return _annotation(_bare(kind))


def _bare(kind: Any) -> Any:
    """KIND without what `Annotated` adds to it."""
    return getattr(kind, "__origin__", kind)


def _annotation(kind: Any) -> str:
    """A type in words where there are some, else as Python writes it."""
    kind = next(part for part in get_args(kind) or (kind,) if part is not NoneType)
    for known, text in TYPES:
        if kind is known:
            return text
    return code(formatannotation(kind))


def _default(value: object) -> str:
    """VALUE as TOML writes it; nothing for what is unset."""
    if value is None or not isinstance(value, str | int | float | list | tuple):
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return f"`{json.dumps(value)}`"


def _variable(name: str, is_map: bool) -> str:
    if is_map:
        return ", ".join(f"`{prefix}<NAME>`" for prefix, field in MAP_VARIABLES.items() if field == name)
    others = [f"`{variable}`" for variable, field in PLAIN_VARIABLES.items() if field == name]
    return ", ".join([f"`AI_{name.upper()}`", *others])


def _plugin_models() -> Mapping[str, Any]:
    """The models of our own plugins' tables, by the names of the plugins."""
    registry = load([kind.name for kind in KINDS], PluginPolicy(third_party=False))
    return {
        plugin.name: record.config
        for plugin in sorted(registry.plugins, key=lambda plugin: plugin.name)
        for record in plugin.records.values()
        if isinstance(record, Component) and record.config is not None
    }
