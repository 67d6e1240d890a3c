"""A model that plays a script, a clock that nobody waits for, and a loop between them."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from beyond_ai import AgentHook, Tool, ToolContext, ToolLimits, ToolResult
from beyond_ai.agent.failure import ModelFailure
from beyond_ai.agent.loop import AgentLoop, Approver, Clock, Control, Conversation, LoopSettings, RunOutcome
from beyond_ai.agent.model import (
    BlockStop,
    InputJsonDelta,
    MessageStart,
    MessageStop,
    ModelFacts,
    ModelRequest,
    StreamEvent,
    TextDelta,
    ToolUseStart,
    UsageReport,
)
from beyond_ai.spec.agent_event import AgentEvent
from beyond_ai.spec.conversation import Message, StopReason, Text, TokenUsage, ToolOutput, ToolUse

FACTS: Final = ModelFacts(window=200_000, max_output=32_000, thinking="none", images=True)
USAGE: Final = TokenUsage(input_tokens=100, output_tokens=10)

Step = StreamEvent | Exception | Callable[[], Awaitable[object] | object]
"""What a stream does next: say something, fail, or call something and wait for what it returns."""


def call(name: str, call_id: str = "c1", malformed: str | None = None, **arguments: object) -> ToolUse:
    return ToolUse(id=call_id, name=name, input=dict(arguments), malformed=malformed)


def says(
    text: str = "",
    *calls: ToolUse,
    stop: StopReason | None = None,
    usage: TokenUsage = USAGE,
    deltas: int = 1,
) -> list[Step]:
    """The events of a whole answer: TEXT in so many DELTAS, and CALLS."""
    events: list[Step] = [MessageStart(model="m")]
    index = 0
    if text:
        size = -(-len(text) // deltas)
        events += [TextDelta(index=0, text=text[at : at + size]) for at in range(0, len(text), size)]
        events.append(BlockStop(index=0, block=Text(text=text)))
        index = 1
    for number, use in enumerate(calls, index):
        events.append(ToolUseStart(index=number, id=use.id, name=use.name))
        events.append(InputJsonDelta(index=number, partial_json="{"))
        events.append(BlockStop(index=number, block=use))
    return [*events, UsageReport(usage=usage), MessageStop(stop_reason=stop or ("tool_use" if calls else "end_turn"))]


def overloaded(retry_after: float | None = None) -> ModelFailure:
    return ModelFailure("overloaded", "the model is overloaded", retryable=True, retry_after=retry_after, status=529)


def overflow() -> ModelFailure:
    return ModelFailure("context_overflow", "the prompt is too long", status=400)


class ScriptedModel:
    """Plays SCRIPT, an answer for each request."""

    def __init__(self, *script: Sequence[Step] | Exception, facts: ModelFacts = FACTS) -> None:
        self.script: list[list[Step]] = [[step] if isinstance(step, Exception) else list(step) for step in script]
        self.requests: list[ModelRequest] = []
        self.closed = 0
        self._facts = facts

    def facts(self, model: str) -> ModelFacts:
        return self._facts

    async def stream(self, request: ModelRequest) -> AsyncIterator[StreamEvent]:
        self.requests.append(request)
        assert self.script, "the model is asked more often than the script says"
        try:
            for step in self.script.pop(0):
                if isinstance(step, Exception):
                    raise step
                if callable(step):
                    waiting = step()
                    if inspect.isawaitable(waiting):
                        await waiting
                else:
                    yield step
        finally:
            self.closed += 1


class FakeClock(Clock):
    """Time passes when somebody sleeps; sleeps for one of HELD seconds last until `release`."""

    def __init__(self, *held: float) -> None:
        self.time = 1_000.0
        self.sleeps: list[float] = []
        self.held = held
        self._released = asyncio.Event()

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        if seconds in self.held:
            await self._released.wait()
        else:
            await asyncio.sleep(0)
        self.time += seconds

    def release(self) -> None:
        self._released.set()

    def chance(self) -> float:
        return 1.0


class Nothing(BaseModel):
    pass


class OnePath(BaseModel):
    path: str


class Say(BaseModel):
    text: str = "said"


class Number(BaseModel):
    value: int


def tool(
    name: str,
    run: Callable[..., Awaitable[object]],
    arguments: type[BaseModel] = Nothing,
    *,
    exclusive: bool = False,
    writes: Callable[..., str] | None = None,
    reads: Callable[..., str] | None = None,
) -> Tool:
    return Tool(
        name=name,
        description=f"{name} things",
        arguments=arguments,
        run=run,  # type: ignore[arg-type]
        exclusive=exclusive,
        writes=writes,
        reads=reads,
    )


async def _say(arguments: Say, context: ToolContext) -> ToolResult:
    return ToolResult(arguments.text)


async def _fail(arguments: Say, context: ToolContext) -> ToolResult:
    return ToolResult(f"cannot {arguments.text}", is_error=True)


SAY: Final = tool("say", _say, Say)
FAIL: Final = tool("fail", _fail, Say)


class NoPaths:
    def check(self, path: Path, *, write: bool) -> None:
        pass


class Never:
    requested = False

    async def wait(self) -> None:
        await asyncio.Event().wait()


def context_in(folder: Path) -> ToolContext:
    return ToolContext(
        cwd=folder,
        cancellation=Never(),
        progress=lambda text: None,
        limits=ToolLimits(),
        environment={},
        paths=NoPaths(),
        sees_images=True,
        scratch=folder,
    )


class Rig:
    """A loop over MODEL, and what came of it."""

    def __init__(
        self,
        model: ScriptedModel,
        *tools: Tool,
        hooks: Sequence[tuple[str, AgentHook]] = (),
        settings: LoopSettings | None = None,
        approve: Approver | None = None,
        clock: FakeClock | None = None,
        control: Control | None = None,
        folder: Path = Path("/"),
        checkpoint: Callable[[Conversation], None] | None = None,
        emit: Callable[[AgentEvent], None] | None = None,
    ) -> None:
        self.model = model
        self.events: list[AgentEvent] = []
        self.trace: list[str] = []
        """kinds of events, and `saved`, in their order"""
        self.clock = clock or FakeClock()
        self.control = control or Control()
        self.conversation = Conversation(model="m")
        self._checkpoint = checkpoint
        self._emit = emit
        self.loop = AgentLoop(
            transport=model,
            tools=tools or (SAY, FAIL),
            hooks=hooks,
            settings=settings,
            system_prompt=lambda: "You are a test.",
            tool_context=lambda call_id: context_in(folder),
            checkpoint=self._save,
            approve=approve,
            emit=self._see,
            control=self.control,
            clock=self.clock,
        )

    async def _save(self, conversation: Conversation) -> None:
        if self._checkpoint is not None:
            self._checkpoint(conversation)
        check_legal(conversation.messages)
        self.trace.append("saved")

    async def _see(self, event: AgentEvent) -> None:
        self.events.append(event)
        self.trace.append(event.kind)
        if self._emit is not None:
            self._emit(event)

    async def run(self, prompt: str | None = "go") -> RunOutcome:
        message = None if prompt is None else Message(role="user", content=(Text(text=prompt),))
        outcome = await self.loop.run(self.conversation, message)
        check_legal(self.conversation.messages)
        assert self.trace.count("agent_end") == self.trace.count("agent_start")
        assert self.events[-1].kind == "agent_end"
        return outcome

    def of(self, kind: str) -> list[AgentEvent]:
        return [event for event in self.events if event.kind == kind]

    @property
    def results(self) -> list[ToolOutput]:
        blocks = (block for message in self.conversation.messages for block in message.content)
        return [block for block in blocks if isinstance(block, ToolOutput)]

    def result(self, call_id: str = "c1") -> ToolOutput:
        [found] = [output for output in self.results if output.tool_use_id == call_id]
        return found


def check_legal(messages: Sequence[Message]) -> None:
    """Roles alternate, and every call but those at the end has exactly one result, in the next message."""
    expected: list[str] = []
    for position, message in enumerate(messages):
        assert message.role == ("user", "assistant")[position % 2]
        results = [block.tool_use_id for block in message.content if isinstance(block, ToolOutput)]
        assert results == expected
        expected = [use.id for use in message.tool_uses]
        assert len(set(expected)) == len(expected)


async def until(condition: Callable[[], bool]) -> None:
    """Let everything else run until CONDITION holds."""
    for _ in range(1_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it does not come about")
