"""Imports plugins with stevedore and registers them with pluggy, each behind its own guard."""

import inspect
import re
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING, Any, Final

import pluggy
from stevedore.extension import Extension, ExtensionManager

from beyond_ai.layers import nearest
from beyond_ai.plugin_policy import PluginPolicy, canonical
from beyond_ai.registry.deadline import within
from beyond_ai.registry.plugin import Plugin, Unusable, one_line
from beyond_ai.spec.kinds import KINDS
from beyond_ai.spec.markers import API_VERSION, PROJECT

if TYPE_CHECKING:
    Manager = ExtensionManager[object]
    Loaded = Extension[object]
else:  # generic only in later releases of stevedore
    Manager, Loaded = ExtensionManager, Extension


_EXTRA: Final = re.compile(r"""(?P<needed>[\w.-]+).*;.*\bextra\s*==\s*['"](?P<extra>[\w.-]+)""")
"""A requirement of an extra, as a distribution's metadata has it."""


class GroupImporter(Manager):
    """stevedore's manager over the entry points of one group that we chose.

    It differs in two ways. The list of entry points is ours: stevedore's comes from a disk cache. And whatever an
    import raises becomes a PluginImportError: stevedore lets AssertionError and SystemExit end the program.
    """

    def __init__(self, group: str, plugins: Sequence[Plugin], policy: PluginPolicy) -> None:
        self._plugins = {plugin.name: plugin for plugin in plugins}
        self._policy = policy
        super().__init__(group, on_load_failure_callback=self._set_aside)

    def list_entry_points(self) -> list[EntryPoint]:
        """Our choice, in place of what stevedore would find."""
        return [plugin.entry_point for plugin in self._plugins.values()]

    def _load_one_plugin(self, ep: EntryPoint, *args: Any, **kwargs: Any) -> Loaded | None:
        started = time.perf_counter()
        try:
            load = partial(super()._load_one_plugin, ep, *args, **kwargs)
            return within(self._policy.load_timeout, "its import", load)
        except (KeyboardInterrupt, Unusable):
            raise
        except BaseException as error:
            raise Unusable(_import_failure(self._plugins[ep.name], error)) from error
        finally:
            self._plugins[ep.name].load_ms += (time.perf_counter() - started) * 1000

    def _set_aside(self, _manager: Manager, entry_point: EntryPoint, error: BaseException) -> None:
        self._plugins[entry_point.name].set_aside(str(error), strict=self._policy.strict)


def import_plugins(group: str, plugins: Sequence[Plugin], policy: PluginPolicy) -> list[tuple[Plugin, object]]:
    """Import PLUGINS, all of GROUP and of different names; those that failed are set aside and left out."""
    importer = GroupImporter(group, plugins, policy)
    by_name = {plugin.name: plugin for plugin in plugins}
    return [(by_name[extension.name], extension.plugin) for extension in importer.extensions]


def new_manager() -> pluggy.PluginManager:
    """A plugin manager that knows every hook of the framework, also those of kinds that are not loaded."""
    manager = pluggy.PluginManager(PROJECT)
    for kind in KINDS:
        manager.add_hookspecs(kind.hooks)
    return manager


def register(manager: pluggy.PluginManager, plugin: Plugin, target: object) -> pluggy.HookImpl:
    """Register TARGET, what the entry point of PLUGIN names, and return its implementation of the kind's hook.

    Raises Unusable with the reason, and what TARGET itself may raise when it is looked at.
    """
    _check_api(plugin, target)
    hooks = dict(_hooks_of(manager, target))
    known = [kind.hook for kind in KINDS]
    for hook, is_optional in hooks.items():
        if hook not in known and not is_optional:
            raise Unusable(f"unknown hook `{hook}`{nearest(hook, known)}")
    if plugin.kind.hook not in hooks:
        raise Unusable(_no_hook(plugin, target))
    # One object may stand behind entry points of several kinds; it is registered once.
    if not manager.is_registered(target):
        try:
            manager.register(target, plugin.qualified)
        except pluggy.PluginValidationError as error:
            raise Unusable(f"wrong signature: {' '.join(str(error).split())}") from error
    plugin.hooks = tuple(sorted(hooks))
    caller: pluggy.HookCaller = getattr(manager.hook, plugin.kind.hook)
    implementation = next(found for found in caller.get_hookimpls() if found.plugin is target)
    if implementation.wrapper or implementation.hookwrapper:
        raise Unusable(f"`{plugin.kind.hook}` is marked as a wrapper; it must yield records of its own")
    plugin.rank = 0 if implementation.tryfirst else 2 if implementation.trylast else 1
    return implementation


def _check_api(plugin: Plugin, target: object) -> None:
    """Refuse a plugin that asks for a newer framework in its module's BEYOND_AI_API."""
    wanted = getattr(target, "BEYOND_AI_API", None)
    if wanted is None:
        wanted = getattr(sys.modules.get(plugin.entry_point.module), "BEYOND_AI_API", API_VERSION)
    if not isinstance(wanted, int):
        raise Unusable(f"BEYOND_AI_API must be an integer, not {type(wanted).__name__}")
    if wanted > API_VERSION:
        raise Unusable(f"needs plugin API {wanted}, this is {API_VERSION}: upgrade beyond-ai")


def _hooks_of(manager: pluggy.PluginManager, target: object) -> Iterator[tuple[str, bool]]:
    """Each hook that TARGET implements, and whether it says that the hook need not exist."""
    for attribute in dir(target):
        options = manager.parse_hookimpl_opts(target, attribute)
        if options is not None:
            yield options.get("specname") or attribute, bool(options.get("optionalhook"))


def _no_hook(plugin: Plugin, target: object) -> str:
    kind = plugin.kind
    if inspect.isfunction(inspect.getattr_static(target, kind.hook, None)):
        return f"function `{kind.hook}` is not marked with hookimpl"
    return f"implements no hook of {kind.group}; expected a function `{kind.hook}` marked with hookimpl"


def _import_failure(plugin: Plugin, error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"called sys.exit({error.code!r}) at import"
    if isinstance(error, ModuleNotFoundError) and error.name:
        if f"{plugin.entry_point.module}.".startswith(f"{error.name}."):
            return f"its entry point names a module that is not installed: {error.name}"
        return f"needs module {error.name}, which is not installed{_extra_with(plugin, error.name)}"
    return f"import failed: {one_line(error)}"


def _extra_with(plugin: Plugin, module: str) -> str:
    """The end of a message: how to install the extra of PLUGIN's distribution that brings MODULE; else nothing."""
    distribution = plugin.entry_point.dist
    wanted = canonical(module.partition(".")[0])
    for line in (distribution.requires if distribution is not None else None) or ():
        found = _EXTRA.match(line)
        if found is not None and canonical(found["needed"]) == wanted:
            return f": pip install '{plugin.distribution}[{found['extra']}]'"
    return ""
