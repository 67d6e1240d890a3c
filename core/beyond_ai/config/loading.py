"""Reads the configuration for a start: the layers, validated, with the source of each value kept."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from beyond_ai.config.settings import Settings
from beyond_ai.errors import ConfigError
from beyond_ai.layers import Layers, nearest, read_layers
from beyond_ai.validation import problems_of


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, and where each value was set. `file` is None when no file was read."""

    settings: Settings
    layers: Layers

    @property
    def file(self) -> Path | None:
        """The file that was read."""
        return self.layers.file

    def entries(self) -> list[tuple[str, object, str]]:
        """Every value by its dotted key, secrets as `***`, with its source: `default`, `file` or `env NAME`."""
        return [
            (key, value, self._source(key))
            for field, shown in self.settings.shown().items()
            for key, value in _leaves(field, shown)
        ]

    def _source(self, key: str) -> str:
        return self.layers.sources.get(key, "default")


def load_settings(config_file: Path | None = None, environ: Mapping[str, str] | None = None) -> Loaded:
    """Read the configuration; see `layers.read_layers` for where from.

    Raises ConfigError whose message has one line `place: key: problem` for each mistake, never with a secret in it.
    """
    fields = Settings.model_fields
    layers = _layers(config_file, environ)
    unknown = [f"{key}: unknown key{nearest(key, fields)}" for key in layers.values if key not in fields]
    known = {key: value for key, value in layers.values.items() if key in fields}
    settings, problems = _validated(known)
    problems = unknown + problems
    if settings is not None and not problems:
        return Loaded(settings, layers)
    hint = "`config.example.toml` shows every key with its default"
    raise ConfigError("\n".join(f"{_place(problem, layers)}: {problem}" for problem in problems), hint)


def load_accepted(config_file: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings | None:
    """The settings that `load_settings` would give without the keys that it refuses; None where none are left.

    For looking at a broken configuration, never for a start. Raises ConfigError for a file that cannot be read.
    """
    values = {key: value for key, value in _layers(config_file, environ).values.items() if key in Settings.model_fields}
    settings, problems = _validated(values)
    if settings is None:
        refused = {re.split(r"[.:]", problem, maxsplit=1)[0] for problem in problems}
        settings, _ = _validated({key: value for key, value in values.items() if key not in refused})
    return settings


def _layers(config_file: Path | None, environ: Mapping[str, str] | None) -> Layers:
    fields = Settings.model_fields
    scalars = [name for name, info in fields.items() if not isinstance(info.get_default(), dict)]
    return read_layers(config_file, environ, scalars=scalars)


def _validated(values: Mapping[str, object]) -> tuple[Settings | None, list[str]]:
    """The settings that VALUES make, and what is wrong with them, a line each."""
    try:
        return Settings(**values), []  # validation is what the constructor is for
    except ValidationError as error:
        return None, problems_of(error)


def _place(problem: str, layers: Layers) -> str:
    """Where the value that PROBLEM is about was set: a variable's name or the file's."""
    key = problem.partition(": ")[0]
    source = layers.sources.get(key, "")
    return source.removeprefix("env ") if source.startswith("env ") else str(layers.file or "configuration")


def _leaves(key: str, value: object) -> list[tuple[str, object]]:
    if isinstance(value, dict) and value:
        return [leaf for name, item in value.items() for leaf in _leaves(f"{key}.{name}", item)]
    return [(key, value)]
