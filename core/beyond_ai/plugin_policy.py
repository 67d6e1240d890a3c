"""Which plugins may be used: the reserved keys of the `[plugins]` table.

Outside `registry`, so that a program which reads the configuration and loads no plugin, as the gateway's supervisor,
need not import what loads them.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from beyond_ai.errors import ConfigError
from beyond_ai.layers import nearest

RESERVED: Final = ("disabled", "allow", "prefer")
"""Keys of `[plugins]` that are about plugins in general; every other key is one plugin's own table."""


def canonical(distribution: str) -> str:
    """A distribution's name in the one spelling that names are compared in (PEP 503)."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


@dataclass(frozen=True, slots=True)
class PluginPolicy:
    """What the configuration says about plugins in general.

    Attributes:
        disabled: plugins that stay out, by entry-point name or `kind:name`.
        allow: distributions whose plugins may be used, beside our own; None for all.
        prefer: for a plugin's or an offered name that two distributions claim, the one that wins.
        third_party: False to start with our own plugins alone.
        strict: True to raise PluginError where a plugin would be set aside.
        load_timeout: seconds for each moment of a plugin's loading: its import, and its hook.
    """

    disabled: frozenset[str] = frozenset()
    allow: tuple[str, ...] | None = None
    prefer: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    third_party: bool = True
    strict: bool = False
    load_timeout: float = 5.0

    @classmethod
    def from_table(
        cls,
        table: Mapping[str, object],
        *,
        third_party: bool = True,
        strict: bool = False,
        load_timeout: float = load_timeout,
    ) -> "PluginPolicy":
        """The policy that a `[plugins]` table states. Raises ValueError, one line `key: problem` for each mistake."""
        problems = [
            f"{key}: must be the table of a plugin{nearest(key, RESERVED)}"
            for key, value in table.items()
            if key not in RESERVED and not isinstance(value, Mapping)
        ]
        disabled, allow, prefer = (table.get(key) for key in RESERVED)
        if disabled is not None and not _is_names(disabled):
            problems.append("disabled: must be a list of plugin names")
        if allow is not None and not _is_names(allow):
            problems.append("allow: must be a list of distribution names")
        if prefer is not None and not (isinstance(prefer, Mapping) and _is_names(list(prefer.values()))):
            problems.append("prefer: must be a table of name = distribution")
        if problems:
            raise ValueError("\n".join(problems))
        return cls(
            disabled=frozenset(_names(disabled)),
            allow=None if allow is None else _names(allow),
            prefer={str(name): str(winner) for name, winner in prefer.items()} if isinstance(prefer, Mapping) else {},
            third_party=third_party,
            strict=strict,
            load_timeout=load_timeout,
        )

    @classmethod
    def from_values(cls, values: Mapping[str, object]) -> "PluginPolicy":
        """The policy in unvalidated configuration VALUES. Raises ConfigError.

        For commands that must work when the rest of the configuration does not.
        """
        table = values.get("plugins", {})
        if not isinstance(table, Mapping):
            raise ConfigError("plugins: must be a table")
        third_party, strict = not _is_true(values.get("no_plugins")), _is_true(values.get("plugins_strict"))
        timeout = _seconds(values, "plugins_load_timeout_secs", cls().load_timeout)
        try:
            return cls.from_table(table, third_party=third_party, strict=strict, load_timeout=timeout)
        except ValueError as error:
            raise ConfigError("\n".join(f"plugins.{line}" for line in str(error).splitlines())) from None

    def is_disabled(self, kind: str, name: str) -> bool:
        """Whether the plugin NAME of KIND is switched off by name."""
        return name in self.disabled or f"{kind}:{name}" in self.disabled

    def is_allowed(self, distribution: str) -> bool:
        """Whether plugins of a third party's DISTRIBUTION may be used."""
        return self.allow is None or canonical(distribution) in map(canonical, self.allow)

    def preferred(self, name: str) -> str | None:
        """The canonical name of the distribution that wins NAME; None when the configuration names none."""
        winner = self.prefer.get(name)
        return None if winner is None else canonical(winner)


def _is_true(value: object) -> bool:
    """Whether VALUE is a yes, as the file or a variable writes it."""
    return str(value).strip().lower() in ("1", "true", "t", "yes", "y", "on")


def _seconds(values: Mapping[str, object], key: str, default: float) -> float:
    """The time at KEY, as the file or a variable writes it. Raises ConfigError for what is none."""
    value = values.get(key, default)
    try:
        seconds = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else 0.0
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < math.inf:
        raise ConfigError(f"{key}: must be a number of seconds above 0")
    return seconds


def _is_names(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(item, str) and item for item in value)


def _names(value: object) -> tuple[str, ...]:
    return tuple(str(item) for item in value) if isinstance(value, list | tuple) else ()
