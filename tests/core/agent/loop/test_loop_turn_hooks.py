"""Hooks that rewrite an answer, and that end a run after a turn."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.core.agent.loop.parts import USAGE, Rig, ScriptedModel, call, says

from beyond_ai import AgentHook
from beyond_ai.agent.loop import Control
from beyond_ai.spec.agent_event import Notice, TurnEnd
from beyond_ai.spec.conversation import Message, Text, ToolOutput


class Rewrites(AgentHook):
    def __init__(self, change: Callable[[Message], object]) -> None:
        self.change = change
        self.seen: list[Message] = []

    async def on_assistant_message(self, message: Message) -> Message:
        self.seen.append(message)
        return self.change(message)  # type: ignore[return-value]


class Stops(AgentHook):
    def __init__(self, when: Callable[[Message], object]) -> None:
        self.when = when
        self.seen: list[str] = []

    async def should_stop_after_turn(self, message: Message) -> bool:
        self.seen.append(message.text)
        return self.when(message)  # type: ignore[return-value]


def adding(text: str) -> Rewrites:
    return Rewrites(lambda message: replace(message, content=(*message.content, Text(text=text)), usage=None))


async def test_an_answer_is_kept_as_hooks_rewrite_it_in_order_of_their_names() -> None:
    rig = Rig(ScriptedModel(says("a"), says("b")), hooks=[("2", adding("-two")), ("1", adding("-one"))])
    outcome = await rig.run("ask")
    assert outcome.text == rig.conversation.messages[1].text == "a-one-two"
    assert [event.text for event in rig.events if isinstance(event, TurnEnd)] == ["a-one-two"]
    kept = rig.conversation.messages[1]
    assert (kept.usage, kept.model_id, kept.stop_reason) == (USAGE, "m", "end_turn")
    await rig.run("more")
    assert rig.model.requests[1].messages[1].text == "a-one-two", "the model sees its answer so, too"


async def test_calls_are_run_as_they_were_rewritten() -> None:
    def change(message: Message) -> Message:
        calls = tuple(replace(use, input={"text": "better"}) for use in message.tool_uses[:1])
        return replace(message, content=calls or message.content)

    rig = Rig(
        ScriptedModel(says("", call("say", "a"), call("fail", "b")), says("done")), hooks=[("h", Rewrites(change))]
    )
    assert (await rig.run()).status == "done"
    assert [output.content for output in rig.results] == ["better"]


@pytest.mark.parametrize(
    "change",
    [
        lambda message: 1 / 0,
        lambda message: None,
        lambda message: replace(message, role="user"),
        lambda message: replace(message, content=()),
        lambda message: replace(message, content=(ToolOutput(tool_use_id="a", content="x"),)),
        lambda message: replace(message, content=(call("say", "a"), call("say", "a"))),
    ],
)
async def test_a_rewrite_that_fails_leaves_the_answer_and_is_told_once(change: Callable[[Message], object]) -> None:
    hooks: list[tuple[str, AgentHook]] = [("bad", Rewrites(change)), ("good", adding("!"))]
    rig = Rig(ScriptedModel(says("", call("say", "a")), says("done")), hooks=hooks)
    assert (await rig.run()).text == "done!"
    assert [output.content for output in rig.results] == ["said"]
    told = [event.message for event in rig.events if isinstance(event, Notice)]
    assert [message.startswith("hook bad failed in on_assistant_message") for message in told] == [True]


async def test_an_answer_that_was_cut_off_is_not_shown_to_hooks_and_a_stop_in_one_keeps_it() -> None:
    control = Control()

    async def waits(message: Message) -> Message:
        control.cancel()
        await asyncio.Event().wait()
        return message

    hook = Rewrites(lambda message: message)
    hook.on_assistant_message = waits  # type: ignore[method-assign]
    rig = Rig(ScriptedModel(says("whole")), hooks=[("h", hook)], control=control)
    assert (await rig.run()).status == "cancelled"
    assert (rig.conversation.messages[-1].text, rig.conversation.messages[-1].stop_reason) == ("whole", "aborted")


@pytest.mark.parametrize(
    ("when", "asked", "notices"),
    [(lambda _: True, 1, 0), (lambda _: False, 2, 0), (lambda _: "yes", 2, 0), (lambda _: 1 / 0, 2, 1)],
)
async def test_a_hook_ends_a_run_when_calls_have_their_results(
    when: Callable[[Message], object], asked: int, notices: int
) -> None:
    hook = Stops(when)
    rig = Rig(ScriptedModel(says("first", call("say")), says("second")), hooks=[("h", hook)])
    outcome = await rig.run()
    assert (outcome.status, len(rig.model.requests), len(rig.of("notice"))) == ("done", asked, notices)
    assert hook.seen == ["first", "second"][:asked]
    assert rig.result().content == "said"


async def test_what_waits_when_a_hook_ends_a_run_goes_on_waiting() -> None:
    control = Control()
    rig = Rig(ScriptedModel(says("done"), says("next")), hooks=[("h", Stops(lambda _: True))], control=control)
    control.follow_up((Text(text="later"),))
    assert (await rig.run()).status == "done"
    assert len(rig.model.requests) == 1
    assert [waiting.text for waiting in control.take("follow_up")] == ["later"]
