"""A suite for each kind of plugin, to subclass: what the kind's file in `beyond_ai/spec` says, as tests.

    from beyond_ai.testing.conformance import ToolConformance

    class TestAdd(ToolConformance):
        plugin = "add"                    # the name of its entry point; the distribution is installed
        arguments = {"a": 1, "b": 2}      # of a call that works

A test that fails says which rule was broken, where it is written and what was seen. A plugin that says that it is
unavailable here is skipped. Needs the extra `testing`: pytest and hypothesis.
"""

try:
    import hypothesis  # noqa: F401 - to say what is missing before a suite fails to import it
except ImportError as missing:
    raise ImportError(f"{missing}: install `beyond-ai[testing]` for the conformance suites") from None

from beyond_ai.testing.conformance.agent_hook import AgentHookConformance, tool_use
from beyond_ai.testing.conformance.auth import AuthConformance
from beyond_ai.testing.conformance.command import CommandConformance
from beyond_ai.testing.conformance.deny_store import DenyStoreConformance
from beyond_ai.testing.conformance.observer import ObserverConformance
from beyond_ai.testing.conformance.provider import ProviderConformance
from beyond_ai.testing.conformance.rule import ComponentConformance, Conformance, RuleBroken
from beyond_ai.testing.conformance.samples import odd_events, odd_records, request_record, usage_event
from beyond_ai.testing.conformance.scanner import ScannerConformance
from beyond_ai.testing.conformance.sink import SinkConformance
from beyond_ai.testing.conformance.tool import ToolConformance
from beyond_ai.testing.conformance.transport import TransportConformance

__all__ = [
    "AgentHookConformance",
    "AuthConformance",
    "CommandConformance",
    "ComponentConformance",
    "Conformance",
    "DenyStoreConformance",
    "ObserverConformance",
    "ProviderConformance",
    "RuleBroken",
    "ScannerConformance",
    "SinkConformance",
    "ToolConformance",
    "TransportConformance",
    "odd_events",
    "odd_records",
    "request_record",
    "tool_use",
    "usage_event",
]
