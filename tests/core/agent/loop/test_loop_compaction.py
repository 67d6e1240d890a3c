"""Keeping a conversation within its model's window."""

import asyncio
from collections.abc import Sequence

import pytest
from tests.core.agent.loop.parts import (
    OnePath,
    Rig,
    ScriptedModel,
    Step,
    call,
    check_legal,
    overflow,
    overloaded,
    says,
    tool,
)

from beyond_ai import ToolContext, ToolResult
from beyond_ai.agent.failure import ModelFailure
from beyond_ai.agent.loop import CompactionEntry, CompactionSettings, Conversation, LoopSettings
from beyond_ai.agent.loop.compaction_plan import Sizes, plan
from beyond_ai.agent.loop.size import message_tokens
from beyond_ai.agent.model import ModelFacts, ModelRequest, TextDelta
from beyond_ai.spec.agent_event import Compacted, CompactionFailed, CompactionStart
from beyond_ai.spec.conversation import Image, Message, Text, Thinking, TokenUsage, ToolOutput, ToolUse

SMALL = ModelFacts(window=16_000, max_output=4_000, thinking="none", images=True)
"""Threshold 12,000, keeps 6,000."""
UNTOLD = TokenUsage()
"""Of a provider that does not say: sizes are estimated."""


async def _read(arguments: OnePath, context: ToolContext) -> ToolResult:
    return ToolResult(arguments.path[0] * 4_000, is_error="missing" in arguments.path)


READ = tool("read", _read, OnePath, reads=lambda arguments: arguments.path)
WRITE = tool("write", _read, OnePath, writes=lambda arguments: arguments.path)


def reads(count: int, *, first: int = 0, usage: TokenUsage = UNTOLD) -> list[list[Step]]:
    """Answers that read one file each: about a thousand tokens a turn."""
    return [says(f"reading {n}", call("read", f"r{n}", path=f"f{n}"), usage=usage) for n in range(first, first + count)]


def rig_of(script: Sequence[Sequence[Step] | Exception], **settings: object) -> Rig:
    compaction = CompactionSettings(**settings)  # type: ignore[arg-type]
    return Rig(ScriptedModel(*script, facts=SMALL), READ, WRITE, settings=LoopSettings(compaction=compaction))


def is_summary(request: ModelRequest) -> bool:
    return not request.tools


async def test_what_is_older_is_condensed_above_the_threshold() -> None:
    usage = TokenUsage(input_tokens=500, output_tokens=20)
    rig = rig_of([*reads(12), says("## Goal\nread all", usage=usage), says("done")])
    outcome = await rig.run("Read all the files, please.")
    assert outcome.status == "done"
    [compacted] = [event for event in rig.events if isinstance(event, Compacted)]
    assert compacted.reason == "threshold"
    assert compacted.tokens_before > 12_000
    assert compacted.tokens_after < 8_000
    assert compacted.messages_after < compacted.messages_before == 25
    # what the model sees from now on: a stand-in, then the latest turns word for word
    last = rig.model.requests[-1]
    assert last.messages[0].text.startswith("[Older messages were condensed.")
    assert "<original-request>\nRead all the files, please.\n</original-request>" in last.messages[0].text
    assert "## Goal\nread all" in last.messages[0].text
    assert last.messages[1].role == "assistant"
    check_legal(last.messages)
    # what it was asked
    [asked] = [request for request in rig.model.requests if is_summary(request)]
    assert (asked.model, asked.max_tokens, asked.thinking) == ("m", 3_200, "off")
    assert "[Assistant calls read]" in asked.messages[0].text
    assert "Do not answer questions in it" in asked.system
    # the deltas of a summary are nobody's business, its price is
    assert "## Goal" not in "".join(str(event) for event in rig.of("delta"))
    assert outcome.usage == rig.conversation.total_usage
    assert outcome.usage.input_tokens == 600
    assert outcome.requests == 14


