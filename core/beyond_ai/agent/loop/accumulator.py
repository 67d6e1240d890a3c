"""From the events of a stream to the message they make up."""

from dataclasses import replace

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
from beyond_ai.spec.agent_event import Delta
from beyond_ai.spec.conversation import Block, RedactedThinking, StopReason, Text, Thinking, TokenUsage, ToolUse


class Accumulator:
    """One answer as it comes in. Blocks stand in the order in which they were first heard of."""

    def __init__(self) -> None:
        self.usage = TokenUsage()
        self.stop_reason: StopReason | None = None
        """None until the answer has come to its own end"""
        self._texts: dict[int, list[str]] = {}
        self._blocks: dict[int, Text | Thinking | RedactedThinking | ToolUse | None] = {}

    def add(self, event: StreamEvent) -> Delta | None:
        """Take EVENT in; return what watchers see of it."""
        if isinstance(event, UsageReport):
            self.usage = event.usage
        elif self.stop_reason is not None:
            pass  # the content is what it was when the answer ended
        elif isinstance(event, TextDelta):
            self._blocks.setdefault(event.index, None)
            self._texts.setdefault(event.index, []).append(event.text)
            return Delta(type="text", index=event.index, text=event.text)
        elif isinstance(event, ThinkingDelta):
            self._blocks.setdefault(event.index, None)
            return Delta(type="thinking", index=event.index, text=event.thinking)
        elif isinstance(event, InputJsonDelta):
            return Delta(type="tool_arguments", index=event.index, text=event.partial_json)
        elif isinstance(event, ToolUseStart):
            self._blocks.setdefault(event.index, None)
        elif isinstance(event, BlockStop):
            self._blocks[event.index] = event.block
        elif isinstance(event, MessageStart):  # a second one: the provider has begun anew
            self._blocks.clear()
            self._texts.clear()
        elif isinstance(event, MessageStop):
            self.stop_reason = event.stop_reason
        return None

    @property
    def content(self) -> tuple[Block, ...]:
        """The blocks of an answer that has ended. No two calls have one id, and none has an empty one."""
        seen: set[str] = set()
        blocks: list[Block] = []
        for index, block in self._blocks.items():
            if block is None:
                continue
            blocks.append(_with_own_id(block, index, seen) if isinstance(block, ToolUse) else block)
        return tuple(blocks)

    @property
    def partial(self) -> tuple[Block, ...]:
        """What may be kept of an answer that was broken off: its text. Calls in it are never run."""
        kept: list[Block] = []
        for index, block in self._blocks.items():
            if isinstance(block, Text):
                kept.append(block)
            elif block is None and index in self._texts:
                kept.append(Text(text="".join(self._texts[index])))
        return tuple(block for block in kept if isinstance(block, Text) and block.text)


def _with_own_id(call: ToolUse, index: int, seen: set[str]) -> ToolUse:
    """CALL, under an id that is not in SEEN: some providers give none, or one to all calls of an answer."""
    name = call.id or f"call_{index}"
    number = 1
    while name in seen:
        number += 1
        name = f"{call.id or 'call'}_{number}"
    seen.add(name)
    return call if name == call.id else replace(call, id=name)
