"""The result of loading: plain tables by name, which programs read once when they start."""

import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeVar, cast, overload

import pluggy

from beyond_ai.plugin_policy import PluginPolicy
from beyond_ai.registry import conflicts, creation
from beyond_ai.registry.deadline import within
from beyond_ai.registry.description import describe
from beyond_ai.registry.discovery import apply_policy, discover
from beyond_ai.registry.loading import import_plugins, new_manager, register
from beyond_ai.registry.plugin import Plugin, PluginReport, State, Unusable, one_line
from beyond_ai.spec.agent_hook import AgentHook
from beyond_ai.spec.auth import AuthScheme
from beyond_ai.spec.availability import Unavailable
from beyond_ai.spec.command import Command
from beyond_ai.spec.component import Component, Context
from beyond_ai.spec.deny import DenyStore
from beyond_ai.spec.kinds import kind_named
from beyond_ai.spec.observer import Observer
from beyond_ai.spec.provider import Provider
from beyond_ai.spec.scanner import ScannerFactory
from beyond_ai.spec.sink import UsageSink
from beyond_ai.spec.tool import Tool
from beyond_ai.spec.transport import Transport

if TYPE_CHECKING:
    from pydantic import BaseModel

R = TypeVar("R")


class Registry:
    """What the loaded plugins offer. Each accessor returns a new dict by offered name, in the order of being asked."""

    def __init__(self, plugins: Sequence[Plugin], *, strict: bool = False) -> None:
        self._plugins = tuple(plugins)
        self._strict = strict

    @property
    def plugins(self) -> tuple[Plugin, ...]:
        """Every discovered plugin of the loaded kinds, whatever its state."""
        return self._plugins

    @property
    def reports(self) -> tuple[PluginReport, ...]:
        """A report of each plugin as it stands now, in the same order."""
        return tuple(plugin.report() for plugin in self._plugins)

    def providers(self) -> dict[str, Provider]:
        """Providers by name."""
        return self._table("provider", Provider)

    def auth_schemes(self) -> dict[str, Component[AuthScheme]]:
        """Auth schemes by name, in the order in which they are asked about a credential."""
        return self._table("auth", Component)

    def scanners(self) -> dict[str, Component[ScannerFactory]]:
        """Scanners by name."""
        return self._table("scanner", Component)

    def sinks(self) -> dict[str, Component[UsageSink]]:
        """Usage sinks by name."""
        return self._table("sink", Component)

    def transports(self) -> dict[str, Component[Transport]]:
        """Transports by name."""
        return self._table("transport", Component)

    def deny_stores(self) -> dict[str, Component[DenyStore]]:
        """Deny stores by name."""
        return self._table("deny_store", Component)

    def observers(self) -> dict[str, Component[Observer]]:
        """Observers by name."""
        return self._table("observer", Component)

    def tools(self) -> dict[str, Tool]:
        """Tools by name."""
        return self._table("tool", Tool)

    def agent_hooks(self) -> dict[str, Component[AgentHook]]:
        """Agent hooks by name, in the order in which they are called."""
        return self._table("agent_hook", Component)

    def commands(self) -> dict[str, Command]:
        """Commands by name."""
        return self._table("command", Command)

    def origin(self, kind: str, offered_name: str) -> PluginReport:
        """The plugin that offers OFFERED_NAME; one in use before one that is not. KeyError when none does."""
        return self._offering(kind, offered_name).report()

    @overload
    def create(
        self, kind: Literal["auth"], name: str, context: Context, table: Mapping[str, object] | None
    ) -> AuthScheme: ...
    @overload
    def create(
        self, kind: Literal["scanner"], name: str, context: Context, table: Mapping[str, object] | None
    ) -> ScannerFactory: ...
    @overload
    def create(
        self, kind: Literal["sink"], name: str, context: Context, table: Mapping[str, object] | None
    ) -> UsageSink: ...
    @overload
    def create(
        self, kind: Literal["transport"], name: str, context: Context, table: Mapping[str, object] | None
    ) -> Transport: ...
    @overload
    def create(
        self, kind: Literal["deny_store"], name: str, context: Context, table: Mapping[str, object] | None
    ) -> DenyStore: ...
    @overload
    def create(
        self, kind: Literal["observer"], name: str, context: Context, table: Mapping[str, object] | None
    ) -> Observer: ...
    @overload
    def create(
        self, kind: Literal["agent_hook"], name: str, context: Context, table: Mapping[str, object] | None
    ) -> AgentHook: ...
    @overload
    def create(self, kind: str, name: str, context: Context, table: Mapping[str, object] | None) -> object: ...
    def create(self, kind: str, name: str, context: Context, table: Mapping[str, object] | None) -> object:
        """Make the component NAME of KIND.

        TABLE is its plugin's own: `settings.plugin_table(registry.origin(kind, name).name)`. Raises KeyError for a
        name that no plugin in use offers, ConfigError for a table that the component's model refuses (one line
        `[plugins.<name>] key: problem` each), and PluginError, naming plugin and distribution, for the rest.
        """
        plugin = self._offering(kind, name)
        if plugin.state is not State.LOADED:
            raise plugin.error(plugin.reason)
        return creation.create(plugin, cast("Component[object]", plugin.records[name]), context, table)

    def check_table(self, kind: str, name: str, table: Mapping[str, object] | None) -> "BaseModel | None":
        """TABLE by the model of component or tool NAME; None without one. Raises ConfigError or PluginError."""
        plugin = self._offering(kind, name)
        return creation.checked_table(plugin, cast("Component[object] | Tool", plugin.records[name]), table)

    def fail(self, kind: str, name: str, reason: str) -> None:
        """Set aside the plugin that offers NAME, or is called so, because of REASON: it failed in use.

        It leaves every table that is asked for from now on. Raises PluginError instead in strict mode. REASON may be
        the message of an error that `create` raised: what names the plugin in it is not said twice.
        """
        plugin = self._offering(kind, name)
        plugin.set_aside(reason.removeprefix(plugin.error("").message), strict=self._strict)

    def activate(self, kind: str, name: str) -> None:
        """Note that NAME is what serves of KIND."""
        plugin = self._offering(kind, name)
        plugin.active = (*plugin.active, name)

    def _table(self, kind: str, record: type[R]) -> dict[str, R]:
        return {
            name: offered
            for plugin in self._plugins
            if plugin.kind.name == kind and plugin.state is State.LOADED
            for name, offered in plugin.records.items()
            if isinstance(offered, record)
        }

    def _offering(self, kind: str, name: str) -> Plugin:
        of_kind = [plugin for plugin in self._plugins if plugin.kind.name == kind]
        offering = [plugin for plugin in of_kind if name in plugin.records]
        candidates = offering or [plugin for plugin in of_kind if plugin.name == name]
        if not candidates:
            raise KeyError(name)
        return min(candidates, key=lambda plugin: plugin.state is not State.LOADED)