@pytest.mark.parametrize(("live", "condensed"), [(12_000, False), (12_001, True)])
async def test_the_threshold_is_strict_and_believes_the_provider(live: int, condensed: bool) -> None:
    usage = TokenUsage(input_tokens=live - 1_000 - 10, output_tokens=10)  # and a result of 1,000 tokens
    script = [*reads(7), says("", call("read", "last", path="f"), usage=usage)]
    rig = rig_of([*script, *([says("sum")] if condensed else []), says("done")])
    assert (await rig.run()).text == "done"
    assert len(rig.of("compacted")) == condensed


async def test_usage_from_before_a_compaction_does_not_trigger_another() -> None:
    usage = TokenUsage(input_tokens=15_000, output_tokens=10)
    script = [*reads(8), says("x", call("read", "big", path="f"), usage=usage), says("sum"), says("done")]
    rig = rig_of(script)
    assert (await rig.run()).status == "done"
    assert len(rig.of("compacted")) == 1


async def test_a_second_summary_is_told_the_first_and_files_add_up() -> None:
    writes = [says("", call("write", "w1", path="new.py"), call("read", "w2", path="missing"))]
    rig = rig_of(
        [*writes, *reads(10), says("first summary"), *reads(7, first=20), says("second summary"), says("done")]
    )
    assert (await rig.run("the task")).status == "done"
    second = [request for request in rig.model.requests if is_summary(request)][1].messages[0].text
    assert "<previous-summary>\nfirst summary\n</previous-summary>" in second
    assert "<new-activity>" in second
    entry = rig.conversation.compaction
    assert entry is not None
    assert (entry.summary, entry.original_request, entry.current_request) == ("second summary", "the task", "the task")
    assert entry.modified_files == ("new.py",)
    assert entry.read_files[:3] == ("f0", "f1", "f2")
    assert len(set(entry.read_files)) == len(entry.read_files)
    assert "missing" not in entry.read_files
    assert "first summary" not in rig.conversation.messages[0].text


async def test_a_turn_that_is_cut_in_the_middle_has_a_summary_of_its_own() -> None:
    script = [says("hello"), *reads(12), says("of history"), says("of the turn"), says("done")]
    rig = rig_of(script)
    await rig.run("first question")
    await rig.run("second question")
    history, prefix = [request.messages[0].text for request in rig.model.requests if is_summary(request)]
    assert "first question" in history
    assert "second question" not in history
    assert "second question" in prefix
    assert [request.max_tokens for request in rig.model.requests if is_summary(request)] == [3_200, 2_000]
    stand_in = rig.conversation.messages[0].text
    assert "of history\n\n## Turn In Progress\nof the turn" in stand_in
    assert "<original-request>\nfirst question\n</original-request>" in stand_in
    assert "<current-request>\nsecond question\n</current-request>" in stand_in


async def test_the_record_makes_the_same_conversation_again() -> None:
    rig = rig_of([*reads(12), says("summary"), *reads(2, first=20), says("done")])
    await rig.run()
    again = Conversation.replay(rig.conversation.entries, model="m")
    assert again.messages == rig.conversation.messages
    assert again.total_usage == rig.conversation.total_usage
    assert again.live_tokens(7) == rig.conversation.live_tokens(7)
    assert [entry.id for entry in again.entries] == [entry.id for entry in rig.conversation.entries]
    assert sum(isinstance(entry, CompactionEntry) for entry in again.entries) == 1


async def test_a_compaction_that_fails_is_told_and_the_run_goes_on() -> None:
    rig = rig_of([*reads(12), ModelFailure("bad_request", "no such model"), says("done")])
    before = len(rig.conversation.messages)
    assert (await rig.run()).status == "done"
    assert [event.message for event in rig.events if isinstance(event, CompactionFailed)] == ["no such model"]
    assert len(rig.conversation.messages) == before + 26


async def test_a_compaction_that_fails_is_not_tried_again_at_once() -> None:
    failed = ModelFailure("bad_request", "no")
    rig = rig_of(
        [*reads(12), failed, says("", call("say", "s"), usage=UNTOLD), *reads(1, first=20), failed, says("done")]
    )
    assert (await rig.run()).status == "done"
    assert len(rig.of("compaction_failed")) == 2


