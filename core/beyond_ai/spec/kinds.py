"""The catalogue of seams: for each kind of plugin its entry-point group, its hook and the record it yields."""

from dataclasses import dataclass
from typing import Final

from beyond_ai.spec.agent_hook import AgentHookHooks
from beyond_ai.spec.auth import AuthHooks
from beyond_ai.spec.command import Command, CommandHooks
from beyond_ai.spec.component import Component
from beyond_ai.spec.deny import DenyHooks
from beyond_ai.spec.observer import ObserverHooks
from beyond_ai.spec.provider import Provider, ProviderHooks
from beyond_ai.spec.scanner import ScannerHooks
from beyond_ai.spec.sink import SinkHooks
from beyond_ai.spec.tool import Tool, ToolHooks
from beyond_ai.spec.transport import TransportHooks


@dataclass(frozen=True, slots=True)
class Kind:
    """One seam: `name` is the word in listings, `hook` the function that a plugin implements."""

    name: str
    group: str
    hook: str
    hooks: type
    record: type


KINDS: Final = (
    Kind("provider", "beyond_ai.providers", "beyond_providers", ProviderHooks, Provider),
    Kind("auth", "beyond_ai.auth", "beyond_auth_schemes", AuthHooks, Component),
    Kind("scanner", "beyond_ai.scanners", "beyond_scanners", ScannerHooks, Component),
    Kind("sink", "beyond_ai.sinks", "beyond_usage_sinks", SinkHooks, Component),
    Kind("transport", "beyond_ai.transports", "beyond_transports", TransportHooks, Component),
    Kind("deny_store", "beyond_ai.deny_stores", "beyond_deny_stores", DenyHooks, Component),
    Kind("observer", "beyond_ai.observers", "beyond_observers", ObserverHooks, Component),
    Kind("tool", "beyond_ai.tools", "beyond_tools", ToolHooks, Tool),
    Kind("agent_hook", "beyond_ai.agent_hooks", "beyond_agent_hooks", AgentHookHooks, Component),
    Kind("command", "beyond_ai.commands", "beyond_commands", CommandHooks, Command),
)


def kind_named(name: str) -> Kind:
    """The kind called NAME; KeyError when there is none."""
    for kind in KINDS:
        if kind.name == name:
            return kind
    raise KeyError(name)
