"""Creates a component from its record: checks its table against its model and calls `create` behind a guard."""

import inspect
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from beyond_ai.errors import ConfigError
from beyond_ai.layers import nearest
from beyond_ai.registry.plugin import Plugin, one_line
from beyond_ai.spec.agent_hook import AgentHook
from beyond_ai.spec.auth import AuthScheme
from beyond_ai.spec.component import Component, Context
from beyond_ai.spec.deny import DenyStore
from beyond_ai.spec.observer import Observer
from beyond_ai.spec.scanner import ScannerFactory
from beyond_ai.spec.sink import UsageSink
from beyond_ai.spec.tool import Tool
from beyond_ai.spec.transport import Transport
from beyond_ai.validation import problems_of

if TYPE_CHECKING:
    from pydantic import BaseModel

PRODUCTS: Final[Mapping[str, type]] = {
    "auth": AuthScheme,
    "scanner": ScannerFactory,
    "sink": UsageSink,
    "transport": Transport,
    "deny_store": DenyStore,
    "observer": Observer,
    "agent_hook": AgentHook,
}
"""What `create` must return, by kind."""


def create(
    plugin: Plugin, component: Component[object], context: Context, table: Mapping[str, object] | None
) -> object:
    """The component that PLUGIN offers, made with CONTEXT and TABLE, its own `[plugins.<name>]`.

    Raises ConfigError for a table that its model refuses, PluginError for whatever goes wrong in `create`.
    """
    context = replace(context, config=checked_table(plugin, component, table))
    try:
        product = component.create(context)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise plugin.error(f"`{component.name}` could not be created: {one_line(error)}") from error
    expected = PRODUCTS[plugin.kind.name]
    if not isinstance(product, expected):
        raise plugin.error(f"`{component.name}`: {_mismatch(product, expected)}")
    return product


def checked_table(
    plugin: Plugin, component: Component[object] | Tool, table: Mapping[str, object] | None
) -> "BaseModel | None":
    """TABLE as an instance of the component's, or tool's, model; None for one without.

    A model takes no keys that it does not declare, unless its `model_config` says so itself. A component without a
    model ignores the table: it may belong to a plugin of another kind that has the same name. Raises ConfigError.
    """
    where = f"[plugins.{plugin.name}]"
    model = component.config
    if model is None:
        return None
    from pydantic import ValidationError

    table = table or {}
    if model.model_config.get("extra", "forbid") == "forbid":
        known = {name for key, info in model.model_fields.items() for name in (key, info.alias) if name}
        unknown = [f"{where} {key}: unknown key{nearest(key, known)}" for key in table if key not in known]
        if unknown:
            raise ConfigError("\n".join(unknown))
    try:
        return model.model_validate(dict(table))
    except ValidationError as error:
        raise ConfigError("\n".join(f"{where} {problem}" for problem in problems_of(error))) from None
    except Exception as error:
        raise plugin.error(f"its check of {where} failed: {one_line(error)}") from error


def _mismatch(product: object, expected: type) -> str:
    members = {
        name
        for base in expected.__mro__
        if base.__module__.startswith("beyond_ai.")
        for name in (*vars(base), *inspect.get_annotations(base))
        if not name.startswith("_")
    }
    missing = sorted(name for name in members if not hasattr(product, name))
    lacks = f": it lacks {', '.join(missing)}" if missing else ""
    return f"create returned a {type(product).__name__}, which is no {expected.__name__}{lacks}"
