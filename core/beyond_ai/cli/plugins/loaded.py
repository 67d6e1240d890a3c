"""The installed plugins, loaded to be looked at: nothing is raised for one that fails."""

import contextlib
import sys
from collections.abc import Mapping
from dataclasses import replace

from beyond_ai.cli.options import ConfigFile
from beyond_ai.errors import BeyondError, PluginError
from beyond_ai.layers import PLUGIN_SCALARS, Layers, nearest, read_layers
from beyond_ai.registry import Plugin, PluginPolicy, Registry, load
from beyond_ai.registry.scanners import AUTO, choose_scanner
from beyond_ai.spec.component import Context
from beyond_ai.spec.kinds import KINDS, Kind
from beyond_ai.spec.scanner import ScannerFactory

KINDS_BY_NAME = [kind.name for kind in KINDS]


def written(config: ConfigFile) -> Layers:
    """The configuration as it is written; of its keys only those are looked at that are about plugins."""
    return read_layers(config, scalars=(*PLUGIN_SCALARS, "scanner"))


def kind_called(name: str) -> Kind:
    """The kind called NAME, with hyphens or underscores. Raises PluginError."""
    for kind in KINDS:
        if kind.name == name.replace("-", "_"):
            return kind
    raise PluginError(f"no kind is called {name}{nearest(name, KINDS_BY_NAME)}", f"kinds: {', '.join(KINDS_BY_NAME)}")


def loaded(policy: PluginPolicy, kind: Kind | None = None) -> Registry:
    """The plugins of KIND, or of all kinds."""
    with contextlib.redirect_stdout(sys.stderr):
        return load(KINDS_BY_NAME if kind is None else [kind.name], replace(policy, strict=False))


def table_of(plugin: Plugin, values: Mapping[str, object]) -> Mapping[str, object] | None:
    """The table of PLUGIN in the configuration VALUES; None where there is none that could be one."""
    tables = values.get("plugins")
    table = tables.get(plugin.name) if isinstance(tables, Mapping) else None
    return table if isinstance(table, Mapping) else None


def note_scanner(registry: Registry, values: Mapping[str, object]) -> None:
    """Let REGISTRY note the scanner that a gateway with the configuration VALUES would use, if it could start."""
    offering = {name: plugin for plugin in registry.plugins if plugin.kind.name == "scanner" for name in plugin.records}

    def create(name: str) -> ScannerFactory:
        return registry.create("scanner", name, Context(), table_of(offering[name], values))

    def failed(name: str, error: PluginError) -> None:
        registry.fail("scanner", name, error.message)

    wanted = values.get("scanner", AUTO)
    if isinstance(wanted, str) and (wanted == AUTO or wanted in registry.scanners()):
        with contextlib.suppress(BeyondError), contextlib.redirect_stdout(sys.stderr):
            choose_scanner(registry, wanted, create, failed)
