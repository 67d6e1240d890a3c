"""The plugin registry: who is installed, what each offers, and why one is not in use.

A start goes through these rooms in order; each plugin passes or is set aside with its reason, alone:

| room | what happens |
| --- | --- |
| `beyond_ai.plugin_policy` | which plugins may be used, as the configuration says |
| `discovery` | entry points are read from the installed environment; nothing is imported |
| `conflicts` | two plugins of one name: settled by rule before either is imported |
| `loading` | stevedore imports, pluggy checks hooks and registers |
| `description` | each registration hook is called alone, and its records are checked |
| `conflicts` | two records of one name: settled by the same rule |
| `tables` | what remains becomes plain tables, and components are created from them |

Plugins come from the installed environment only. The working folder is never searched for distributions, even where
Python has put it on the path (`python -m`); with `python -m` the *modules* of that folder still shadow installed
ones, which is why the program is started by its command, `beyond-ai`.
"""

from beyond_ai.plugin_policy import PluginPolicy
from beyond_ai.registry.plugin import Plugin, PluginReport, State
from beyond_ai.registry.tables import Registry, load

__all__ = ["Plugin", "PluginPolicy", "PluginReport", "Registry", "State", "load"]
