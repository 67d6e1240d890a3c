"""Messages to a run that goes on: when they are heard, and in which message."""

import pytest
from tests.core.agent.loop.parts import SAY, Rig, ScriptedModel, call, says, tool

from beyond_ai import ToolContext, ToolResult
from beyond_ai.agent.loop import Control, Lane, LaneMode
from beyond_ai.spec.agent_event import Steered
from beyond_ai.spec.conversation import Image, Text, ToolOutput


def steered(rig: Rig) -> list[tuple[str, tuple[str, ...]]]:
    return [(event.lane, event.messages) for event in rig.events if isinstance(event, Steered)]


async def test_steering_goes_with_the_results_of_tools() -> None:
    async def work(arguments: object, context: ToolContext) -> ToolResult:
        rig.control.steer("not that file")
        rig.control.steer([Text(text="see "), Image(media_type="image/png", data="aaaa")])
        return ToolResult("ok")

    rig = Rig(
        ScriptedModel(says("", call("work")), says("done"), says("done")), tool("work", work), control=all_at_once()
    )
    await rig.run()
    [_, _, results, _] = rig.conversation.messages
    kinds = [type(block) for block in results.content]
    assert kinds == [ToolOutput, Text, Text, Image]
    assert results.text == "not that filesee "
    assert steered(rig) == [("steer", ("not that file", "see "))]
    assert rig.trace.index("steered") < rig.trace.index("turn_start", rig.trace.index("steered"))


def all_at_once() -> Control:
    return Control(steer="all", follow_up="all")


@pytest.mark.parametrize(("mode", "heard"), [("one_at_a_time", [("1",), ("2",)]), ("all", [("1", "2")])])
@pytest.mark.parametrize("lane", ["steer", "follow_up"])
async def test_what_waits_when_the_run_would_end_is_a_message_of_its_own(
    lane: Lane, mode: LaneMode, heard: list[tuple[str, ...]]
) -> None:
    control = Control(steer=mode, follow_up=mode)
    put = control.steer if lane == "steer" else control.follow_up
    assert put("1")
    assert put("2")
    rig = Rig(ScriptedModel(*[says(f"answer {number}") for number in range(3)][: len(heard) + 1]), control=control)
    outcome = await rig.run()
    assert (outcome.status, outcome.steps) == ("done", len(heard) + 1)
    assert steered(rig) == [(lane, texts) for texts in heard]


async def test_a_follow_up_waits_until_the_run_would_end() -> None:
    rig = Rig(ScriptedModel(says("", call("say")), says("one"), says("two")))
    rig.control.follow_up("and now the other")
    await rig.run()
    texts = [message.text for message in rig.conversation.messages]
    assert texts == ["go", "", "", "one", "and now the other", "two"]


async def test_the_next_prompt_brings_what_waited_for_it() -> None:
    rig = Rig(ScriptedModel(says("done")))
    rig.control.next_turn("Note: the build is red. ")
    rig.control.next_turn("And the sky is blue. ")
    await rig.run("Fix it.")
    assert rig.conversation.messages[0].text == "Note: the build is red. And the sky is blue. Fix it."
    assert steered(rig) == [("next_turn", ("Note: the build is red. ", "And the sky is blue. "))]


async def test_a_tool_that_ends_the_run_does_not_end_it_for_those_who_wait() -> None:
    async def submit(arguments: object, context: ToolContext) -> ToolResult:
        rig.control.follow_up("one more thing")
        return ToolResult("submitted", terminate=True)

    rig = Rig(ScriptedModel(says("", call("submit")), says("done")), tool("submit", submit))
    assert (await rig.run()).text == "done"
    assert rig.conversation.messages[2].text == "one more thing"


async def test_a_run_may_be_asked_to_stop_after_its_turn() -> None:
    async def work(arguments: object, context: ToolContext) -> ToolResult:
        rig.control.stop_after_turn()
        return ToolResult("worked")

    rig = Rig(ScriptedModel(says("", call("work", "a")), says("done")), tool("work", work))
    outcome = await rig.run()
    assert (outcome.status, outcome.steps) == ("done", 1)
    assert rig.result("a").content == "worked"
    assert (await rig.run(None)).text == "done", "it holds for one run"


async def test_a_lane_that_is_full_refuses_the_newest() -> None:
    control = Control(size=2)
    assert [control.steer(text) for text in "abc"] == [True, True, False]
    assert control.pending("steer") == ("a", "b")
    assert control.follow_up("d"), "every lane has its own room"
    assert control.clear("steer") == ("a", "b")
    assert control.clear() == ("d",)
    assert control.steer("e")


async def test_nothing_stops_a_run_that_does_not_go_on() -> None:
    control = Control()
    assert not control.cancel()
    control.stop_after_turn()
    rig = Rig(ScriptedModel(says("", call("say")), says("done")), SAY, control=control)
    assert (await rig.run()).text == "done"