def load(kinds: Iterable[str], policy: PluginPolicy, *, only: str | None = None) -> Registry:
    """Load the plugins of KINDS as POLICY allows; with ONLY, none but those whose entry point has that name.

    Nothing that a plugin does keeps another from loading. Raises PluginError in strict mode alone, for the first
    plugin that would be set aside.
    """
    found = [plugin for plugin in discover(map(kind_named, kinds)) if only is None or plugin.name == only]
    apply_policy(found, policy)
    conflicts.settle_plugin_names(found, policy)
    manager = new_manager()
    for group in dict.fromkeys(plugin.kind.group for plugin in found):
        members = [plugin for plugin in _in_use(found) if plugin.kind.group == group]
        for plugin, target in import_plugins(group, members, policy):
            _register_and_describe(manager, plugin, target, policy)
    conflicts.settle_offered_names(found, policy)
    order = {group: place for place, group in enumerate(dict.fromkeys(plugin.kind.group for plugin in found))}
    found.sort(key=lambda plugin: (order[plugin.kind.group], plugin.rank, plugin.name, plugin.distribution))
    return Registry(found, strict=policy.strict)


def _register_and_describe(manager: pluggy.PluginManager, plugin: Plugin, target: object, policy: PluginPolicy) -> None:
    """Two guards of their own: what fails says at which of the two moments it did."""
    started = time.perf_counter()
    moment = "registration"
    try:
        implementation = register(manager, plugin, target)
        moment = f"`{plugin.kind.hook}`"
        within(policy.load_timeout, moment, partial(describe, plugin, implementation))
    except KeyboardInterrupt:
        raise
    except Unavailable as error:
        plugin.leave_out(" ".join(str(error).split()))
    except Unusable as error:
        plugin.set_aside(str(error), strict=policy.strict)
    except BaseException as error:  # noqa: BLE001 - a plugin may raise anything
        plugin.set_aside(f"{moment} raised {one_line(error)}", strict=policy.strict)
    finally:
        plugin.load_ms += (time.perf_counter() - started) * 1000


def _in_use(plugins: Iterable[Plugin]) -> list[Plugin]:
    return [plugin for plugin in plugins if plugin.state is State.LOADED]
