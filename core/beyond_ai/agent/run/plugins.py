"""What plugins bring to a run: tools and agent hooks, as the user's configuration allows.

The configuration is the user's own, never that of the folder that the agent works in: a project that could switch a
gate off, or let a plugin in, would be no project to be safe from.
"""

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from beyond_ai.agent.run.options import ToolOptions
from beyond_ai.errors import ConfigError, PluginError
from beyond_ai.layers import Layers, nearest, read_layers
from beyond_ai.prices import ModelPrice
from beyond_ai.registry import PluginPolicy, Registry, State, load
from beyond_ai.spec.agent_hook import AgentHook
from beyond_ai.spec.component import Context
from beyond_ai.spec.tool import Tool, ToolContext, ToolResult
from beyond_ai.validation import problems_of

if TYPE_CHECKING:
    from pydantic import BaseModel

USER_CONFIG: Final = Path(".beyond-ai") / "config.toml"


@dataclass(frozen=True, slots=True)
class Plugged:
    """Tools by name, and hooks with their names in the order of these."""

    tools: dict[str, Tool]
    hooks: list[tuple[str, AgentHook]]


def user_layers(config: Path | None, home: Path) -> Layers:
    """The configuration: CONFIG, else $AI_CONFIG_PATH, else the user's own file; `./config.toml` is not looked at."""
    environ = dict(os.environ)
    environ.setdefault("AI_CONFIG_PATH", str(home / USER_CONFIG))
    return read_layers(config, environ)


def plug(layers: Layers, warn: Callable[[str], None], *, hooks: bool = True) -> Plugged:
    """Load tools and HOOKS. A tool that fails is left out and told; a hook that fails may be a gate: PluginError."""
    kinds = ["tool", "agent_hook"] if hooks else ["tool"]
    with contextlib.redirect_stdout(sys.stderr):
        registry = load(kinds, PluginPolicy.from_values(layers.values))
        for plugin in registry.plugins:
            if plugin.state in (State.FAILED, State.UNAVAILABLE):
                if plugin.kind.name == "agent_hook":
                    hint = f"mend it, or go without what it does: AI_PLUGINS_DISABLED={plugin.qualified}"
                    raise PluginError(plugin.error(plugin.reason).message, hint)
                if plugin.state is State.FAILED:
                    warn(f"{plugin.error(plugin.reason).message}: left out")
        made = [(name, _made(registry, name, layers.values, warn)) for name in registry.agent_hooks()]
        tools = {name: _configured(tool, registry, layers.values) for name, tool in registry.tools().items()}
    return Plugged(tools, made)


def chosen(tools: Mapping[str, Tool], options: ToolOptions) -> dict[str, Tool]:
    """The TOOLS that OPTIONS leave. Raises ConfigError for a name that there is not."""
    for flag, names in (("--tools", options.only), ("--exclude-tools", options.without)):
        _check_names(flag, names, tools)
    if options.none:
        return {}
    return {
        name: tool
        for name, tool in tools.items()
        if (not options.only or name in options.only) and name not in options.without
    }


def price_of(layers: Layers, model: str) -> ModelPrice | None:
    """What MODEL's tokens cost; None where the configuration does not say. Raises ConfigError."""
    from pydantic import ValidationError

    prices = layers.values.get("agent_prices", {})
    price = prices.get(model) if isinstance(prices, dict) else None
    if price is None:
        return None
    try:
        return ModelPrice.model_validate(price)
    except ValidationError as error:
        where = f"{layers.file}: agent_prices.{model}"
        raise ConfigError("\n".join(f"{where}.{problem}" for problem in problems_of(error))) from None


def _made(registry: Registry, name: str, values: Mapping[str, object], warn: Callable[[str], None]) -> AgentHook:
    table = _table(values, registry.origin("agent_hook", name).name)
    return registry.create("agent_hook", name, Context(warn=warn), table)


def _configured(tool: Tool, registry: Registry, values: Mapping[str, object]) -> Tool:
    """TOOL, whose calls find its settings in their context. Raises ConfigError, as its limits may be among them."""
    if tool.config is None:
        return tool
    config = registry.check_table("tool", tool.name, _table(values, registry.origin("tool", tool.name).name))

    async def run(arguments: "BaseModel", context: ToolContext) -> ToolResult:
        return await tool.run(arguments, replace(context, config=config))

    return replace(tool, run=run)


def _table(values: Mapping[str, object], plugin: str) -> Mapping[str, object] | None:
    tables = values.get("plugins", {})
    table = tables.get(plugin) if isinstance(tables, Mapping) else None
    return table if isinstance(table, Mapping) else None


def _check_names(flag: str, names: Iterable[str], tools: Mapping[str, Tool]) -> None:
    for name in names:
        if name not in tools:
            raise ConfigError(
                f"{flag} {name}: no such tool{nearest(name, tools)}", "`beyond-ai agent tools` lists them"
            )
