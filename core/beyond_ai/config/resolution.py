"""Whether the plugins that the settings name are there, and accept their tables."""

from collections.abc import Collection, Mapping

from beyond_ai.config.settings import Settings
from beyond_ai.errors import BeyondError
from beyond_ai.layers import nearest
from beyond_ai.plugin_policy import RESERVED
from beyond_ai.registry import Plugin, Registry, State
from beyond_ai.registry.discovery import discover
from beyond_ai.spec.component import Component
from beyond_ai.spec.kinds import KINDS
from beyond_ai.spec.tool import Tool


def unresolved(settings: Settings, registry: Registry) -> list[str]:
    """Problems, one line each: a name that no plugin in use offers, a table that no plugin owns or that is refused.

    REGISTRY holds the kinds that the program uses. Nothing is created.
    """
    problems = _missing("transport", [settings.transport], registry.transports())
    if settings.deny_store:
        problems += _missing("deny_store", [settings.deny_store], registry.deny_stores())
    problems += _missing("sinks", settings.sinks, registry.sinks())
    problems += _missing("observers", settings.observers, registry.observers(), _unavailable(registry, "observer"))
    if settings.scanner != "auto":
        problems += _missing("scanner", [settings.scanner], registry.scanners())
    providers = {*registry.providers(), *settings.provider_authorities}
    for field in ("pool_keys", "provider_dialects", "provider_auth_schemes"):
        problems += [
            f"{field}.{name}: no such provider{nearest(name, providers)}"
            for name in getattr(settings, field)
            if name not in providers
        ]
    return problems + _refused_tables(settings, registry)


def _missing(
    key: str, wanted: Collection[str], offered: Collection[str], unavailable: Mapping[str, str] | None = None
) -> list[str]:
    """What of WANTED is not OFFERED; UNAVAILABLE has the reasons of plugins that left themselves out, by name."""
    reasons = unavailable or {}
    return [
        f"{key}: {name}: {reasons[name]}"
        if name in reasons
        else f"{key}: no plugin in use offers {name}{nearest(name, offered)}"
        for name in wanted
        if name not in offered
    ]


def _unavailable(registry: Registry, kind: str) -> dict[str, str]:
    return {
        plugin.name: plugin.reason
        for plugin in registry.plugins
        if plugin.kind.name == kind and plugin.state is State.UNAVAILABLE
    }


def _refused_tables(settings: Settings, registry: Registry) -> list[str]:
    problems: list[str] = []
    owners = {plugin.name for plugin in discover(KINDS)}  # of any kind, loaded or not: the file may serve two programs
    loaded = {plugin.name for plugin in registry.plugins}
    configurable = {plugin.name for plugin in registry.plugins if _takes_settings(plugin)}
    for name in settings.plugins:
        if name in RESERVED:
            continue
        if name not in owners:
            problems.append(f"plugins.{name}: no plugin is called that{nearest(name, owners)}")
        elif name in loaded - configurable and settings.plugin_table(name):
            problems.append(f"plugins.{name}: this plugin takes no settings")
    for plugin in registry.plugins:
        for name, record in plugin.records.items():
            if plugin.state is State.LOADED and isinstance(record, Component):
                try:
                    registry.check_table(plugin.kind.name, name, settings.plugin_table(plugin.name))
                except BeyondError as error:
                    problems += error.message.splitlines()
    return problems


def _takes_settings(plugin: Plugin) -> bool:
    """Whether PLUGIN declares a model for its table; one that is not loaded may."""
    records = plugin.records.values()
    return plugin.state is not State.LOADED or any(
        isinstance(record, Component | Tool) and record.config for record in records
    )
