"""Reads Anthropic's Messages: https://docs.anthropic.com/en/docs/build-with-claude/streaming."""

from typing import Final

from beyond_ai.agent.dialects.dialect import (
    count_of,
    cut_off,
    event_object,
    object_of,
    text_of,
    tool_use,
)
from beyond_ai.agent.dialects.failures import error_of, stream_failure
from beyond_ai.agent.dialects.sse import ServerSentEvent
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
from beyond_ai.spec.conversation import (
    JsonObject,
    RedactedThinking,
    StopReason,
    Text,
    Thinking,
    TokenUsage,
    ToolUse,
)

_STOPS: Final[dict[str, StopReason]] = {
    "end_turn": "end_turn",
    "tool_use": "tool_use",
    "max_tokens": "max_tokens",
    "model_context_window_exceeded": "max_tokens",
    "stop_sequence": "stop_sequence",
    "refusal": "refusal",
    "sensitive": "refusal",
}


class _Open:
    """A block that is being written, at its neutral index."""

    __slots__ = ("arguments", "block", "index", "signature", "text")

    def __init__(self, index: int, block: JsonObject) -> None:
        self.index = index
        self.block = block
        self.text: list[str] = []
        self.arguments: list[str] = []
        self.signature: list[str] = []


class MessagesDecoder:
    """One answer; blocks are numbered as they begin. Blocks of the provider's own tools are passed over."""

    def __init__(self) -> None:
        self.ended = False
        self._open: dict[int, _Open] = {}
        self._next_index = 0
        self._usage = TokenUsage()
        self._stop: StopReason | None = None
        self._without_arguments: list[_Open] = []

    @property
    def may_end(self) -> bool:
        """Only `message_stop` ends an answer."""
        return self.ended

    def feed(self, event: ServerSentEvent) -> list[StreamEvent]:
        """What EVENT says."""
        if self.ended:
            return []
        data = event_object(event)
        kind = data.get("type")
        if kind == "content_block_delta":
            return self._delta(count_of(data.get("index")), object_of(data.get("delta")))
        if (error := error_of(data)) is not None:
            raise stream_failure(error)
        if kind == "message_start":
            return self._start(object_of(data.get("message")))
        if kind == "content_block_start":
            return self._block_start(count_of(data.get("index")), object_of(data.get("content_block")))
        if kind == "content_block_stop":
            return self._block_stop(count_of(data.get("index")))
        if kind == "message_delta":
            return self._message_delta(data)
        if kind == "message_stop":
            return self._message_stop()
        return []

    def finish(self) -> list[StreamEvent]:
        """Nothing: an answer ends with its own event."""
        if not self.ended:
            raise cut_off("ended before the answer did")
        return []

    def _start(self, message: JsonObject) -> list[StreamEvent]:
        # A second start within an answer (seen where a relay fell back to another model) voids what came before it.
        self._open.clear()
        self._without_arguments.clear()
        self._stop, self._usage = None, TokenUsage()
        start = MessageStart(model=text_of(message.get("model")) or None)
        return [start, *self._report(object_of(message.get("usage")))]

    def _block_start(self, place: int, block: JsonObject) -> list[StreamEvent]:
        kind = block.get("type")
        if kind not in ("text", "thinking", "redacted_thinking", "tool_use"):
            return []
        events = _cut(self._open.pop(place, None))
        opened = self._open[place] = _Open(self._new_index(), block)
        if kind == "text":
            events += self._delta(place, {"type": "text_delta", "text": block.get("text")})
        elif kind == "thinking":
            opened.signature.append(text_of(block.get("signature")))
            events += self._delta(place, {"type": "thinking_delta", "thinking": block.get("thinking")})
        elif kind == "tool_use":
            call_id, name = text_of(block.get("id")), text_of(block.get("name"))
            events.append(ToolUseStart(index=opened.index, id=call_id, name=name))
        return events

    def _new_index(self) -> int:
        index, self._next_index = self._next_index, self._next_index + 1
        return index

    def _delta(self, place: int, delta: JsonObject) -> list[StreamEvent]:
        opened = self._open.get(place)
        if opened is None:
            return []
        index, kind = opened.index, delta.get("type")
        if kind == "text_delta" and (text := text_of(delta.get("text"))):
            opened.text.append(text)
            return [TextDelta(index=index, text=text)]
        if kind == "thinking_delta" and (thinking := text_of(delta.get("thinking"))):
            opened.text.append(thinking)
            return [ThinkingDelta(index=index, thinking=thinking)]
        if kind == "input_json_delta" and (partial := text_of(delta.get("partial_json"))):
            opened.arguments.append(partial)
            return [InputJsonDelta(index=index, partial_json=partial)]
        if kind == "signature_delta":
            opened.signature.append(text_of(delta.get("signature")))
        return []

    def _block_stop(self, place: int) -> list[StreamEvent]:
        opened = self._open.pop(place, None)
        if opened is None:
            return []
        if opened.block.get("type") == "tool_use" and not opened.arguments and not opened.block.get("input"):
            # A call without arguments, or one that was cut before its first: the stop reason tells.
            self._without_arguments.append(opened)
            return []
        return [BlockStop(index=opened.index, block=_finished(opened, whole=True))]

    def _message_delta(self, data: JsonObject) -> list[StreamEvent]:
        delta = object_of(data.get("delta"))
        events: list[StreamEvent] = []
        if reason := text_of(delta.get("stop_reason")):
            self._stop = _STOPS.get(reason, "other")
            events += self._settle()
            explanation = text_of(object_of(delta.get("stop_details")).get("explanation"))
            if self._stop == "refusal" and explanation:
                index = self._new_index()
                events.append(TextDelta(index=index, text=explanation))
                events.append(BlockStop(index=index, block=Text(text=explanation)))
        return [*events, *self._report(object_of(data.get("usage")))]

    def _settle(self) -> list[StreamEvent]:
        """Close the calls that came without arguments, now that it is known why the answer ends."""
        whole = self._stop != "max_tokens"
        events: list[StreamEvent] = [
            BlockStop(index=opened.index, block=_finished(opened, whole=whole)) for opened in self._without_arguments
        ]
        self._without_arguments.clear()
        return events

    def _message_stop(self) -> list[StreamEvent]:
        self.ended = True
        if self._stop is None:
            raise cut_off("ended without saying why")
        unclosed = [event for opened in self._open.values() for event in _cut(opened)]
        return [*self._settle(), *unclosed, MessageStop(stop_reason=self._stop)]

    def _report(self, usage: JsonObject) -> list[StreamEvent]:
        """Lay USAGE over what an earlier event said: its counts are the latest, and zeros stand for no news."""
        if not usage:
            return []
        before = self._usage
        self._usage = _counts(usage, before)
        return [UsageReport(usage=self._usage)]


