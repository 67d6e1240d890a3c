"""Any history, however it got out of shape, becomes one that all three wires take."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.core.agent.legality import assert_legal

from beyond_ai.agent.dialects.choice import dialect_of
from beyond_ai.agent.dialects.dialect import WireOptions
from beyond_ai.agent.dialects.history import (
    BEGINNING,
    CUT_SHORT,
    GO_ON,
    NO_ANSWER,
    NO_IMAGE,
    NO_OUTPUT,
    NO_RESULT,
    NO_TEXT,
    NO_TOOL_IMAGE,
    Rules,
    legal_history,
)
from beyond_ai.agent.model import ModelFacts, ModelRequest, ToolDefinition
from beyond_ai.spec.conversation import (
    Block,
    Image,
    Message,
    RedactedThinking,
    StopReason,
    Text,
    Thinking,
    ToolOutput,
    ToolUse,
)

MODEL = "claude-sonnet-4-5"
RULES = Rules(model=MODEL, images=True, thinking=lambda block: block, redacted=True, call_id=lambda call_id: call_id)


def user(*content: Block) -> Message:
    return Message(role="user", content=content)


def assistant(*content: Block, model: str = MODEL, stop: StopReason = "end_turn") -> Message:
    return Message(role="assistant", content=content, model_id=model, stop_reason=stop)


def text(value: str) -> Text:
    return Text(text=value)


def call(call_id: str = "a", name: str = "read") -> ToolUse:
    return ToolUse(id=call_id, name=name, input={"path": "x"})


def result(call_id: str = "a", content: str = "done") -> ToolOutput:
    return ToolOutput(tool_use_id=call_id, content=content)


def made_legal(*messages: Message, rules: Rules = RULES) -> list[tuple[str, tuple[Block, ...]]]:
    return [(message.role, message.content) for message in legal_history(messages, rules)]


def lost(call_id: str = "a") -> ToolOutput:
    return ToolOutput(tool_use_id=call_id, content=NO_RESULT, is_error=True)


HI = user(text("hi"))


def test_a_good_history_stays_as_it_is() -> None:
    good = (HI, assistant(text("I look."), call()), user(result()), assistant(text("Done.")), user(text("thanks")))
    assert legal_history(good, RULES) == good


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([], [("user", (text(NO_TEXT),))]),
        ([user()], [("user", (text(NO_TEXT),))]),
        ([user(text(" \n"))], [("user", (text(NO_TEXT),))]),
        ([user(text("a")), user(text("b"))], [("user", (text("a"), text("b")))]),
        (
            [HI, assistant(text("x"))],
            [("user", (text("hi"),)), ("assistant", (text("x"),)), ("user", (text(GO_ON),))],
        ),
        (
            [assistant(text("x")), HI],
            [("user", (text(BEGINNING),)), ("assistant", (text("x"),)), ("user", (text("hi"),))],
        ),
        (
            [HI, assistant(text("x")), assistant(text("y")), HI],
            [("user", (text("hi"),)), ("assistant", (text("x"), text("y"))), ("user", (text("hi"),))],
        ),
    ],
)
def test_roles_alternate_and_nothing_is_empty(
    messages: list[Message], expected: list[tuple[str, tuple[Block, ...]]]
) -> None:
    assert made_legal(*messages) == expected


@pytest.mark.parametrize(("stop", "said"), [("aborted", CUT_SHORT), ("error", CUT_SHORT), ("end_turn", NO_ANSWER)])
@pytest.mark.parametrize("content", [(), (text("  "),), (Thinking(thinking="half a thought", signature="s"),)])
def test_an_answer_without_words_gets_some(content: tuple[Block, ...], stop: StopReason, said: str) -> None:
    history = made_legal(HI, assistant(*content, stop=stop), HI)
    assert history[1][1][-1] == text(said)


def test_a_call_without_a_result_gets_an_error_before_what_the_user_says() -> None:
    history = made_legal(HI, assistant(call("a"), call("b")), user(text("never mind"), result("b")))
    assert history[2] == ("user", (lost("a"), result("b"), text("never mind")))


@pytest.mark.parametrize("following", [(), (assistant(text("and on")), HI)])
def test_a_call_that_the_user_does_not_answer_gets_an_error(following: tuple[Message, ...]) -> None:
    history = made_legal(HI, assistant(call()), *following)
    assert history[2] == ("user", (lost(),))


def test_results_stand_in_the_order_of_the_calls_even_from_several_messages() -> None:
    history = made_legal(HI, assistant(call("a"), call("b")), user(result("b")), user(text("hm"), result("a")))
    assert history[2] == ("user", (result("a"), result("b"), text("hm")))


def test_a_result_without_a_call_is_text() -> None:
    picture = Image(media_type="image/png", data="aGk=")
    history = made_legal(user(replace(result("gone"), images=(picture,))))
    assert history == [("user", (text("Result of an earlier call: done"), picture))]


def test_a_result_comes_once() -> None:
    history = made_legal(HI, assistant(call()), user(result(), result("a", "again")))
    assert history[2] == ("user", (result(), text("Result of an earlier call: again")))


def test_ids_that_come_again_are_told_apart() -> None:
    history = made_legal(
        HI, assistant(call("a"), call("a")), user(result("a", "1"), result("a", "2")), assistant(call("a")),
        user(result("a", "3")),
    )  # fmt: skip
    assert [block.id for block in (*history[1][1], *history[3][1]) if isinstance(block, ToolUse)] == ["a", "a_2", "a_3"]
    assert history[2][1] == (result("a", "1"), result("a_2", "2"))
    assert history[4][1] == (result("a_3", "3"),)


def test_ids_that_become_equal_are_told_apart() -> None:
    rules = replace(RULES, call_id=lambda call_id: call_id[-3:].replace(".", "_"))
    history = made_legal(HI, assistant(call("1._a"), call("2..a")), user(result("2..a"), result("1._a")), rules=rules)
    ids = [block.id for block in history[1][1] if isinstance(block, ToolUse)]
    assert len(set(ids)) == 2
    assert [block.tool_use_id for block in history[2][1] if isinstance(block, ToolOutput)] == ids


@pytest.mark.parametrize(
    ("name", "sent"), [("functions.read", "functions_read"), ("", "unnamed"), ("x" * 80, "x" * 64), ("lesé", "les_")]
)
def test_names_that_no_wire_takes_are_changed(name: str, sent: str) -> None:
    [block] = made_legal(HI, assistant(call(name=name)), user(result()))[1][1]
    assert isinstance(block, ToolUse)
    assert block.name == sent


def test_malformed_arguments_are_not_sent_again() -> None:
    broken = ToolUse(id="a", name="write", input={}, malformed='{"path": "x')
    assert made_legal(HI, assistant(broken), user(result()))[1][1] == (ToolUse(id="a", name="write", input={}),)


def test_what_only_its_author_can_read_goes_to_no_other_model() -> None:
    said = (
        Thinking(thinking="hm", signature="s"),
        RedactedThinking(data="d"),
        Thinking(thinking="", signature="s"),
        Text(text="so", id="msg_1", phase="commentary"),
        replace(call("call_1|fc_1"), signature="t"),
    )
    assert made_legal(HI, assistant(*said), user(result("call_1|fc_1")))[1][1] == said
    foreign = made_legal(HI, assistant(*said, model="gpt-5"), user(result("call_1|fc_1")))
    assert foreign[1][1] == (text("hm"), text("so"), call("call_1"))
    assert foreign[2][1] == (result("call_1"),)


def test_images_are_left_out_for_a_model_that_takes_none() -> None:
    picture = Image(media_type="image/png", data="aGk=")
    blind = replace(RULES, images=False)
    history = made_legal(
        user(text("look"), picture, picture, text("and"), picture),
        assistant(call("a"), call("b")),
        user(replace(result("a"), images=(picture,)), replace(result("b", ""), images=(picture,))),
        rules=blind,
    )
    assert history[0][1] == (text("look"), text(NO_IMAGE), text("and"), text(NO_IMAGE))
    assert history[2][1] == (result("a", f"done\n{NO_TOOL_IMAGE}"), result("b", NO_TOOL_IMAGE))


def test_an_empty_result_says_so() -> None:
    assert made_legal(HI, assistant(call()), user(result("a", " ")))[2][1] == (result("a", NO_OUTPUT),)


IDS = st.sampled_from(["a", "b", "call_1|fc_1", "call_1|fc_2", "x" * 70, "x" * 69 + "é", "", "null", "toolu_1", "a b"])
WORDS = st.sampled_from(["", " ", "\n", "word", "\u2028", "a\x00b"])
PICTURES = st.just(Image(media_type="image/png", data="aGk="))
REASONING_ITEM = '{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"x"}'
BLOCKS: st.SearchStrategy[Block] = st.one_of(
    st.builds(Text, text=WORDS, id=st.sampled_from([None, "msg_1", "m" * 80])),
    st.builds(
        Thinking,
        thinking=WORDS,
        signature=st.sampled_from([None, "c2ln", REASONING_ITEM, '[{"type":"reasoning.text"}]']),
        field=st.sampled_from([None, "reasoning_content", "content", "reasoning"]),
    ),
    st.builds(RedactedThinking, data=st.just("d")),
    st.builds(
        ToolUse,
        id=IDS,
        name=st.sampled_from(["read", "", "functions.read", "x" * 80]),
        input=st.sampled_from([{}, {"path": "x"}]),
        malformed=st.sampled_from([None, '{"a"']),
        signature=st.sampled_from([None, "{}"]),
    ),
    st.builds(
        ToolOutput,
        tool_use_id=IDS,
        content=WORDS,
        is_error=st.booleans(),
        images=st.lists(PICTURES, max_size=2).map(tuple),
    ),
    PICTURES,
)


@st.composite
def messages(draw: st.DrawFn) -> tuple[Message, ...]:
    return tuple(
        Message(
            role=draw(st.sampled_from(["user", "assistant"])),
            content=tuple(draw(st.lists(BLOCKS, max_size=5))),
            model_id=draw(st.sampled_from([None, MODEL, "other"])),
            stop_reason=draw(st.sampled_from([None, "end_turn", "aborted", "error"])),
        )
        for _ in range(draw(st.integers(0, 8)))
    )


TOOLS = (ToolDefinition(name="read", description="Reads.", schema={"type": "object"}),)
FACTS = ModelFacts(window=100_000, max_output=50_000, thinking="budget", images=True)


@pytest.mark.parametrize("provider", ["", "openrouter", "mistral", "deepseek"])
@pytest.mark.parametrize("name", ["messages", "chat", "responses"])
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    history=messages(),
    facts=st.builds(replace, st.just(FACTS), images=st.booleans(), thinking=st.sampled_from(["budget", "effort"])),
    tools=st.sampled_from([(), TOOLS]),
)
def test_any_history_is_legal_on_every_wire(
    name: str,
    provider: str,
    history: tuple[Message, ...],
    facts: ModelFacts,
    tools: tuple[ToolDefinition, ...],
) -> None:
    request = ModelRequest(model=MODEL, system="", messages=history, tools=tools)
    wire = dialect_of(name).encode(request, facts, WireOptions(provider=provider))
    assert_legal(name, wire.body)


def test_the_checker_finds_what_is_illegal() -> None:
    """A checker that takes everything would prove nothing."""

    def refused(name: str, body: dict[str, object]) -> bool:
        try:
            assert_legal(name, body)
        except AssertionError:
            return True
        return False

    def wire(name: str, change: Callable[[list[dict[str, object]]], object]) -> bool:
        history = (HI, assistant(text("x"), call()), user(result()))
        request = ModelRequest(model=MODEL, system="", messages=history)
        body = dialect_of(name).encode(request, FACTS, WireOptions()).body
        turns = body["input" if name == "responses" else "messages"]
        assert isinstance(turns, list)
        change(turns)
        return refused(name, body)

    for name in ("messages", "chat", "responses"):
        assert not wire(name, lambda turns: None)
        assert wire(name, lambda turns: turns.pop())
        assert wire(name, lambda turns: turns.pop(0))
        assert wire(name, lambda turns: turns.append({"role": "assistant", "content": "x", "model_id": "m"}))
        assert wire(name, lambda turns: turns[0].update(content=[]))
        assert wire(name, lambda turns: turns[-1].update(model_id="m"))
