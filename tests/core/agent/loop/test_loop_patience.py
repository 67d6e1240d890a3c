"""Which failures are asked again, how soon and how long, and which budgets end a run."""

import asyncio

import pytest
from tests.core.agent.loop.parts import (
    FakeClock,
    Rig,
    ScriptedModel,
    Step,
    call,
    overflow,
    overloaded,
    says,
    tool,
    until,
)

from beyond_ai import ToolContext, ToolResult
from beyond_ai.agent.failure import FailureCode, ModelFailure
from beyond_ai.agent.loop import LoopSettings
from beyond_ai.agent.model import MessageStart, ModelFacts, TextDelta, UsageReport
from beyond_ai.spec.agent_event import Notice, Retry, TurnEnd
from beyond_ai.spec.conversation import StopReason, TokenUsage


def retries(rig: Rig) -> list[Retry]:
    return [event for event in rig.events if isinstance(event, Retry)]


async def test_a_failed_request_is_made_again_after_longer_and_longer() -> None:
    rig = Rig(ScriptedModel(*[overloaded()] * 4, says("done")))
    outcome = await rig.run()
    assert (outcome.status, outcome.requests, outcome.retries) == ("done", 5, 4)
    assert [(event.attempt, event.attempts, event.delay) for event in retries(rig)] == [
        *((1, 4, 1.0), (2, 4, 2.0), (3, 4, 4.0), (4, 4, 8.0)),
    ]
    assert [event.time_left for event in retries(rig)] == [120, 119, 117, 113]
    assert (retries(rig)[0].code, retries(rig)[0].status) == ("overloaded", 529)
    assert [message.text for message in rig.conversation.messages] == ["go", "done"], "asked once, answered once"


async def test_delays_are_spread_down_to_nothing() -> None:
    class Lucky(FakeClock):
        def chance(self) -> float:
            return 0.25

    rig = Rig(ScriptedModel(overloaded(), overloaded(), says("done")), clock=Lucky())
    await rig.run()
    assert rig.clock.sleeps == [0.25, 0.5]


async def test_attempts_are_bounded_by_count() -> None:
    rig = Rig(ScriptedModel(*[overloaded()] * 5))
    outcome = await rig.run()
    assert (outcome.status, outcome.code, outcome.requests) == ("failed", "overloaded", 5)
    assert outcome.message == "the model is overloaded (given up after 5 attempts)"


async def test_attempts_are_bounded_by_time() -> None:
    rig = Rig(ScriptedModel(*[overloaded(50.0)] * 3))
    outcome = await rig.run()
    assert (outcome.status, outcome.requests) == ("failed", 3)
    assert "given up after 120 s of retries" in (outcome.message or "")


async def test_one_attempt_is_one() -> None:
    outcome = await Rig(ScriptedModel(overloaded()), settings=LoopSettings(retries=0)).run()
    assert outcome.message == "the model is overloaded (given up after 1 attempt)"


async def test_the_provider_says_how_long_to_wait() -> None:
    rig = Rig(ScriptedModel(overloaded(60.0), says("done")))
    assert (await rig.run()).status == "done"
    assert rig.clock.sleeps == [60.0]


async def test_a_provider_that_asks_for_too_much_patience_is_not_waited_for() -> None:
    rig = Rig(ScriptedModel(overloaded(61.0)))
    outcome = await rig.run()
    assert (outcome.status, outcome.code, outcome.requests) == ("failed", "overloaded", 1)
    assert "asks to wait 61 s" in (outcome.message or "")
    assert rig.clock.sleeps == []


@pytest.mark.parametrize("code", ["auth", "quota", "bad_request", "config", "refused", "internal"])
async def test_what_another_attempt_would_not_change_is_not_tried_again(code: FailureCode) -> None:
    rig = Rig(ScriptedModel(ModelFailure(code, "no", retryable=True)))
    outcome = await rig.run()
    assert (outcome.status, outcome.code, outcome.requests) == ("failed", code, 1)


