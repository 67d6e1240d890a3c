"""What the scripted provider says reads the same on every wire."""

import pytest
from tests.core.agent.dialects.answers import answer_of, decoded

from beyond_ai.agent.dialects.choice import dialect_of
from beyond_ai.spec.conversation import TokenUsage
from beyond_ai.testing import Answer, ToolCall, chat, messages, responses

WIRES = {"chat": chat, "messages": messages, "responses": responses}


@pytest.mark.parametrize("name", WIRES)
@pytest.mark.parametrize("finish", [None, "max_tokens", "refusal"])
@pytest.mark.parametrize("thinking", ["", "I think first."])
@pytest.mark.parametrize(
    "calls", [(), (ToolCall("read", '{"path": "x"}'), ToolCall("ls", "{}")), (ToolCall("bash", '{"command": "rm'),)]
)
def test_an_answer_reads_the_same_on_every_wire(
    name: str, finish: str | None, thinking: str, calls: tuple[ToolCall, ...]
) -> None:
    said = Answer(tool_calls=calls, thinking=thinking, finish=finish, cached_tokens=5)
    answer = answer_of(decoded(dialect_of(name).decoder(), [b"".join(WIRES[name].frames(said))]))
    assert answer.model == said.model
    assert answer.text == said.text
    assert answer.thinking == thinking
    assert [call.name for call in answer.calls] == [call.name for call in calls]
    whole = [call.malformed is None for call in answer.calls]
    assert whole == [call.arguments.endswith("}") for call in calls]
    assert answer.stop_reason == (finish or ("tool_use" if calls else "end_turn"))
    assert answer.usage == TokenUsage(input_tokens=16, cache_read_tokens=5, output_tokens=7)
