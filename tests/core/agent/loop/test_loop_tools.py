"""How calls run beside each other, what is seen of them, and how they are stopped."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.core.agent.loop.parts import (
    FAIL,
    SAY,
    FakeClock,
    OnePath,
    Rig,
    Say,
    ScriptedModel,
    Step,
    call,
    says,
    tool,
    until,
)

from beyond_ai import AgentHook, Allow, Tool, ToolContext, ToolError, ToolImage, ToolResult, Verdict
from beyond_ai.agent.loop import LoopSettings
from beyond_ai.agent.model import BlockStop, MessageStart, TextDelta, UsageReport
from beyond_ai.spec.agent_event import AgentEvent, Notice, ToolEnd, ToolProgress
from beyond_ai.spec.conversation import TokenUsage, ToolUse


class Workshop:
    """Tools that take their time: each call waits until `steps` turns of the event loop have passed."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.running = 0
        self.most = 0

    async def work(self, arguments: OnePath, context: ToolContext) -> ToolResult:
        self.running += 1
        self.most = max(self.most, self.running)
        self.log.append(f"+{arguments.path}")
        for _ in range(20):
            await asyncio.sleep(0)
        self.log.append(f"-{arguments.path}")
        self.running -= 1
        return ToolResult(arguments.path)

    def tool(self, name: str, *, exclusive: bool = False, writes: Callable[..., str] | None = None) -> Tool:
        return tool(name, self.work, OnePath, exclusive=exclusive, writes=writes)


def writes(arguments: OnePath) -> str:
    return arguments.path


async def test_calls_run_side_by_side_up_to_eight() -> None:
    shop = Workshop()
    calls = [call("work", f"c{number}", path=str(number)) for number in range(20)]
    rig = Rig(ScriptedModel(says("", *calls), says("done")), shop.tool("work"))
    await rig.run()
    assert shop.most == 8
    assert [output.content for output in rig.results] == [str(number) for number in range(20)]


async def test_one_at_a_time_when_so_set() -> None:
    shop = Workshop()
    calls = [call("work", f"c{number}", path=str(number)) for number in range(4)]
    rig = Rig(ScriptedModel(says("", *calls), says("done")), shop.tool("work"), settings=LoopSettings(parallel=1))
    await rig.run()
    assert shop.most == 1


async def test_nothing_runs_beside_an_exclusive_tool() -> None:
    shop = Workshop()
    calls = [call("work", "a", path="a"), call("bash", "b", path="b"), call("work", "c", path="c")]
    rig = Rig(ScriptedModel(says("", *calls), says("done")), shop.tool("work"), shop.tool("bash", exclusive=True))
    await rig.run()
    assert shop.log == ["+a", "-a", "+b", "-b", "+c", "-c"]


