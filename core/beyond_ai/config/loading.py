"""Reads the configuration for a start: the layers, validated, with the source of each value kept."""

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
    scalars = [name for name, info in fields.items() if not isinstance(info.get_default(), dict)]
    layers = read_layers(config_file, environ, scalars=scalars)
    unknown = [f"{key}: unknown key{nearest(key, fields)}" for key in layers.values if key not in fields]
    known = {key: value for key, value in layers.values.items() if key in fields}
    try:
        settings = Settings(**known)  # type: ignore[arg-type]  # validation is what the constructor is for
    except ValidationError as error:
        problems = unknown + problems_of(error)
    else:
        problems = unknown
        if not problems:
            return Loaded(settings, layers)
    hint = "`config.example.toml` shows every key with its default"
    raise ConfigError("\n".join(f"{_place(problem, layers)}: {problem}" for problem in problems), hint)


def _place(problem: str, layers: Layers) -> str:
    """Where the value that PROBLEM is about was set: a variable's name or the file's."""
    key = problem.partition(": ")[0]
    source = layers.sources.get(key, "")
    return source.removeprefix("env ") if source.startswith("env ") else str(layers.file or "configuration")


def _leaves(key: str, value: object) -> list[tuple[str, object]]:
    if isinstance(value, dict) and value:
        return [leaf for name, item in value.items() for leaf in _leaves(f"{key}.{name}", item)]
    return [(key, value)]
