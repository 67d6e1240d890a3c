"""Any interleaving of answers, failures, tools, stops and messages leaves a legal history and a run with one end."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Final

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from tests.core.agent.loop.parts import FakeClock, Say, check_legal, context_in, overflow, overloaded, tool

from beyond_ai import AgentHook, Allow, Ask, Block, ToolContext, ToolResult, Verdict
from beyond_ai.agent.failure import ModelFailure
from beyond_ai.agent.loop import AgentLoop, Control, Conversation, LoopSettings, RunOutcome
from beyond_ai.agent.model import (
    BlockStop,
    MessageStart,
    MessageStop,
    ModelFacts,
    ModelRequest,
    StreamEvent,
    TextDelta,
    UsageReport,
)
from beyond_ai.spec.agent_event import AgentEvent, ToolEnd, ToolStart
from beyond_ai.spec.conversation import JsonObject, Message, StopReason, Text, TokenUsage, ToolUse

FACTS: Final = ModelFacts(window=16_000, max_output=4_000, thinking="none", images=True)
USUAL: Final[list[StopReason]] = ["end_turn", "tool_use"]
RARE: Final[list[StopReason]] = ["max_tokens", "stop_sequence", "refusal", "other"]
STOPS: Final = USUAL * 4 + RARE
RARELY: Final = st.integers(0, 5).map(lambda chance: chance == 5)
FAILURES: Final = st.sampled_from(
    [
        overloaded(),
        overloaded(61.0),
        overflow(),
        ModelFailure("auth", "no key"),
        ModelFailure("network", "cut", retryable=True),
        RuntimeError("a defect"),
    ]
)
INPUTS: Final[list[JsonObject]] = [{"text": "allow"}, {"text": "block"}, {"text": "ask"}, {"text": 5}, {}]
CALLS: Final = st.lists(
    st.tuples(
        st.sampled_from(["work", "work", "work", "write", "bash", "say", "missing"]),
        st.sampled_from(["", "same", "other"]),
        st.sampled_from(INPUTS),
        st.sampled_from([None, None, None, '{"text"']),
    ),
    max_size=4,
)
TEXTS: Final = st.sampled_from(["", "some text", "x" * 6_000])
USAGES: Final = st.sampled_from([0, 100, 11_000, 13_000, 17_000])


class Puppet:
    """A model that says what it is told to, when it is told to."""

    def __init__(self) -> None:
        self.steps: asyncio.Queue[list[StreamEvent] | Exception | None] = asyncio.Queue()
        self.asked = 0
        self.open = False

    def facts(self, model: str) -> ModelFacts:
        return FACTS

    async def stream(self, request: ModelRequest) -> AsyncIterator[StreamEvent]:
        check_legal(request.messages)
        assert request.messages[-1].role == "user"
        self.asked += 1
        self.open = True
        try:
            yield MessageStart()
            while (step := await self.steps.get()) is not None:
                if isinstance(step, Exception):
                    raise step
                for event in step:
                    yield event
        finally:
            self.open = False


class Gate(AgentHook):
    async def before_tool_call(self, call: ToolUse) -> Verdict:
        text = call.input.get("text")
        return Block("no") if text == "block" else Ask("well?") if text == "ask" else Allow()


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.model = Puppet()
        self.control = Control(size=3)
        self.clock = FakeClock()
        self.conversation = Conversation(model="m")
        self.events: list[AgentEvent] = []
        self.working: list[asyncio.Future[ToolResult]] = []
        self.ran: Counter[str] = Counter()
        self.saves_fail = 0
        self.restarted = False
        self.run_task: asyncio.Task[RunOutcome] | None = None
        self.saved: list[str] = []
        self.agent = AgentLoop(
            transport=self.model,
            tools=[
                tool("say", self.say, Say),
                tool("work", self.work, Say),
                tool("write", self.work, Say, writes=lambda arguments: "one/file"),
                tool("bash", self.work, Say, exclusive=True),
            ],
            hooks=[("gate", Gate())],
            settings=LoopSettings(retries=2),
            system_prompt=lambda: "s",
            tool_context=lambda call_id: context_in(Path("/")),
            checkpoint=self.save,
            emit=self.see,
            control=self.control,
            clock=self.clock,
        )

    # the loop's surroundings

    async def say(self, arguments: Say, context: ToolContext) -> ToolResult:
        self.ran[arguments.text] += 1
        return ToolResult(arguments.text)

    async def work(self, arguments: Say, context: ToolContext) -> ToolResult:
        self.ran[arguments.text] += 1
        context.progress("working")
        future: asyncio.Future[ToolResult] = self.loop.create_future()
        self.working.append(future)
        return await future

    async def save(self, conversation: Conversation) -> None:
        check_legal(conversation.messages)
        ids = [entry.id for entry in conversation.entries]
        assert ids[: len(self.saved)] == self.saved, "the record only grows"
        await asyncio.sleep(0)
        if self.saves_fail:
            self.saves_fail -= 1
            raise OSError("the disk is full")
        self.saved = ids

    async def see(self, event: AgentEvent) -> None:
        await asyncio.sleep(0)
        self.events.append(event)

    @property
    def condensing(self) -> bool:
        kinds = [event.kind for event in self.events if event.kind.startswith("compact")]
        return kinds[-1:] == ["compaction_start"]

    def settle(self, turns: int = 150) -> None:
        async def turn() -> None:
            for _ in range(turns):
                await asyncio.sleep(0)

        self.loop.run_until_complete(turn())

    @property
    def running(self) -> bool:
        return self.run_task is not None and not self.run_task.done()

    def start(self, run: Coroutine[object, object, RunOutcome]) -> None:
        self.run_task = self.loop.create_task(run)
        self.settle()

    # what may happen

    @precondition(lambda self: not self.running)
    @rule(prompt=st.sampled_from(["go", "x" * 9_000, "go", None]))
    def begin(self, prompt: str | None) -> None:
        message = None if prompt is None else Message(role="user", content=(Text(text=prompt),))
        while not self.model.steps.empty():
            self.model.steps.get_nowait()
        self.restarted = False
        self.start(self.agent.run(self.conversation, message))

    @precondition(lambda self: self.model.open)
    @rule(text=TEXTS)
    def speak(self, text: str) -> None:
        self.put([TextDelta(index=0, text=text)])

    @precondition(lambda self: self.model.open)
    @rule(text=TEXTS, calls=CALLS, stop=st.sampled_from(STOPS), usage=USAGES, patient=st.booleans())
    def answer(
        self,
        text: str,
        calls: list[tuple[str, str, JsonObject, str | None]],
        stop: StopReason,
        usage: int,
        patient: bool,
    ) -> None:
        if self.condensing:
            text = text[:100] or "a summary"
        events: list[StreamEvent] = [BlockStop(index=0, block=Text(text=text))]
        for index, (name, call_id, arguments, malformed) in enumerate(calls, 1):
            use = ToolUse(id=call_id, name=name, input=arguments, malformed=malformed)
            events.append(BlockStop(index=index, block=use))
        self.put([*events, UsageReport(usage=TokenUsage(input_tokens=usage)), MessageStop(stop_reason=stop)], None)
        self.settle(150 if patient else 3)

    @precondition(lambda self: self.model.open)
    @rule(failure=FAILURES, really=st.booleans())
    def fail(self, failure: Exception, really: bool) -> None:
        if really:
            self.put(failure)

    @precondition(lambda self: self.model.open)
    @rule(really=RARELY)
    def break_off(self, really: bool) -> None:
        if really:
            self.put(None)

    @precondition(lambda self: self.working)
    @rule(which=st.integers(0, 9), how=st.sampled_from(["ok", "failed", "raises", "ends", "garbage"]))
    def finish_tool(self, which: int, how: str) -> None:
        future = self.working.pop(which % len(self.working))
        if future.done():
            return
        if how == "raises":
            future.set_exception(ValueError("no"))
        elif how == "garbage":
            future.set_result("garbage")  # type: ignore[arg-type]
        else:
            future.set_result(ToolResult(how, is_error=how == "failed", terminate=how == "ends"))
        self.settle()

    @rule(patient=st.booleans(), really=RARELY)
    def cancel(self, patient: bool, really: bool) -> None:
        if not really:
            return
        running, told = self.running, self.loop.run_until_complete(self.say_stop())
        assert running or not told
        self.settle(150 if patient else 1)

    async def say_stop(self) -> bool:
        return self.control.cancel()

    @precondition(lambda self: self.running)
    @rule(really=RARELY)
    def cancel_the_task(self, really: bool) -> None:
        if really and self.run_task is not None:
            self.run_task.cancel()
            self.settle()

    @precondition(lambda self: self.running)
    @rule(really=RARELY)
    def stop_after_turn(self, really: bool) -> None:
        if really:
            self.control.stop_after_turn()

    @rule(lane=st.sampled_from(["steer", "follow_up", "next_turn"]))
    def message(self, lane: str) -> None:
        getattr(self.control, lane)("listen")

    @precondition(lambda self: self.running)
    @rule(times=st.sampled_from([0] * 8 + [1, 2]))
    def disk_is_full(self, times: int) -> None:
        self.saves_fail = times

    @precondition(lambda self: not self.running)
    @rule(really=RARELY)
    def restart_the_process(self, really: bool) -> None:
        """Only what was saved is there the next time."""
        if not really:
            return
        saved = [entry for entry in self.conversation.entries if entry.id in self.saved]
        again = Conversation.replay(saved, model="m")
        if len(saved) == len(self.conversation.entries):
            assert again.messages == self.conversation.messages
            assert again.total_usage == self.conversation.total_usage
        self.conversation = again
        self.restarted = True

    def put(self, *steps: list[StreamEvent] | Exception | None) -> None:
        for step in steps:
            self.model.steps.put_nowait(step)
        self.settle(3)

    # what always holds

    @invariant()
    def the_history_is_legal(self) -> None:
        check_legal(self.conversation.messages)
        assert set(self.ran) <= {"allow", "said"}, "nothing ran that was blocked or did not fit"

    @invariant()
    def every_run_has_one_end_and_every_call_too(self) -> None:
        kinds = Counter(event.kind for event in self.events)
        assert kinds["agent_start"] - kinds["agent_end"] in (0, int(self.running))
        if self.running:
            return
        assert kinds["agent_start"] == kinds["agent_end"]
        assert kinds["turn_start"] == kinds["turn_end"]
        assert kinds["compaction_start"] == kinds["compacted"] + kinds["compaction_failed"]
        assert not self.events or self.events[-1].kind == "agent_end"
        assert not self.conversation.unanswered or self.restarted
        assert not self.model.open, "no request is left behind"
        starts = Counter(event.id for event in self.events if isinstance(event, ToolStart))
        assert starts == Counter(event.id for event in self.events if isinstance(event, ToolEnd))

    def teardown(self) -> None:
        if self.running:
            self.loop.run_until_complete(self.say_stop())
            self.settle()
            assert not self.running, "a run that is cancelled ends"
        if self.run_task is not None and not self.run_task.cancelled():
            self.run_task.exception()
        for future in self.working:
            future.cancel()
        self.settle()
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        assert not asyncio.all_tasks(self.loop), "no task is left behind"
        self.loop.close()


def test_any_interleaving() -> None:
    run_state_machine_as_test(Machine, settings=settings(max_examples=120, stateful_step_count=40, deadline=None))


@pytest.mark.long
def test_any_interleaving_for_long() -> None:
    run_state_machine_as_test(Machine, settings=settings(max_examples=4_000, stateful_step_count=80, deadline=None))