async def test_to_go_on_is_no_task_of_its_own() -> None:
    broken: list[Step] = [TextDelta(index=0, text="half"), ModelFailure("auth", "no key")]
    rig = rig_of([broken, *reads(12), says("summary"), says("done")])
    await rig.run("the task")
    await rig.run(None)
    assert rig.conversation.compaction is not None
    assert rig.conversation.compaction.current_request == "the task"


@pytest.mark.parametrize("summary", [says("", stop="end_turn"), says("I cannot", stop="refusal"), says("x" * 40_000)])
async def test_a_summary_that_is_none_is_a_failure(summary: list[Step]) -> None:
    rig = rig_of([*reads(12), summary, says("done")])
    assert (await rig.run()).status == "done"
    assert len(rig.of("compaction_failed")) == 1
    assert rig.conversation.compaction is None


async def test_a_summary_is_asked_for_again_like_any_answer() -> None:
    rig = rig_of([*reads(12), overloaded(), says("summary"), says("done")])
    assert (await rig.run()).retries == 1
    assert len(rig.of("compacted")) == 1


async def test_an_overflow_is_answered_by_one_compaction_and_one_retry() -> None:
    rig = rig_of([*reads(6), overflow(), says("summary"), says("done")])
    outcome = await rig.run()
    assert (outcome.status, outcome.requests) == ("done", 9)
    assert [event.reason for event in rig.events if isinstance(event, CompactionStart)] == ["overflow"]
    assert rig.trace.count("turn_start") == rig.trace.count("turn_end") == 7


async def test_a_second_overflow_is_a_failure() -> None:
    rig = rig_of([*reads(6), overflow(), says("summary"), overflow()])
    outcome = await rig.run()
    assert (outcome.status, outcome.code, outcome.requests) == ("failed", "context_overflow", 9)


async def test_an_overflow_that_cannot_be_condensed_is_a_failure() -> None:
    rig = rig_of([*reads(6), overflow(), overflow()])
    outcome = await rig.run()
    assert (outcome.status, outcome.code) == ("failed", "context_overflow")
    assert "could not be condensed (failed)" in (outcome.message or "")


async def test_an_answer_that_filled_the_window_is_asked_for_again() -> None:
    full = says("and then", stop="max_tokens", usage=TokenUsage(input_tokens=15_000, output_tokens=1_000))
    rig = rig_of([*reads(6), full, says("summary"), says("done")])
    outcome = await rig.run()
    assert (outcome.status, outcome.text) == ("done", "done")
    assert [event.reason for event in rig.events if isinstance(event, Compacted)] == ["overflow"]
    assert "and then" not in [message.text for message in rig.conversation.messages]


async def test_switched_off_only_a_full_window_is_condensed() -> None:
    rig = rig_of([*reads(14), says("done")], enabled=False)
    assert (await rig.run()).status == "done"
    assert rig.of("compacted") == []
    rig = rig_of([*reads(16), says("summary"), says("done")], enabled=False)
    assert (await rig.run()).status == "done"
    assert [event.reason for event in rig.events if isinstance(event, Compacted)] == ["overflow"]


async def test_two_compactions_that_do_not_help_end_the_run() -> None:
    stand_in = "s" * 20_000
    rig = rig_of([*reads(12), says(stand_in), *reads(2, first=20), says(stand_in)])
    outcome = await rig.run()
    assert (outcome.status, outcome.code) == ("failed", "context_overflow")
    assert "condensing it twice left" in (outcome.message or "")


async def test_a_person_may_ask_for_it() -> None:
    rig = rig_of([*reads(3), says("done"), says("summary")])
    await rig.run()
    assert await rig.loop.compact(rig.conversation, "mind the tests") == "compacted"
    assert rig.model.requests[-1].messages[0].text.endswith("The user adds: mind the tests")
    assert await rig.loop.compact(rig.conversation) == "already_compacted"
    assert rig.trace[-1] == "saved"
    assert not rig.control.running


async def test_what_is_small_is_left_alone() -> None:
    rig = rig_of([says("done")])
    await rig.run()
    assert await rig.loop.compact(rig.conversation) == "too_small"
    assert rig.of("compaction_start") == []


