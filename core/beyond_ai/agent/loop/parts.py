"""What a loop is made of, for those that work in it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from beyond_ai.agent.loop.control import Control
from beyond_ai.agent.loop.conversation import Conversation
from beyond_ai.agent.loop.definitions import ToolSet
from beyond_ai.agent.loop.emitter import Emitter
from beyond_ai.agent.loop.hooks import HookChain
from beyond_ai.agent.loop.settings import Clock, LoopSettings
from beyond_ai.agent.model import ModelTransport
from beyond_ai.spec.tool import ToolContext

Checkpoint = Callable[[Conversation], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The same for all runs of a loop."""

    transport: ModelTransport
    tools: ToolSet
    hooks: HookChain
    emitter: Emitter
    settings: LoopSettings
    clock: Clock
    control: Control
    checkpoint: Checkpoint
    tool_context: Callable[[str], ToolContext]
    system_prompt: Callable[[], str]