async def test_half_an_answer_is_discarded_and_paid_for() -> None:
    spent = TokenUsage(input_tokens=70, output_tokens=3)
    half: list[Step] = [MessageStart(), UsageReport(usage=spent), TextDelta(index=0, text="half"), overloaded()]
    rig = Rig(ScriptedModel(half, says("done", usage=TokenUsage(input_tokens=1))))
    outcome = await rig.run()
    assert [message.text for message in rig.conversation.messages] == ["go", "done"]
    assert outcome.usage == rig.conversation.total_usage == spent + TokenUsage(input_tokens=1)
    [turn] = [event for event in rig.events if isinstance(event, TurnEnd)]
    assert turn.turn_usage == TokenUsage(input_tokens=1)


async def test_half_an_answer_is_kept_when_it_is_all_there_will_be() -> None:
    half: list[Step] = [MessageStart(), TextDelta(index=0, text="half"), ModelFailure("bad_request", "no")]
    rig = Rig(ScriptedModel(half))
    await rig.run()
    answer = rig.conversation.messages[-1]
    assert (answer.text, answer.stop_reason, answer.error_message) == ("half", "error", "no")


async def test_a_stream_without_its_end_is_made_again() -> None:
    rig = Rig(ScriptedModel(says("cut")[:-1], says("done")))
    assert (await rig.run()).text == "done"
    assert [event.code for event in retries(rig)] == ["network"]


@pytest.mark.parametrize(
    ("text", "stop"), [("", "end_turn"), (" \n", "end_turn"), ("text", "other"), ("", "max_tokens")]
)
async def test_an_answer_that_is_none_is_asked_for_once_more(text: str, stop: StopReason) -> None:
    useless = says(text, stop=stop)
    rig = Rig(ScriptedModel(useless, says("done")))
    assert (await rig.run()).text == "done"
    assert [event.code for event in retries(rig)] == ["no_answer"]
    rig = Rig(ScriptedModel(useless, useless))
    outcome = await rig.run()
    assert (outcome.status, outcome.code, outcome.requests) == ("failed", "no_answer", 2)


async def test_an_answer_that_its_limit_cut_is_kept_and_told() -> None:
    rig = Rig(ScriptedModel(says("a long ans", stop="max_tokens")))
    assert (await rig.run()).text == "a long ans"
    assert ["token limit" in event.message for event in rig.events if isinstance(event, Notice)] == [True]


async def test_patience_is_new_for_each_answer() -> None:
    failing = [overloaded()] * 4
    rig = Rig(ScriptedModel(*failing, says("", call("say")), *failing, says("done")))
    assert (await rig.run()).status == "done"


# budgets


async def test_a_budget_of_turns() -> None:
    script = [says("", call("say", f"c{number}")) for number in range(2)]
    rig = Rig(ScriptedModel(*script, says("done")), settings=LoopSettings(max_turns=2))
    outcome = await rig.run()
    assert (outcome.status, outcome.code, outcome.steps) == ("budget", "budget", 2)
    assert outcome.message == "the run has used its budget of 2 turns"
    assert rig.trace[-1] == "agent_end"
    assert "error" not in rig.trace
    assert (await rig.run(None)).status == "done", "another run has a budget of its own"


async def test_a_budget_of_tokens_counts_what_is_read_and_written() -> None:
    usage = TokenUsage(input_tokens=10, cache_read_tokens=80, output_tokens=10)
    script = [says("", call("say", f"c{number}"), usage=usage) for number in range(3)]
    rig = Rig(ScriptedModel(*script), settings=LoopSettings(max_tokens_total=250))
    outcome = await rig.run()
    assert (outcome.status, outcome.requests) == ("budget", 3)
    assert outcome.message == "the run has used 300 tokens of its budget of 250"