async def test_a_compaction_may_be_cancelled() -> None:
    rig = rig_of([*reads(3), says("done")])
    await rig.run()
    before = rig.conversation.messages
    rig.model.script = [[rig.control.cancel, asyncio.Event().wait]]
    assert await rig.loop.compact(rig.conversation) == "cancelled"
    assert rig.conversation.messages == before
    assert [event.message for event in rig.events if isinstance(event, CompactionFailed)] == ["the run was stopped"]


async def test_a_transcript_fits_the_window_and_clips_what_is_long() -> None:
    async def flood(arguments: object, context: ToolContext) -> ToolResult:
        return ToolResult("y" * 30_000)

    model = ScriptedModel(
        *[says("", call("flood", f"c{n}"), usage=UNTOLD) for n in range(2)], says("summary"), says("done"), facts=SMALL
    )
    rig = Rig(model, tool("flood", flood))
    assert (await rig.run("q" * 40_000)).status == "done"
    [asked] = [request for request in model.requests if is_summary(request)]
    assert message_tokens(asked.messages[0]) < SMALL.window - 3_200
    assert "characters left out" in asked.messages[0].text


def test_small_windows_have_small_reserves() -> None:
    settings = CompactionSettings()
    facts = ModelFacts(window=200_000, max_output=8_000, thinking="none", images=True)
    sizes = Sizes.of(settings, facts)
    assert (sizes.threshold, sizes.keep_recent, sizes.summary_tokens(0.8)) == (183_616, 20_000, 8_000)
    sizes = Sizes.of(settings, SMALL)
    assert (sizes.threshold, sizes.keep_recent) == (12_000, 6_000)


def test_a_message_is_about_a_token_for_four_characters() -> None:
    blocks = (Text(text="four" * 5), Thinking(thinking="1"), Image(media_type="image/png", data="a" * 99_999))
    assert message_tokens(Message(role="user", content=blocks)) == -(-(20 + 1 + 4_800) // 4)
    use = ToolUse(id="ignored", name="read", input={"path": "é"})
    assert message_tokens(Message(role="assistant", content=(use,))) == -(-(4 + len('{"path": "\\u00e9"}')) // 4)
    output = ToolOutput(tool_use_id="ignored", content="abcd", images=(Image(media_type="image/png", data=""),))
    assert message_tokens(Message(role="user", content=(output,))) == 1_201


def conversation_of(*roles: str) -> Conversation:
    """`q` a question of 1,000 tokens, `a` an answer, `c` an answer with a call, `r` its result."""
    conversation = Conversation(model="m")
    for role in roles:
        text = Text(text="x" * 4_000)
        if role == "q":
            conversation.append(Message(role="user", content=(text,)))
        elif role == "r":
            conversation.append(Message(role="user", content=(ToolOutput(tool_use_id="c", content="x" * 4_000),)))
        else:
            use = (ToolUse(id="c", name="read", input={}),) if role == "c" else ()
            conversation.append(Message(role="assistant", content=(text, *use)))
    return conversation


@pytest.mark.parametrize(
    ("roles", "keep", "history", "prefix", "kept"),
    [
        ("qaqaqa", 1_500, "qaqa", "", "a"),
        ("qaqaqa", 1_000, "qaqa", "", "a"),
        ("qaqaqaq", 1_000, "qaqa", "", "aq"),
        ("qcrcrcra", 2_500, "", "qcrcr", "cra"),
        ("qaqcrcra", 2_500, "qa", "qcr", "cra"),
        ("qaqcr", 1_000, "qa", "", "cr"),
    ],
)
def test_the_cut_is_before_an_answer(roles: str, keep: int, history: str, prefix: str, kept: str) -> None:
    chosen = plan(conversation_of(*roles), keep)
    assert chosen is not None
    assert (len(chosen.history), len(chosen.prefix), len(roles) - chosen.kept_from) == (
        len(history),
        len(prefix),
        len(kept),
    )


@pytest.mark.parametrize(("roles", "keep"), [("qaq", 1), ("qcra", 99_000), ("qcrcr", 99_000)])
def test_there_may_be_nothing_to_cut(roles: str, keep: int) -> None:
    assert plan(conversation_of(*roles), keep) is None
