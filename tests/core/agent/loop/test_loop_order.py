"""The order of things in a run, and its one end."""

import ast
import asyncio
from pathlib import Path

import pytest
from tests.core.agent.loop.parts import FAIL, SAY, Rig, ScriptedModel, Step, call, overloaded, says, tool, until

import beyond_ai.agent.loop
from beyond_ai import AgentHook, ToolContext, ToolResult
from beyond_ai.agent.failure import ModelFailure
from beyond_ai.agent.loop import Conversation, LoopSettings
from beyond_ai.agent.model import MessageStart, TextDelta
from beyond_ai.spec.agent_event import AgentEnd, AgentEvent, Delta, ErrorEvent, Notice, ToolStart, TurnEnd
from beyond_ai.spec.conversation import TokenUsage


async def test_everything_comes_in_its_order() -> None:
    rig = Rig(ScriptedModel(says("let me see", call("say", "a"), call("say", "b", text="x")), says("done")))
    outcome = await rig.run()
    assert [kind for kind in rig.trace if kind != "delta"] == [
        *("agent_start", "saved"),
        *("turn_start", "turn_end", "saved", "tool_start", "tool_start", "tool_end", "tool_end", "saved"),
        *("turn_start", "turn_end", "saved"),
        "agent_end",
    ]
    assert [event.id for event in rig.events if isinstance(event, ToolStart)] == ["a", "b"]
    assert (outcome.status, outcome.text, outcome.steps, outcome.requests) == ("done", "done", 2, 2)


async def test_an_answer_is_seen_as_it_is_written() -> None:
    rig = Rig(ScriptedModel(says("one two", call("say"), deltas=3), says("done")))
    await rig.run()
    deltas = [event for event in rig.events if isinstance(event, Delta)]
    assert [(delta.type, delta.index) for delta in deltas] == [("text", 0)] * 3 + [("tool_arguments", 1), ("text", 0)]
    assert "".join(delta.text for delta in deltas[:3]) == "one two"


async def test_usage_is_told_by_turn_and_in_total() -> None:
    first, second = TokenUsage(input_tokens=10, output_tokens=5), TokenUsage(input_tokens=30, cache_read_tokens=7)
    rig = Rig(ScriptedModel(says("", call("say"), usage=first), says("done", usage=second)))
    outcome = await rig.run()
    turns = [event for event in rig.events if isinstance(event, TurnEnd)]
    assert [(turn.turn_usage, turn.total_usage) for turn in turns] == [(first, first), (second, first + second)]
    assert outcome.usage == rig.conversation.total_usage == first + second


async def test_limits_are_said_at_the_start() -> None:
    rig = Rig(ScriptedModel(says("done")), settings=LoopSettings(max_turns=3, max_seconds=9.5))
    await rig.run()
    assert rig.of("agent_start")[0].limits == {"max_turns": 3, "max_seconds": 9.5}  # type: ignore[union-attr]


async def test_a_sink_that_fails_does_not_stop_the_run() -> None:
    def broken(event: AgentEvent) -> None:
        raise BrokenPipeError("nobody reads")

    rig = Rig(ScriptedModel(says("", call("say")), says("done")), emit=broken)
    assert (await rig.run()).status == "done"


@pytest.mark.parametrize("saves", [0, 1, 2, 3])
async def test_a_checkpoint_that_fails_ends_the_run(saves: int) -> None:
    left = [saves]

    def full(conversation: Conversation) -> None:
        if left[0] == 0:
            raise OSError("the disk is full")
        left[0] -= 1

    rig = Rig(ScriptedModel(says("", call("say")), says("done")), checkpoint=full)
    outcome = await rig.run()
    assert (outcome.status, outcome.code) == ("failed", "internal")
    assert "the disk is full" in (outcome.message or "")
    assert [event.code for event in rig.events if isinstance(event, ErrorEvent)] == ["internal"]
    # the call is durable before it runs, or it does not run
    assert ("tool_start" in rig.trace) == (saves >= 2)
    assert not rig.conversation.unanswered


async def test_no_tool_runs_when_its_call_could_not_be_saved() -> None:
    ran: list[str] = []

    async def touch(arguments: object, context: ToolContext) -> ToolResult:
        ran.append("touched")
        return ToolResult("ok")

    def full(conversation: Conversation) -> None:
        if conversation.unanswered:
            raise OSError("the disk is full")

    rig = Rig(ScriptedModel(says("", call("touch"))), tool("touch", touch), checkpoint=full)
    outcome = await rig.run()
    assert "no tool was run" in (outcome.message or "")
    assert ran == []
    assert rig.result().is_error
    assert "Nothing of it was done" in rig.result().content


