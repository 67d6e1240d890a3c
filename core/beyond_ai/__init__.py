"""Beyond AI: an LLM gateway and a coding agent on one plugin framework.

This is all that a plugin author imports. Each seam's story, with a complete plugin, is the docstring of its file
in `beyond_ai.spec`.
"""

from beyond_ai.configured import configured_context
from beyond_ai.errors import BeyondError, ConfigError, PluginError
from beyond_ai.spec.agent_hook import AgentHook, Allow, Ask, Block, Verdict
from beyond_ai.spec.auth import AuthScheme, CannotVerify, DevAuthScheme, DevCredential, Identity, InvalidCredential
from beyond_ai.spec.availability import Unavailable
from beyond_ai.spec.command import Command
from beyond_ai.spec.component import Component, Context, NatsSettings, UpstreamSettings
from beyond_ai.spec.deny import (
    CheckableDenyStore,
    DenyReason,
    DenyScope,
    DenySet,
    DenySource,
    DenyStore,
    DenyUpdater,
)
from beyond_ai.spec.markers import API_VERSION, hookimpl
from beyond_ai.spec.observer import Observer, RequestRecord
from beyond_ai.spec.provider import Dialect, KeyScheme, Provider, StreamUsage
from beyond_ai.spec.scanner import Scanner, ScannerFactory
from beyond_ai.spec.sink import UsageSink
from beyond_ai.spec.token_count import token_count
from beyond_ai.spec.tool import (
    Cancellation,
    PathPolicy,
    Tool,
    ToolContext,
    ToolError,
    ToolImage,
    ToolLimits,
    ToolResult,
)
from beyond_ai.spec.transport import (
    FailureStage,
    Headers,
    Transport,
    UpstreamEvents,
    UpstreamExchange,
    UpstreamFailure,
    UpstreamRequest,
    head_lines,
)
from beyond_ai.spec.usage import UsageCounts, UsageQuirk
from beyond_ai.spec.usage_event import Outcome, UsageEvent

__all__ = [
    "API_VERSION",
    "AgentHook",
    "Allow",
    "Ask",
    "AuthScheme",
    "BeyondError",
    "Block",
    "Cancellation",
    "CannotVerify",
    "CheckableDenyStore",
    "Command",
    "Component",
    "ConfigError",
    "Context",
    "DenyReason",
    "DenyScope",
    "DenySet",
    "DenySource",
    "DenyStore",
    "DenyUpdater",
    "DevAuthScheme",
    "DevCredential",
    "Dialect",
    "FailureStage",
    "Headers",
    "Identity",
    "InvalidCredential",
    "KeyScheme",
    "NatsSettings",
    "Observer",
    "Outcome",
    "PathPolicy",
    "PluginError",
    "Provider",
    "RequestRecord",
    "Scanner",
    "ScannerFactory",
    "StreamUsage",
    "Tool",
    "ToolContext",
    "ToolError",
    "ToolImage",
    "ToolLimits",
    "ToolResult",
    "Transport",
    "Unavailable",
    "UpstreamEvents",
    "UpstreamExchange",
    "UpstreamFailure",
    "UpstreamRequest",
    "UpstreamSettings",
    "UsageCounts",
    "UsageEvent",
    "UsageQuirk",
    "UsageSink",
    "Verdict",
    "configured_context",
    "head_lines",
    "hookimpl",
    "token_count",
]
