"""Which calls run, which do not, and what the model is told."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from pydantic import BaseModel
from tests.core.agent.loop.parts import FAIL, SAY, Number, Rig, Say, ScriptedModel, Step, call, says, tool

from beyond_ai import AgentHook, Allow, Ask, Block, ToolContext, ToolError, ToolImage, ToolResult, Verdict
from beyond_ai.agent.loop import Approver
from beyond_ai.agent.model import BlockStop, MessageStart, MessageStop, TextDelta
from beyond_ai.spec.agent_event import Notice, ToolEnd, ToolStart
from beyond_ai.spec.conversation import JsonObject, Message, StopReason, Text, Thinking, ToolUse


async def test_one_message_holds_all_results_in_call_order() -> None:
    calls = [call("say", "a", text="one"), call("nothing", "b"), call("fail", "c", text="three")]
    rig = Rig(ScriptedModel(says("", *calls), says("done")))
    await rig.run()
    assert [message.role for message in rig.conversation.messages] == ["user", "assistant", "user", "assistant"]
    assert [(output.tool_use_id, output.is_error) for output in rig.results] == [("a", False), ("b", True), ("c", True)]


@pytest.mark.parametrize("stop", ["end_turn", "tool_use", "max_tokens", "stop_sequence", "other"])
async def test_a_whole_call_runs_whatever_the_stop_reason_says(stop: StopReason) -> None:
    rig = Rig(ScriptedModel(says("", call("say", text="ran"), stop=stop), says("done")))
    assert (await rig.run()).status == "done"
    assert rig.result().content == "ran"


async def test_a_stop_that_promises_a_call_runs_nothing() -> None:
    rig = Rig(ScriptedModel(says("no call", stop="tool_use")))
    assert (await rig.run()).text == "no call"
    assert "tool_start" not in rig.trace


async def test_a_call_is_not_run_when_its_stream_did_not_end() -> None:
    cut: list[Step] = [MessageStart(), BlockStop(index=0, block=call("say"))]
    rig = Rig(ScriptedModel(cut, says("done")))
    assert (await rig.run()).retries == 1
    assert "tool_start" not in rig.trace


async def test_arguments_that_are_no_json_are_told_and_not_run() -> None:
    rig = Rig(ScriptedModel(says("", call("say", malformed='{"text": "ech')), says("done")))
    await rig.run()
    assert rig.result().is_error
    assert '{"text": "ech' in rig.result().content
    assert "Unterminated string" in rig.result().content


async def test_a_call_that_the_token_limit_cut_comes_back_with_advice() -> None:
    whole, cut = call("say", "a", text="whole"), call("say", "b", malformed='{"text": "ha')
    rig = Rig(ScriptedModel(says("", whole, cut, stop="max_tokens"), says("done")))
    await rig.run()
    assert rig.result("a").content == "whole"
    assert "smaller calls" in rig.result("b").content


async def test_a_call_cut_before_its_arguments_is_not_taken_for_whole() -> None:
    rig = Rig(ScriptedModel(says("", call("say"), stop="max_tokens"), says("done")))
    await rig.run()
    assert rig.result().is_error


async def test_an_unknown_tool_is_answered_with_near_names() -> None:
    rig = Rig(ScriptedModel(says("", call("Says")), says("done")))
    await rig.run()
    assert rig.result().content == "There is no tool 'Says'. Did you mean say? The tools are: fail, say."


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "value is required"),
        ({"value": "7"}, 'not "7"'),
        ({"value": 7.5}, "not 7.5"),
        ({"value": None}, "not null"),
        ({"valeu": 7}, "did you mean value?"),
    ],
)
async def test_arguments_that_do_not_fit_are_told_and_not_run(given: JsonObject, said: str) -> None:
    async def count(arguments: Number, context: ToolContext) -> ToolResult:
        raise AssertionError("it ran")

    rig = Rig(
        ScriptedModel(says("", ToolUse(id="c1", name="count", input=given)), says("done")), tool("count", count, Number)
    )
    await rig.run()
    assert rig.result().is_error
    assert said in rig.result().content
    assert "It takes: value (required)." in rig.result().content


async def test_arguments_reach_the_tool_typed() -> None:
    class Where(BaseModel):
        folder: Path
        names: tuple[str, ...] = ()

    async def show(arguments: Where, context: ToolContext) -> ToolResult:
        return ToolResult(f"{arguments.folder / 'x'} {arguments.names}")

    rig = Rig(ScriptedModel(says("", call("show", folder="/a", names=["n"])), says("done")), tool("show", show, Where))
    await rig.run()
    assert rig.result().content == "/a/x ('n',)"


class RudeError(Exception):
    pass


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (ToolError("no such file; look with ls"), "no such file; look with ls"),
        (ToolError(), "broken failed without saying why."),
        (RudeError("oh"), "broken failed: RudeError: oh"),
        (SystemExit(3), "broken failed: SystemExit: 3"),
    ],
)
async def test_a_tool_that_raises_has_an_error_result(raised: BaseException, said: str) -> None:
    async def broken(arguments: object, context: ToolContext) -> ToolResult:
        raise raised

    rig = Rig(ScriptedModel(says("", call("broken")), says("done")), tool("broken", broken))
    assert (await rig.run()).status == "done"
    assert (rig.result().content, rig.result().is_error) == (said, True)


@pytest.mark.parametrize("garbage", [None, "text", 5, ToolResult(text=5), ToolResult("x", images=("png",))])  # type: ignore[arg-type]
async def test_a_tool_that_returns_garbage_has_an_error_result(garbage: object) -> None:
    async def odd(arguments: object, context: ToolContext) -> object:
        return garbage

    rig = Rig(ScriptedModel(says("", call("odd")), says("done")), tool("odd", odd))
    assert (await rig.run()).status == "done"
    assert rig.result().is_error


async def test_a_result_without_end_is_cut_and_half_characters_are_replaced() -> None:
    async def flood(arguments: object, context: ToolContext) -> ToolResult:
        return ToolResult("\ud800" + "x" * 1_000_000)

    rig = Rig(ScriptedModel(says("", call("flood")), says("done")), tool("flood", flood))
    await rig.run()
    assert len(rig.result().content.encode()) < 500_000
    assert rig.result().content.endswith("[cut: 1,000,001 characters in all]")


async def test_images_go_to_the_model_as_base64() -> None:
    async def look(arguments: object, context: ToolContext) -> ToolResult:
        return ToolResult("a picture", images=(ToolImage("image/png", b"\x89PNG"),))

    rig = Rig(ScriptedModel(says("", call("look")), says("done")), tool("look", look))
    await rig.run()
    [image] = rig.result().images
    assert (image.media_type, image.data) == ("image/png", "iVBORw==")


async def test_calls_with_one_id_are_told_apart() -> None:
    rig = Rig(ScriptedModel(says("", call("say", "", text="a"), call("say", "", text="b")), says("done")))
    await rig.run()
    assert [output.content for output in rig.results] == ["a", "b"]
    assert len({output.tool_use_id for output in rig.results}) == 2
    assert all(output.tool_use_id for output in rig.results)


async def test_what_came_before_an_answer_began_anew_is_void() -> None:
    voided: list[Step] = [MessageStart(), TextDelta(index=0, text="no"), BlockStop(index=1, block=call("say", "a"))]
    rest: list[Step] = [MessageStart(), BlockStop(index=2, block=Text(text="yes")), MessageStop(stop_reason="end_turn")]
    rig = Rig(ScriptedModel([*voided, *rest]))
    assert (await rig.run()).text == "yes"
    assert "tool_start" not in rig.trace


async def test_blocks_stand_in_the_order_in_which_they_began() -> None:
    use = call("say")
    events: list[Step] = [
        TextDelta(index=3, text="first"),
        BlockStop(index=1, block=Thinking(thinking="second", signature="s")),
        BlockStop(index=0, block=use),
        BlockStop(index=3, block=Text(text="first")),
        MessageStop(stop_reason="tool_use"),
    ]
    rig = Rig(ScriptedModel(events, says("done")))
    await rig.run()
    assert rig.conversation.messages[1].content == (Text(text="first"), Thinking(thinking="second", signature="s"), use)


# gates


class Gate(AgentHook):
    def __init__(self, verdict: object, log: list[str] | None = None) -> None:
        self.verdict = verdict
        self.log = log if log is not None else []

    async def before_tool_call(self, call: ToolUse) -> Verdict:
        self.log.append(f"gate {call.id}")
        if isinstance(self.verdict, Exception):
            raise self.verdict
        return self.verdict  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        (Block("not here"), "not here"),
        (Ask("is it safe?"), "not approved (is it safe?)"),
        (ValueError("oops"), "the hook gate that decides about calls failed (ValueError: oops)"),
        (None, "gave no verdict"),
        (True, "gave no verdict"),
    ],
)
async def test_a_gate_that_does_not_open_blocks(verdict: object, said: str) -> None:
    rig = Rig(ScriptedModel(says("", call("say")), says("done")), hooks=[("gate", Gate(verdict))])
    assert (await rig.run()).status == "done"
    assert rig.result().is_error
    assert said in rig.result().content


class Answers:
    def __init__(self, answer: object) -> None:
        self.answer = answer
        self.asked: list[tuple[str, str]] = []

    async def ask(self, call: ToolUse, reason: str) -> bool:
        self.asked.append((call.id, reason))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer  # type: ignore[return-value]


@pytest.mark.parametrize(("answer", "runs"), [(True, True), (False, False), ("yes", False), (OSError("no tty"), False)])
async def test_a_person_decides_where_a_gate_asks(answer: object, runs: bool) -> None:
    approver: Approver = Answers(answer)
    rig = Rig(
        ScriptedModel(says("", call("say")), says("done")), hooks=[("gate", Gate(Ask("sure?")))], approve=approver
    )
    await rig.run()
    assert rig.result().is_error is not runs
    assert approver.asked == [("c1", "sure?")]  # type: ignore[attr-defined]


async def test_all_calls_pass_the_gate_in_order_before_any_runs() -> None:
    log: list[str] = []

    async def note(arguments: Say, context: ToolContext) -> ToolResult:
        log.append(f"run {arguments.text}")
        return ToolResult("ok")

    calls = [call("note", "a", text="a"), call("missing", "x"), call("note", "b", text="b")]
    hooks = [("2", Gate(Allow(), log)), ("1", Gate(Allow()))]
    rig = Rig(ScriptedModel(says("", *calls), says("done")), tool("note", note, Say), hooks=hooks)
    await rig.run()
    assert log == ["gate a", "gate b", "run a", "run b"]


async def test_a_gate_that_cancels_itself_ends_the_run_and_runs_nothing() -> None:
    class Quits(AgentHook):
        async def before_tool_call(self, call: ToolUse) -> Verdict:
            raise asyncio.CancelledError

    rig = Rig(ScriptedModel(says("", call("say"))), hooks=[("quits", Quits())])
    outcome = await rig.run()
    assert (outcome.status, outcome.code) == ("failed", "internal")
    assert rig.result().is_error


async def test_the_first_gate_that_blocks_is_the_last_asked() -> None:
    second = Gate(Allow())
    rig = Rig(ScriptedModel(says("", call("say")), says("done")), hooks=[("b", second), ("a", Gate(Block("no")))])
    await rig.run()
    assert second.log == []


# rewrites


class Adds(AgentHook):
    def __init__(self, text: str) -> None:
        self.text = text

    async def after_tool_call(self, call: ToolUse, result: ToolResult) -> ToolResult:
        return ToolResult(result.text + self.text)

    async def prompt_sections(self) -> Sequence[str]:
        return [self.text]

    async def rewrite_context(self, messages: Sequence[Message]) -> Sequence[Message]:
        return [*messages[:-1], Message(role="user", content=(*messages[-1].content, Text(text=self.text)))]

    async def rewrite_payload(self, payload: JsonObject) -> JsonObject:
        return {**payload, "said": f"{payload.get('said', '')}{self.text}"}


class Breaks(AgentHook):
    async def after_tool_call(self, call: ToolUse, result: ToolResult) -> ToolResult:
        return "no result"  # type: ignore[return-value]

    async def prompt_sections(self) -> Sequence[str]:
        raise RuntimeError("no sections")

    async def rewrite_context(self, messages: Sequence[Message]) -> Sequence[Message]:
        return messages[1:]

    async def rewrite_payload(self, payload: JsonObject) -> JsonObject:
        return None  # type: ignore[return-value]


async def test_rewrites_are_chained_in_order_of_names_and_a_broken_one_is_passed_over() -> None:
    hooks: list[tuple[str, AgentHook]] = [("3", Adds("-three")), ("1", Adds("-one")), ("2", Breaks())]
    rig = Rig(ScriptedModel(says("", call("say")), says("done")), hooks=hooks)
    assert (await rig.run("ask")).status == "done"
    assert rig.result().content == "said-one-three"
    first, second = rig.model.requests
    assert first.system == second.system == "You are a test.\n\n-one\n\n-three"
    assert [message.text for message in second.messages] == ["ask", "", "-one-three"]
    assert rig.conversation.messages[0].text == "ask", "what is kept stays as it was"
    assert await rig.loop.rewrite_payload({"a": 1}) == {"a": 1, "said": "-one-three"}
    told = " ".join(event.message for event in rig.events if isinstance(event, Notice))
    for method in ("after_tool_call", "prompt_sections", "rewrite_context"):
        assert told.count(f"hook 2 failed in {method}") == 1


async def test_people_see_what_a_call_does_and_how_it_went() -> None:
    rig = Rig(
        ScriptedModel(says("", call("say", "a", text="a  long\nline " * 30), call("fail", "b")), says("done")),
        SAY,
        FAIL,
    )
    await rig.run()
    starts = [event for event in rig.events if isinstance(event, ToolStart)]
    assert starts[0].summary.startswith("a long line a long")
    assert len(starts[0].summary) == 100
    assert [(event.id, event.is_error) for event in rig.events if isinstance(event, ToolEnd)] == [
        ("a", False),
        ("b", True),
    ]


# repetition


async def test_a_call_that_fails_again_and_again_is_pointed_out_and_then_ends_the_run() -> None:
    again = [says("", call("fail", f"c{number}", text="x")) for number in range(1, 5)]
    rig = Rig(ScriptedModel(*again))
    outcome = await rig.run()
    assert (outcome.status, outcome.code, outcome.requests) == ("failed", "tool", 4)
    assert "fail" in (outcome.message or "")
    remarks = ["failed 3 times in a row" in output.content for output in rig.results]
    assert remarks == [False, False, True, False]
    assert rig.trace[-3:] == ["saved", "error", "agent_end"]
    assert rig.trace.count("notice") == 1


async def test_a_call_that_differs_or_succeeds_is_no_repetition() -> None:
    script = [says("", call("fail", f"c{number}", text="xy"[number % 2])) for number in range(6)]
    script += [says("", call("say", f"d{number}")) for number in range(6)]
    rig = Rig(ScriptedModel(*script, says("done")))
    assert (await rig.run()).status == "done"
    assert not any("times in a row" in output.content for output in rig.results)