async def test_a_failure_that_cannot_be_saved_is_still_told_first() -> None:
    def full(conversation: Conversation) -> None:
        if len(conversation.entries) > 1:
            raise OSError("the disk is full")

    broken = ModelFailure("auth", "the key is wrong", status=401)
    rig = Rig(ScriptedModel([MessageStart(), TextDelta(index=0, text="half"), broken]), checkpoint=full)
    outcome = await rig.run()
    assert (outcome.status, outcome.code) == ("failed", "auth")
    assert any(isinstance(event, Notice) and "could not be saved" in event.message for event in rig.events)


async def test_a_defect_is_a_failed_run() -> None:
    rig = Rig(ScriptedModel(ZeroDivisionError("oh")))
    outcome = await rig.run()
    assert (outcome.status, outcome.code, outcome.message) == ("failed", "internal", "ZeroDivisionError: oh")
    assert rig.trace[-2:] == ["error", "agent_end"]


async def test_what_is_not_done_is_said_in_the_last_event() -> None:
    rig = Rig(ScriptedModel(ModelFailure("quota", "no credit is left", status=429)))
    outcome = await rig.run()
    end = rig.events[-1]
    assert isinstance(end, AgentEnd)
    assert (end.status, end.code, end.message) == ("failed", "quota", "no credit is left")
    assert (outcome.steps, outcome.requests, outcome.retries) == (end.steps, end.requests, end.retries) == (1, 1, 0)


async def test_a_run_whose_task_is_cancelled_ends_properly_and_passes_it_on() -> None:
    started = asyncio.Event()

    async def wait(arguments: object, context: ToolContext) -> ToolResult:
        started.set()
        await asyncio.Event().wait()
        raise AssertionError

    rig = Rig(ScriptedModel(says("", call("wait"))), tool("wait", wait))
    running = asyncio.ensure_future(rig.run())
    await started.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert rig.trace.count("agent_end") == 1
    assert rig.trace[-1] == "agent_end"
    assert rig.trace.count("tool_end") == 1
    assert not rig.conversation.unanswered
    assert not rig.control.running


async def test_one_run_at_a_time() -> None:
    gate = asyncio.Event()
    rig = Rig(ScriptedModel([gate.wait, *says("done")]))
    running = asyncio.ensure_future(rig.run())
    await until(lambda: bool(rig.model.requests))
    with pytest.raises(RuntimeError, match="going on"):
        await rig.loop.run(rig.conversation, None)
    gate.set()
    assert (await running).status == "done"
    await rig.control.idle()


async def test_without_a_prompt_what_is_open_is_answered() -> None:
    rig = Rig(ScriptedModel(ModelFailure("auth", "no key"), says("done")))
    await rig.run("the question")
    outcome = await rig.run(None)
    assert outcome.status == "done"
    assert [message.text for message in rig.conversation.messages] == ["the question", "done"]


async def test_without_a_prompt_a_broken_answer_goes_on() -> None:
    broken: list[Step] = [MessageStart(), TextDelta(index=0, text="half an ans"), ModelFailure("auth", "no key")]
    rig = Rig(ScriptedModel(broken, says("done")))
    await rig.run("the question")
    assert (await rig.run(None)).status == "done"
    assert [message.role for message in rig.conversation.messages] == ["user", "assistant", "user", "assistant"]


async def test_without_anything_to_answer_nothing_is_asked() -> None:
    rig = Rig(ScriptedModel())
    outcome = await rig.run(None)
    assert (outcome.status, outcome.code, outcome.requests) == ("failed", "config", 0)


async def test_a_prompt_after_a_question_without_answer_keeps_roles_apart() -> None:
    rig = Rig(ScriptedModel(ModelFailure("auth", "no key"), says("done")))
    await rig.run("one")
    assert (await rig.run("two")).status == "done"
    assert [message.text for message in rig.conversation.messages] == ["one", "", "two", "done"]


