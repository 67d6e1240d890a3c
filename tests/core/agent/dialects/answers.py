"""Reading what decoders say: an answer put together from its events, with what must hold of all of them checked."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from beyond_ai.agent.dialects.dialect import Decoder
from beyond_ai.agent.dialects.sse import EventFramer
from beyond_ai.agent.model import (
    BlockStop,
    InputJsonDelta,
    MessageStart,
    MessageStop,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    ToolUseStart,
    UsageReport,
)
from beyond_ai.spec.conversation import RedactedThinking, Text, Thinking, TokenUsage, ToolUse

Said = Text | Thinking | RedactedThinking | ToolUse


@dataclass
class Answer:
    model: str | None = None
    blocks: dict[int, Said] = field(default_factory=dict)
    usage: TokenUsage | None = None
    stop_reason: str | None = None
    deltas: dict[int, str] = field(default_factory=dict)

    @property
    def content(self) -> list[Said]:
        return [self.blocks[index] for index in sorted(self.blocks)]

    @property
    def text(self) -> str:
        return "".join(block.text for block in self.content if isinstance(block, Text))

    @property
    def thinking(self) -> str:
        return "".join(block.thinking for block in self.content if isinstance(block, Thinking))

    @property
    def calls(self) -> list[ToolUse]:
        return [block for block in self.content if isinstance(block, ToolUse)]


def answer_of(events: Iterable[StreamEvent], *, corrected: bool = False) -> Answer:
    """The answer that EVENTS, which came to their end, tell of. CORRECTED: its blocks are not what was streamed."""
    answer = Answer()
    for event in events:
        assert answer.stop_reason is None, f"{event} after the end"
        if isinstance(event, MessageStart):
            answer = Answer(model=event.model, usage=answer.usage)
        elif isinstance(event, BlockStop):
            assert event.index not in answer.blocks, "a block ended twice"
            answer.blocks[event.index] = event.block
        elif isinstance(event, UsageReport):
            answer.usage = event.usage
        elif isinstance(event, MessageStop):
            answer.stop_reason = event.stop_reason
        elif isinstance(event, TextDelta | ThinkingDelta | InputJsonDelta):
            assert event.index not in answer.blocks, "more of a block that has ended"
            answer.deltas[event.index] = answer.deltas.get(event.index, "") + _text(event)
        else:
            assert isinstance(event, ToolUseStart)
            answer.deltas.setdefault(event.index, "")
    assert answer.stop_reason is not None, "the answer did not end"
    for index, text in () if corrected else answer.deltas.items():
        _assert_same(answer.blocks[index], text)
    return answer


def _text(event: TextDelta | ThinkingDelta | InputJsonDelta) -> str:
    if isinstance(event, TextDelta):
        return event.text
    return event.thinking if isinstance(event, ThinkingDelta) else event.partial_json


def _assert_same(block: Said, streamed: str) -> None:
    """What was streamed of a block is what it is in the end."""
    if isinstance(block, Text):
        assert block.text == streamed
    elif isinstance(block, Thinking):
        assert block.thinking == streamed
    elif isinstance(block, ToolUse) and block.malformed is None and streamed.strip():
        assert block.input == json.loads(streamed)


def decoded(decoder: Decoder, chunks: Iterable[bytes]) -> list[StreamEvent]:
    """All that DECODER makes of CHUNKS."""
    framer = EventFramer()
    events: list[StreamEvent] = []
    for chunk in chunks:
        for event in framer.feed(chunk):
            events += decoder.feed(event)
    for event in framer.finish():
        events += decoder.feed(event)
    return [*events, *decoder.finish()]


def frames(values: Sequence[object], *, done: bool = False) -> bytes:
    """VALUES as a stream of events."""
    lines = [f"data: {value if isinstance(value, str) else json.dumps(value)}\n\n" for value in values]
    return "".join([*lines, "data: [DONE]\n\n" if done else ""]).encode()
