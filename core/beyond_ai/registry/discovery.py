"""Reads entry points from the installed environment. Nothing of a plugin is imported here.

`importlib.metadata` is asked each time: stevedore's own list comes from a disk cache that can be minutes behind an
editable install and does not know the distribution.
"""

import site
import sysconfig
from collections.abc import Iterable
from importlib.metadata import Distribution, entry_points
from pathlib import Path
from typing import Final

from beyond_ai.plugin_policy import PluginPolicy, canonical
from beyond_ai.registry.plugin import Plugin
from beyond_ai.spec.kinds import Kind

OUR_DISTRIBUTION: Final = "beyond-ai"


def discover(kinds: Iterable[Kind]) -> list[Plugin]:
    """Every installed plugin of KINDS, ordered by kind, name and distribution."""
    installed = entry_points()
    origins: dict[int, tuple[str, str]] = {}  # by identity of the distribution: its metadata is slow to parse
    found: list[Plugin] = []
    for kind in kinds:
        plugins: list[Plugin] = []
        for entry_point in installed.select(group=kind.group):
            distribution = entry_point.dist
            if distribution is None or _in_working_folder(distribution):
                continue
            if id(distribution) not in origins:
                origins[id(distribution)] = _name_and_version(distribution)
            name, version = origins[id(distribution)]
            plugins.append(Plugin(kind, entry_point, name, version, ours=canonical(name) == OUR_DISTRIBUTION))
        found += sorted(plugins, key=lambda plugin: (plugin.name, plugin.distribution, plugin.entry_point.value))
    return found


def apply_policy(plugins: Iterable[Plugin], policy: PluginPolicy) -> None:
    """Disable what POLICY leaves out."""
    for plugin in plugins:
        if policy.is_disabled(plugin.kind.name, plugin.name):
            plugin.disable("switched off by [plugins] disabled or AI_PLUGINS_DISABLED")
        elif not plugin.ours and not policy.third_party:
            plugin.disable("third-party plugins are off (AI_NO_PLUGINS)")
        elif not plugin.ours and not policy.is_allowed(plugin.distribution):
            plugin.disable(f"{plugin.distribution} is not among [plugins] allow")


def _name_and_version(distribution: Distribution) -> tuple[str, str]:
    try:
        return distribution.name or "unknown", distribution.version or ""
    except Exception:  # noqa: BLE001 - a damaged METADATA file fails in many ways; the plugin may still work
        return "unknown", ""


def _in_working_folder(distribution: Distribution) -> bool:
    """Whether DISTRIBUTION lies in the working folder itself, which `python -m` puts on the path."""
    try:
        folder = Path(str(distribution.locate_file(""))).resolve()
        if folder != Path.cwd():
            return False
    except OSError:
        return False
    installed = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), site.getusersitepackages()}
    return str(folder) not in {*installed, *site.getsitepackages()}