def _counts(usage: JsonObject, before: TokenUsage) -> TokenUsage:
    creation, details = object_of(usage.get("cache_creation")), object_of(usage.get("output_tokens_details"))
    return TokenUsage(
        input_tokens=count_of(usage.get("input_tokens")) or before.input_tokens,
        output_tokens=count_of(usage["output_tokens"]) if "output_tokens" in usage else before.output_tokens,
        cache_read_tokens=count_of(usage.get("cache_read_input_tokens")) or before.cache_read_tokens,
        cache_write_tokens=count_of(usage.get("cache_creation_input_tokens")) or before.cache_write_tokens,
        cache_write_1h_tokens=count_of(creation.get("ephemeral_1h_input_tokens")) or before.cache_write_1h_tokens,
        reasoning_tokens=count_of(details.get("thinking_tokens")) or before.reasoning_tokens,
    )


def _cut(opened: _Open | None) -> list[StreamEvent]:
    """The end of a block that had none."""
    return [] if opened is None else [BlockStop(index=opened.index, block=_finished(opened, whole=False))]


def _finished(opened: _Open, *, whole: bool) -> Text | Thinking | RedactedThinking | ToolUse:
    block, text = opened.block, "".join(opened.text)
    kind = block.get("type")
    if kind == "thinking":
        return Thinking(thinking=text, signature="".join(opened.signature) or None)
    if kind == "redacted_thinking":
        return RedactedThinking(data=text_of(block.get("data")))
    if kind == "text":
        return Text(text=text)
    call_id, name = text_of(block.get("id")), text_of(block.get("name"))
    given = block.get("input")
    if not opened.arguments and isinstance(given, dict) and given and whole:
        return ToolUse(id=call_id, name=name, input=given)
    return tool_use(call_id, name, "".join(opened.arguments), whole=whole)