async def test_calls_that_write_one_path_keep_their_order(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    same = ["real/f", "link/f", "./real/../real/f", str(tmp_path / "link" / "f")]
    shop = Workshop()
    calls = [call("write", f"c{number}", path=path) for number, path in enumerate([*same, "other"])]
    rig = Rig(ScriptedModel(says("", *calls), says("done")), shop.tool("write", writes=writes), folder=tmp_path)
    await rig.run()
    order = [entry for entry in shop.log if not entry.endswith("other")]
    assert order == [mark + path for path in same for mark in "+-"]
    assert shop.most == 2, "the other file is written beside them"


async def test_a_tool_that_cannot_say_what_it_writes_runs_all_the_same() -> None:
    def cannot(arguments: OnePath) -> str:
        raise ValueError

    shop = Workshop()
    calls = [call("write", "a", path="a\0"), call("write", "b", path="b")]
    rig = Rig(ScriptedModel(says("", *calls), says("done")), shop.tool("write", writes=cannot))
    await rig.run()
    assert not any(output.is_error for output in rig.results)


async def test_ends_are_told_as_they_come() -> None:
    first = asyncio.Event()

    async def slow(arguments: object, context: ToolContext) -> ToolResult:
        await first.wait()
        return ToolResult("slow")

    def see(event: AgentEvent) -> None:
        if isinstance(event, ToolEnd):
            first.set()

    calls = [call("slow", "a"), call("say", "b")]
    rig = Rig(ScriptedModel(says("", *calls), says("done")), tool("slow", slow), SAY, emit=see)
    await rig.run()
    assert [event.id for event in rig.events if isinstance(event, ToolEnd)] == ["b", "a"]
    assert [output.tool_use_id for output in rig.results] == ["a", "b"]


async def test_where_a_tool_runs_that_has_no_place_is_an_error_result() -> None:
    rig = Rig(ScriptedModel(says("", call("say")), says("done")))

    def no_place(call_id: str) -> ToolContext:
        raise OSError("no scratch folder")

    object.__setattr__(rig.loop._parts, "tool_context", no_place)
    assert (await rig.run()).status == "done"
    assert "no scratch folder" in rig.result().content


# progress


async def test_progress_tells_what_is_new_and_not_too_often() -> None:
    clock = FakeClock(0.1)

    async def speak(arguments: object, context: ToolContext) -> ToolResult:
        context.progress("one ")
        await until(lambda: 0.1 in clock.sleeps)
        context.progress("one two ")
        context.progress("one two three é")
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(rig.of("tool_progress")) == 1, "the interval is not over"
        return ToolResult("said")

    rig = Rig(ScriptedModel(says("", call("speak")), says("done")), tool("speak", speak), clock=clock)
    await rig.run()
    told = [event for event in rig.events if isinstance(event, ToolProgress)]
    assert [(event.text, event.total_bytes) for event in told] == [("one ", 4), ("two three é", 16)]
    assert rig.trace.index("tool_end") > max(at for at, kind in enumerate(rig.trace) if kind == "tool_progress")


async def test_progress_is_bounded_and_linear() -> None:
    async def flood(arguments: object, context: ToolContext) -> ToolResult:
        said = ""
        for number in range(100):
            said += f"line {number}\n" * 10
            context.progress(said)
            await asyncio.sleep(0)
        context.progress("only the end is kept: " + said[-100:])
        await asyncio.sleep(0)
        context.progress("x" * 1_000_000)
        return ToolResult("flooded")

    rig = Rig(ScriptedModel(says("", call("flood")), says("done")), tool("flood", flood))
    await rig.run()
    told = [event.text for event in rig.events if isinstance(event, ToolProgress)]
    assert max(map(len, told)) <= 8_193
    assert sum(map(len, told)) < 3 * 8_193


async def test_progress_after_the_end_is_not_told() -> None:
    kept: list[Callable[[str], None]] = []

    async def speak(arguments: object, context: ToolContext) -> ToolResult:
        kept.append(context.progress)
        return ToolResult("ok")

    rig = Rig(ScriptedModel(says("", call("speak")), says("done")), tool("speak", speak))
    await rig.run()
    kept[0]("too late")
    await asyncio.sleep(0)
    assert rig.of("tool_progress") == []


# cancellation


def cancelled_by(rig: Rig) -> Callable[[], object]:
    return rig.control.cancel


async def test_a_cancelled_answer_keeps_its_text_and_no_calls() -> None:
    model = ScriptedModel()
    rig = Rig(model)
    half: list[Step] = [
        TextDelta(index=0, text="half an "),
        TextDelta(index=0, text="answer"),
        BlockStop(index=1, block=call("say")),
    ]
    usage = TokenUsage(input_tokens=50)
    model.script = [[MessageStart(), UsageReport(usage=usage), *half, rig.control.cancel, asyncio.Event().wait]]
    outcome = await rig.run()
    assert (outcome.status, outcome.code) == ("cancelled", "cancelled")
    [_, answer] = rig.conversation.messages
    assert (answer.text, answer.stop_reason, answer.tool_uses, answer.usage) == ("half an answer", "aborted", (), usage)
    assert "error" not in rig.trace
    assert model.closed == 1, "the request is ended"
    assert rig.trace.count("turn_end") == 1


async def test_cancelled_before_anything_was_said_leaves_the_question() -> None:
    model = ScriptedModel()
    rig = Rig(model)
    model.script = [[rig.control.cancel, asyncio.Event().wait], says("done")]
    assert (await rig.run()).status == "cancelled"
    assert [message.role for message in rig.conversation.messages] == ["user"]
    assert (await rig.run(None)).status == "done"


async def test_a_transport_that_turns_cancellation_into_a_failure_is_still_cancelled() -> None:
    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ConnectionError("closed") from None

    model = ScriptedModel()
    rig = Rig(model)
    model.script = [[rig.control.cancel, stubborn]]
    assert (await rig.run()).status == "cancelled"


async def test_cancelled_while_a_retry_waits() -> None:
    from tests.core.agent.loop.parts import overloaded

    clock = FakeClock(7.0)
    rig = Rig(ScriptedModel(overloaded(7.0)), clock=clock)
    running = asyncio.ensure_future(rig.run())
    await until(lambda: clock.sleeps == [7.0])
    rig.control.cancel()
    assert (await running).status == "cancelled"


async def test_cancelled_at_the_gate_runs_nothing() -> None:
    class Slow(AgentHook):
        async def before_tool_call(self, call: ToolUse) -> Verdict:
            if call.id == "b":
                rig.control.cancel()
                await asyncio.Event().wait()
            return Allow()

    rig = Rig(ScriptedModel(says("", call("say", "a"), call("say", "b"), call("say", "c"))), hooks=[("slow", Slow())])
    assert (await rig.run()).status == "cancelled"
    assert [(output.is_error, "Nothing of it was done" in output.content) for output in rig.results] == [
        (True, True)
    ] * 3
    assert rig.trace.count("tool_end") == 3


async def test_cancelled_mid_tools_keeps_what_is_finished_and_closes_the_rest() -> None:
    finished = asyncio.Event()
    seen: list[bool] = []

    async def heeds(arguments: object, context: ToolContext) -> ToolResult:
        await context.cancellation.wait()
        seen.append(context.cancellation.requested)
        return ToolResult("stopped in good order")

    async def waits(arguments: object, context: ToolContext) -> ToolResult:
        await asyncio.Event().wait()
        raise AssertionError

    def see(event: AgentEvent) -> None:
        if isinstance(event, ToolEnd) and event.id == "a":
            finished.set()

    calls = [call("say", "a"), call("heeds", "b"), call("waits", "c")]
    rig = Rig(ScriptedModel(says("", *calls)), SAY, tool("heeds", heeds), tool("waits", waits), emit=see)
    running = asyncio.ensure_future(rig.run())
    await finished.wait()
    rig.control.steer("never mind")
    assert rig.control.cancel()
    assert (await running).status == "cancelled"
    assert [(output.content, output.is_error) for output in rig.results] == [
        ("said", False),
        ("stopped in good order", False),
        ("The run was stopped while this call was running. What it had done until then stays done.", True),
    ]
    assert seen == [True]
    assert rig.clock.sleeps[0] == LoopSettings().tool_grace
    assert rig.control.pending("steer") == (), "what was said to a run that is gone is gone"
    assert not rig.control.cancel(), "nothing is going on any more"


async def test_calls_that_wait_for_their_turn_are_not_begun_after_a_stop() -> None:
    began: list[str] = []

    async def waits(arguments: Say, context: ToolContext) -> ToolResult:
        began.append(arguments.text)
        rig.control.cancel()
        return ToolResult("ok")

    calls = [call("bash", "a", text="a"), call("bash", "b", text="b")]
    rig = Rig(ScriptedModel(says("", *calls)), tool("bash", waits, Say, exclusive=True))
    assert (await rig.run()).status == "cancelled"
    assert began == ["a"]
    assert [output.is_error for output in rig.results] == [False, True]


async def _swallows(then: Callable[[], Awaitable[object]]) -> ToolResult:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        await then()
    return ToolResult("late")


async def test_a_tool_that_swallows_cancellation_cannot_hang_the_run() -> None:
    free = asyncio.Event()
    left: list[asyncio.Task[None] | None] = []

    async def stubborn(arguments: object, context: ToolContext) -> ToolResult:
        left.append(asyncio.current_task())
        rig.control.cancel()
        result = await _swallows(free.wait)
        context.progress("still here")
        return result

    rig = Rig(ScriptedModel(says("", call("stubborn"))), tool("stubborn", stubborn))
    assert (await rig.run()).status == "cancelled"
    assert rig.result().is_error
    assert [event.message for event in rig.events if isinstance(event, Notice)] == [
        "stubborn does not stop and was left behind"
    ]
    ends = rig.trace.count("tool_end")
    free.set()
    assert left[0] is not None
    await left[0]
    assert rig.trace[-1] == "agent_end"
    assert rig.of("tool_progress") == []
    assert rig.trace.count("tool_end") == ends == 1, "its own result comes too late"


async def test_a_tool_that_is_slow_to_clean_up_is_waited_for() -> None:
    async def cleans(arguments: object, context: ToolContext) -> ToolResult:
        rig.control.cancel()

        async def clean() -> None:
            for _ in range(5):
                await asyncio.sleep(0)

        return await _swallows(clean)

    clock = FakeClock(LoopSettings().tool_cleanup)
    rig = Rig(ScriptedModel(says("", call("cleans"))), tool("cleans", cleans), clock=clock)
    assert (await rig.run()).status == "cancelled"
    assert rig.result().content == "late"


async def test_a_tool_that_cancels_itself_has_an_error_result() -> None:
    async def quits(arguments: object, context: ToolContext) -> ToolResult:
        raise asyncio.CancelledError

    rig = Rig(ScriptedModel(says("", call("quits", "a"), call("say", "b")), says("done")), tool("quits", quits), SAY)
    assert (await rig.run()).status == "done"
    assert rig.result("a").is_error
    assert rig.result("b").content == "said"


async def test_the_hook_after_a_call_is_cancelled_with_it() -> None:
    class Slow(AgentHook):
        async def after_tool_call(self, call: ToolUse, result: ToolResult) -> ToolResult:
            rig.control.cancel()
            await asyncio.Event().wait()
            return result

    rig = Rig(ScriptedModel(says("", call("say"))), hooks=[("slow", Slow())])
    assert (await rig.run()).status == "cancelled"
    assert rig.result().is_error


@pytest.mark.parametrize("error", [ToolError("no"), ValueError("no")])
async def test_a_tool_that_answers_a_stop_by_raising_keeps_its_words(error: Exception) -> None:
    async def raises(arguments: object, context: ToolContext) -> ToolResult:
        rig.control.cancel()
        await context.cancellation.wait()
        raise error

    rig = Rig(ScriptedModel(says("", call("raises"))), tool("raises", raises), FAIL)
    assert (await rig.run()).status == "cancelled"
    assert "no" in rig.result().content


async def test_an_image_that_no_provider_takes_does_not_get_into_the_history() -> None:
    fits = ToolImage("image/png", b"small")

    async def paint(arguments: Say, context: ToolContext) -> ToolResult:
        return ToolResult("painted", images=(fits, ToolImage("image/png", b"x" * 5_000_000)))

    rig = Rig(ScriptedModel(says("", call("paint")), says("done")), tool("paint", paint, Say))
    await rig.run()
    assert len(rig.result().images) == 1
    assert rig.result().content == "painted\n[1 left out of 2 images: too large for a model]"
