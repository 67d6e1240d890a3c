"""Where configuration comes from: the TOML file, overlaid by `AI_*` variables, as plain values with their sources.

Knows nothing of the fields' types, and imports nothing heavy, so that commands which only look at `[plugins]` stay
quick. What the values mean is `config`'s business.
"""

import difflib
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from beyond_ai.errors import ConfigError

DEFAULT_FILE: Final = Path("config.toml")
PREFIX: Final = "AI_"
MAP_VARIABLES: Final = {"AI_POOL_KEY_": "pool_keys", "AI_SIGNING_KEY_": "signing_keys"}
"""Variables that set one entry of a map: the rest of the name is the entry's key."""
PLAIN_VARIABLES: Final = {"AI_LOG": "log_level"}
"""Variables whose name is not their field's."""
PLUGIN_SCALARS: Final = ("no_plugins", "plugins_strict", "plugins_load_timeout_secs")
"""The fields that say how plugins are loaded, beside the table `[plugins]`."""
DISABLED_VARIABLE: Final = "AI_PLUGINS_DISABLED"
"""Names, separated by commas, that are added to `[plugins] disabled`."""


@dataclass(frozen=True, slots=True)
class Layers:
    """The merged values and, for each by its dotted key, where it was set: `file` or `env NAME`."""

    values: dict[str, object] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    file: Path | None = None


def read_layers(
    config_file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    *,
    scalars: Iterable[str] = PLUGIN_SCALARS,
) -> Layers:
    """Read the file and the environment. SCALARS are the fields that `AI_<FIELD>` may set.

    A file named by CONFIG_FILE must exist; the one in AI_CONFIG_PATH, by default `./config.toml`, may be missing.
    Unknown, empty and undecodable variables are passed over. Raises ConfigError for a file that cannot be read.
    """
    environ = os.environ if environ is None else environ
    path = config_file or Path(environ.get("AI_CONFIG_PATH") or DEFAULT_FILE)
    values = _read_file(path, required=config_file is not None)
    layers = Layers({} if values is None else values, {}, None if values is None else path)
    layers.sources.update((key, "file") for key in _keys(layers.values))
    fields = {f"{PREFIX}{name.upper()}": name for name in scalars} | PLAIN_VARIABLES
    for variable, text in sorted(environ.items()):
        if not variable.startswith(PREFIX) or not text.strip() or not _is_unicode(variable + text):
            continue
        if variable in fields:
            _overlay(layers, (fields[variable],), text, variable)
        elif variable == DISABLED_VARIABLE:
            _add_disabled(layers, text)
        else:
            for prefix, name in MAP_VARIABLES.items():
                if variable.startswith(prefix) and variable != prefix:
                    _overlay(layers, (name, variable.removeprefix(prefix).lower()), text, variable)
    return layers


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a message about the unknown NAME: `; did you mean X?`, or nothing when none is near."""
    matches = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean `{matches[0]}`?" if matches else ""


def _read_file(path: Path, *, required: bool) -> dict[str, object] | None:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if required:
            raise ConfigError(
                f"{path}: no such file", "name an existing file with -c/--config, or leave it out"
            ) from None
        return None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}", "save the file as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}", "see https://toml.io") from None


def _is_unicode(text: str) -> bool:
    """Whether TEXT was valid UTF-8: Python puts surrogates where a variable's bytes were not."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _keys(table: Mapping[str, object], prefix: str = "") -> Iterable[str]:
    """The dotted keys of all leaves; an empty table is a leaf."""
    for key, value in table.items():
        if isinstance(value, Mapping) and value:
            yield from _keys(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def _overlay(layers: Layers, path: tuple[str, ...], value: object, variable: str) -> None:
    """Set the value at PATH. A file's value that is no table where one belongs stays, for validation to refuse."""
    *parents, last = path
    table: object = layers.values
    for parent in parents:
        if isinstance(table, dict):
            table = table.setdefault(parent, {})
    if isinstance(table, dict):
        table[last] = value
        layers.sources[".".join(path)] = f"env {variable}"


def _add_disabled(layers: Layers, text: str) -> None:
    plugins = layers.values.get("plugins")
    before = plugins.get("disabled") if isinstance(plugins, dict) else None
    names = [name.strip() for name in text.split(",") if name.strip()]
    if before is None or isinstance(before, list):
        _overlay(layers, ("plugins", "disabled"), [*(before or []), *names], DISABLED_VARIABLE)
