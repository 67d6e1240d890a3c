"""The agent's loop, as its shells see it."""

from collections.abc import Awaitable, Callable, Sequence

from beyond_ai.agent.loop.compaction import CompactionResult
from beyond_ai.agent.loop.control import Control
from beyond_ai.agent.loop.conversation import Conversation
from beyond_ai.agent.loop.definitions import ToolSet
from beyond_ai.agent.loop.emitter import Emitter, NamedHook
from beyond_ai.agent.loop.hooks import Approver, HookChain
from beyond_ai.agent.loop.outcome import RunOutcome
from beyond_ai.agent.loop.parts import Checkpoint, Parts
from beyond_ai.agent.loop.run import Run
from beyond_ai.agent.loop.settings import Clock, LoopSettings
from beyond_ai.agent.loop.stop import orderly
from beyond_ai.agent.model import ModelTransport, ToolDefinition
from beyond_ai.spec.agent_event import AgentEvent
from beyond_ai.spec.conversation import JsonObject, Message
from beyond_ai.spec.tool import Tool, ToolContext


class AgentLoop:
    """Asks a model, runs the tools that it calls, and asks it again, until it calls none.

    It knows no network, file or terminal: these are behind `transport`, `tools`, `checkpoint` and `emit`.
    """

    def __init__(
        self,
        *,
        transport: ModelTransport,
        tools: Sequence[Tool],
        hooks: Sequence[NamedHook] = (),
        settings: LoopSettings | None = None,
        system_prompt: Callable[[], str],
        tool_context: Callable[[str], ToolContext],
        checkpoint: Checkpoint,
        approve: Approver | None = None,
        emit: Callable[[AgentEvent], Awaitable[None]],
        control: Control | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Make a loop; it may run many conversations, one at a time.

        Args:
            transport: asks a model.
            tools: by their names; of two with one name the last one counts.
            hooks: with their names, in whose order they are called.
            settings: limits, patience, and how the conversation is kept small.
            system_prompt: asked once a run.
            tool_context: where the call with this id runs. The loop puts its own `progress` and `cancellation` in.
            checkpoint: makes the conversation durable, before any tool runs and after. What it raises ends the run.
            approve: decides where a hook's verdict is `Ask`; without it the answer is no.
            emit: takes each event, one at a time; the run waits for it. What it raises is passed over.
            control: what may be said to the run while it goes on.
            clock: time and chance.
        """
        self.control = control or Control()
        ordered = sorted(hooks, key=lambda hook: hook[0])
        self._emitter = Emitter(emit, ordered)
        self._hooks = HookChain(ordered, self._emitter, approve)
        self._parts = Parts(
            transport=transport,
            tools=ToolSet(tools),
            hooks=self._hooks,
            emitter=self._emitter,
            settings=settings or LoopSettings(),
            clock=clock or Clock(),
            control=self.control,
            checkpoint=checkpoint,
            tool_context=tool_context,
            system_prompt=system_prompt,
        )

    @property
    def definitions(self) -> tuple[ToolDefinition, ...]:
        """The tools as the model is shown them, sorted by name."""
        return self._parts.tools.definitions

    async def run(self, conversation: Conversation, prompt: Message | None = None) -> RunOutcome:
        """Answer PROMPT in CONVERSATION, or go on where it was left.

        Failures are outcomes, not exceptions. A run whose task is cancelled leaves the conversation in order and emits
        its `agent_end` before it raises asyncio.CancelledError. Raises RuntimeError when a run is going on already.
        """
        stop = self.control.begin()
        self._emitter.begin()
        try:
            return await orderly(Run(self._parts, conversation, stop).run(prompt), stop)
        finally:
            self.control.end()

    async def compact(self, conversation: Conversation, instructions: str | None = None) -> CompactionResult:
        """Condense the older messages of CONVERSATION; INSTRUCTIONS say what to mind in particular.

        Raises RuntimeError when a run is going on, and ModelFailure when the conversation cannot be saved.
        """
        stop = self.control.begin()
        self._emitter.begin()
        try:
            return await orderly(Run(self._parts, conversation, stop).compact(instructions), stop)
        finally:
            self.control.end()

    async def summarise(
        self, conversation: Conversation, messages: tuple[Message, ...], instructions: str | None = None
    ) -> str:
        """MESSAGES, which CONVERSATION is about to leave behind, as its model condenses them.

        Raises RuntimeError when a run is going on, and ModelFailure, with the code `cancelled` where it was stopped.
        """
        stop = self.control.begin()
        self._emitter.begin()
        try:
            return await orderly(Run(self._parts, conversation, stop).summarise(messages, instructions), stop)
        finally:
            self.control.end()

    async def rewrite_payload(self, payload: JsonObject) -> JsonObject:
        """PAYLOAD, the body of a request in its provider's words, as the hooks want it: for the transport to call."""
        return await self._hooks.payload(payload)