async def test_calls_that_an_earlier_process_left_open_are_closed_not_run() -> None:
    rig = Rig(ScriptedModel(says("", call("say")), says("done"), says("done again")))
    await rig.run()
    rig.conversation = Conversation.replay(rig.conversation.entries[:2], model="m")
    assert [use.id for use in rig.conversation.unanswered] == ["c1"]
    assert (await rig.run("go on")).text == "done again"
    [_, _, third, _] = rig.conversation.messages
    assert third.text == "go on"
    assert rig.result().is_error
    assert rig.trace.count("tool_start") == 1


async def test_hooks_see_every_event_and_a_failing_one_is_told_once() -> None:
    seen: list[str] = []

    class Watch(AgentHook):
        async def on_event(self, event: AgentEvent) -> None:
            seen.append(event.kind)

    class Broken(AgentHook):
        async def on_event(self, event: AgentEvent) -> None:
            raise ValueError("no")

    rig = Rig(ScriptedModel(says("one two three", deltas=3)), hooks=[("watch", Watch()), ("broken", Broken())])
    assert (await rig.run()).status == "done"
    notices = [event.message for event in rig.events if isinstance(event, Notice)]
    assert notices == ["hook broken failed in on_event and was passed over: ValueError: no"]
    assert sorted(seen) == sorted(event.kind for event in rig.events)
    assert seen[-1] == "agent_end"


async def test_nothing_follows_the_end_not_even_that_a_hook_failed_in_it() -> None:
    class Broken(AgentHook):
        async def on_event(self, event: AgentEvent) -> None:
            if event.kind == "agent_end":
                raise ValueError("too late")

    rig = Rig(ScriptedModel(says("done"), says("done")), hooks=[("broken", Broken())])
    for _ in range(2):
        await rig.run()
        assert rig.trace[-2:] == ["notice", "agent_end"]


async def test_another_model_answers_from_the_next_request_on() -> None:
    async def switch(arguments: object, context: ToolContext) -> ToolResult:
        rig.control.switch(model="m2", thinking="high")
        return ToolResult("switched")

    rig = Rig(ScriptedModel(says("", call("switch")), says("done")), tool("switch", switch))
    await rig.run()
    assert [(request.model, request.thinking) for request in rig.model.requests] == [("m", None), ("m2", "high")]
    assert rig.of("model_switched")[0].model == "m2"  # type: ignore[union-attr]
    assert rig.conversation.messages[-1].model_id == "m2"
    assert Conversation.replay(rig.conversation.entries, model="m").model == "m2"


async def test_a_refusal_ends_without_running_what_it_calls() -> None:
    rig = Rig(ScriptedModel(says("I will not.", call("say"), stop="refusal")), SAY, FAIL)
    outcome = await rig.run()
    assert (outcome.status, outcome.code, outcome.message) == ("refused", "refused", "I will not.")
    assert "tool_start" not in rig.trace
    assert not rig.conversation.unanswered
    assert rig.trace[-2:] == ["saved", "agent_end"]


async def test_a_run_may_end_with_its_tools() -> None:
    async def submit(arguments: object, context: ToolContext) -> ToolResult:
        return ToolResult("submitted", terminate=True)

    rig = Rig(ScriptedModel(says("", call("submit", "a"), call("submit", "b"))), tool("submit", submit))
    assert (await rig.run()).status == "done"
    assert rig.model.script == []


async def test_a_run_goes_on_when_one_call_of_several_does_not_end_it() -> None:
    async def submit(arguments: object, context: ToolContext) -> ToolResult:
        return ToolResult("submitted", terminate=True)

    rig = Rig(ScriptedModel(says("", call("submit", "a"), call("say", "b")), says("done")), tool("submit", submit), SAY)
    assert (await rig.run()).text == "done"


async def test_failures_and_their_retries_leave_one_end() -> None:
    rig = Rig(ScriptedModel(*[overloaded()] * 5))
    assert (await rig.run()).status == "failed"
    assert rig.trace.count("agent_end") == rig.trace.count("error") == rig.trace.count("turn_end") == 1


def test_the_loop_imports_no_network_file_or_terminal_module() -> None:
    folder = Path(beyond_ai.agent.loop.__file__).parent
    banned = {
        "os",
        "io",
        "pathlib",
        "socket",
        "ssl",
        "http",
        "httpx",
        "shutil",
        "tempfile",
        "subprocess",
        "sys",
        "rich",
    }
    for file in folder.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                assert name.partition(".")[0] not in banned, f"{file.name} imports {name}"
                ours = name.partition("beyond_ai.agent.")[2].partition(".")[0]
                assert ours in ("", "loop", "model", "failure"), f"{file.name} imports {name}"