async def test_a_budget_of_tokens_ends_retries_too() -> None:
    half: list[Step] = [MessageStart(), UsageReport(usage=TokenUsage(input_tokens=300)), overloaded()]
    rig = Rig(ScriptedModel(half), settings=LoopSettings(max_tokens_total=250))
    outcome = await rig.run()
    assert (outcome.status, outcome.requests) == ("budget", 1)
    assert rig.trace.count("turn_end") == 1


async def test_a_budget_of_seconds_before_a_request() -> None:
    async def slow(arguments: object, context: ToolContext) -> ToolResult:
        rig.clock.time += 100
        return ToolResult("ok")

    clock = FakeClock(60)
    rig = Rig(
        ScriptedModel(says("", call("slow"))), tool("slow", slow), settings=LoopSettings(max_seconds=60), clock=clock
    )
    outcome = await rig.run()
    assert (outcome.status, outcome.message) == ("budget", "the run has used its budget of 60 seconds")


async def test_a_budget_of_seconds_during_a_request() -> None:
    clock = FakeClock(60)
    half: list[Step] = [MessageStart(), TextDelta(index=0, text="half"), clock.release, asyncio.Event().wait]
    rig = Rig(ScriptedModel(half), settings=LoopSettings(max_seconds=60), clock=clock)
    outcome = await rig.run()
    assert (outcome.status, outcome.code) == ("budget", "budget")
    assert rig.conversation.messages[-1].stop_reason == "aborted"


async def test_a_budget_of_seconds_during_a_tool() -> None:
    clock = FakeClock(60)

    async def slow(arguments: object, context: ToolContext) -> ToolResult:
        clock.release()
        await asyncio.Event().wait()
        raise AssertionError

    rig = Rig(
        ScriptedModel(says("", call("slow"))), tool("slow", slow), settings=LoopSettings(max_seconds=60), clock=clock
    )
    rig.control.follow_up("later")
    assert (await rig.run()).status == "budget"
    assert rig.result().is_error
    assert rig.control.pending("follow_up") == ("later",)


async def test_the_alarm_of_a_run_does_not_outlive_it() -> None:
    clock = FakeClock(60)
    rig = Rig(ScriptedModel(says("done"), says("done")), settings=LoopSettings(max_seconds=60), clock=clock)
    await rig.run()
    clock.release()
    await until(lambda: len(asyncio.all_tasks()) == 1)
    assert (await rig.run()).status == "done"


# room for the answer


@pytest.mark.parametrize(
    ("wanted", "live", "asked"),
    [
        (None, 1_000, None),
        (None, 180_000, 15_904),
        (5_000, 1_000, 5_000),
        (5_000, 193_000, 2_904),
        (5_000, 198_000, 1_024),
        (500, 199_999, 500),
    ],
)
async def test_no_more_is_asked_for_than_the_window_has_room_for(
    wanted: int | None, live: int, asked: int | None
) -> None:
    usage = TokenUsage(input_tokens=live)
    settings = LoopSettings(max_tokens=wanted, compaction=LoopSettings().compaction.__class__(enabled=False))
    rig = Rig(ScriptedModel(says("", call("say", text=""), usage=usage), says("done")), settings=settings)
    await rig.run()
    assert rig.model.requests[0].max_tokens == wanted
    assert rig.model.requests[1].max_tokens == asked


async def test_reasoning_with_a_budget_has_room_for_it() -> None:
    facts = ModelFacts(window=200_000, max_output=32_000, thinking="budget", images=True)
    usage = TokenUsage(input_tokens=199_000)
    settings = LoopSettings(compaction=LoopSettings().compaction.__class__(enabled=False))
    rig = Rig(ScriptedModel(says("", call("say"), usage=usage), says("done"), facts=facts), settings=settings)
    await rig.run()
    assert rig.model.requests[1].max_tokens == 10_241


async def test_an_overflow_with_nothing_to_condense_is_a_failure() -> None:
    rig = Rig(ScriptedModel(overflow()))
    outcome = await rig.run()
    assert (outcome.status, outcome.code, outcome.requests) == ("failed", "context_overflow", 1)
    assert "too small" in (outcome.message or "")
