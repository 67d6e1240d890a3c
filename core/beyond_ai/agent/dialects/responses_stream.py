"""Reads OpenAI's Responses: https://platform.openai.com/docs/api-reference/responses-streaming."""

import json

from beyond_ai.agent.dialects.dialect import (
    count_of,
    cut_off,
    event_object,
    list_of,
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
from beyond_ai.spec.conversation import JsonObject, StopReason, Text, Thinking, TokenUsage, ToolUse

_OURS = ("message", "reasoning", "function_call")


class _Item:
    """An output item that is being written: `value` as it was announced, `deltas` what came since."""

    __slots__ = ("deltas", "started", "value")

    def __init__(self, value: JsonObject) -> None:
        self.value = value
        self.deltas: list[str] = []
        self.started = False


class ResponsesDecoder:
    """One answer; the neutral index of a block is its item's. Items of the provider's own tools are passed over."""

    def __init__(self) -> None:
        self.ended = False
        self._started = False
        self._items: dict[int, _Item] = {}
        self._closed: set[int] = set()
        self._called = False
        self._refused = False

    @property
    def may_end(self) -> bool:
        """Only a terminal event ends an answer."""
        return self.ended

    def feed(self, event: ServerSentEvent) -> list[StreamEvent]:
        """What EVENT says."""
        if self.ended or event.data.strip() == b"[DONE]":
            return []
        data = event_object(event)
        kind = text_of(data.get("type"))
        if kind.endswith(".delta"):
            return self._delta(kind, data)
        if kind == "response.output_item.added":
            return self._added(count_of(data.get("output_index")), object_of(data.get("item")))
        if kind == "response.output_item.done":
            return self._done(count_of(data.get("output_index")), object_of(data.get("item")))
        if kind == "response.function_call_arguments.done":
            return self._arguments_done(data)
        if kind == "response.reasoning_summary_part.added" and count_of(data.get("summary_index")):
            return self._think(count_of(data.get("output_index")), "\n\n")
        if kind in ("response.completed", "response.incomplete", "response.failed", "response.cancelled"):
            return self._terminal(kind, object_of(data.get("response")))
        if (error := error_of(data)) is not None:
            raise stream_failure(error)
        if not self._started and kind in ("response.created", "response.in_progress"):
            return self._start(object_of(data.get("response")))
        return []

    def finish(self) -> list[StreamEvent]:
        """Nothing: an answer ends with its own event."""
        if not self.ended:
            raise cut_off("ended before the answer did")
        return []

    def _start(self, response: JsonObject) -> list[StreamEvent]:
        if self._started:
            return []
        self._started = True
        return [MessageStart(model=text_of(response.get("model")) or None)]

    def _added(self, index: int, item: JsonObject) -> list[StreamEvent]:
        if item.get("type") not in _OURS or index in self._items:
            return []
        self._items[index] = _Item(item)
        if item.get("type") == "function_call":
            self._called = True
            return [ToolUseStart(index=index, id=call_id(item), name=text_of(item.get("name")))]
        return []

    def _delta(self, kind: str, data: JsonObject) -> list[StreamEvent]:
        index, piece = count_of(data.get("output_index")), text_of(data.get("delta"))
        if not piece or index in self._closed:
            return []
        if kind in ("response.output_text.delta", "response.refusal.delta"):
            self._refused = self._refused or kind == "response.refusal.delta"
            self._item(index, "message").deltas.append(piece)
            return [TextDelta(index=index, text=piece)]
        if kind in ("response.reasoning_summary_text.delta", "response.reasoning_text.delta"):
            return self._think(index, piece)
        if kind == "response.function_call_arguments.delta" and index in self._items:
            self._items[index].deltas.append(piece)
            return [InputJsonDelta(index=index, partial_json=piece)]
        return []

    def _item(self, index: int, kind: str) -> _Item:
        """The item at INDEX, of KIND if it was not announced."""
        return self._items.setdefault(index, _Item({"type": kind}))

    def _think(self, index: int, piece: str) -> list[StreamEvent]:
        self._item(index, "reasoning").deltas.append(piece)
        return [ThinkingDelta(index=index, thinking=piece)]

    def _arguments_done(self, data: JsonObject) -> list[StreamEvent]:
        """Take the arguments as they finally are, whatever the deltas said."""
        item = self._items.get(count_of(data.get("output_index")))
        if item is not None and "arguments" in data:
            item.deltas = [text_of(data["arguments"])]
        return []

    def _done(self, index: int, item: JsonObject) -> list[StreamEvent]:
        if item.get("type") not in _OURS or index in self._closed:
            return []
        events = self._added(index, item)
        return [*events, self._close(index, item)]

    def _close(self, index: int, item: JsonObject) -> StreamEvent:
        """End the block at INDEX, which is ITEM in the end. What ITEM leaves out is taken from the deltas."""
        self._closed.add(index)
        streamed = "".join(self._items[index].deltas)
        kind = item.get("type")
        if kind == "function_call":
            arguments = text_of(item.get("arguments")) or streamed
            whole = item.get("status") in (None, "completed", "in_progress")
            call: ToolUse = tool_use(call_id(item), text_of(item.get("name")), arguments, whole=whole)
            return BlockStop(index=index, block=call)
        if kind == "reasoning":
            # Replayed only if it holds its reasoning: the provider keeps nothing for us.
            signature = json.dumps(item, ensure_ascii=False) if item.get("encrypted_content") else None
            return BlockStop(index=index, block=Thinking(thinking=_reasoning(item) or streamed, signature=signature))
        text = "".join(_part_text(object_of(part)) for part in list_of(item.get("content"))) or streamed
        if any(object_of(part).get("type") == "refusal" for part in list_of(item.get("content"))):
            self._refused = True
        phase = text_of(item.get("phase")) or None
        return BlockStop(index=index, block=Text(text=text, id=text_of(item.get("id")) or None, phase=phase))

    def _terminal(self, kind: str, response: JsonObject) -> list[StreamEvent]:
        self.ended = True
        if kind in ("response.failed", "response.cancelled"):
            if error := response.get("error"):
                raise stream_failure(error)
            raise cut_off(f"ended with `{kind}`")
        events = self._start(response)
        for index, value in enumerate(list_of(response.get("output"))):
            events += self._done(index, object_of(value))
        # Items that the last event leaves out: a call among them was never said to be complete.
        for index in sorted(self._items.keys() - self._closed):
            cut = {**self._items[index].value, "status": "incomplete"}
            events.append(self._close(index, cut))
        if usage := object_of(response.get("usage")):
            events.append(UsageReport(usage=_counts(usage)))
        return [*events, MessageStop(stop_reason=self._stop_reason(kind, response))]

    def _stop_reason(self, kind: str, response: JsonObject) -> StopReason:
        if kind == "response.incomplete":
            reason = object_of(response.get("incomplete_details")).get("reason")
            return "refusal" if reason == "content_filter" else "max_tokens"
        if self._called:
            return "tool_use"
        return "refusal" if self._refused else "end_turn"


def call_id(item: JsonObject) -> str:
    """The neutral id of a call: the id that its result goes by, and the item's own, which it is replayed with."""
    own = text_of(item.get("id"))
    called = text_of(item.get("call_id")) or own
    return f"{called}|{own}" if own and own != called else called


def _part_text(part: JsonObject) -> str:
    return text_of(part.get("text")) or text_of(part.get("refusal"))


def _reasoning(item: JsonObject) -> str:
    """The summary of ITEM, or the reasoning itself where the provider shows it."""
    summary = "\n\n".join(text_of(object_of(part).get("text")) for part in list_of(item.get("summary")))
    return summary or "".join(text_of(object_of(part).get("text")) for part in list_of(item.get("content")))


def _counts(usage: JsonObject) -> TokenUsage:
    prompt, output = count_of(usage.get("input_tokens")), count_of(usage.get("output_tokens"))
    details = object_of(usage.get("input_tokens_details"))
    read, written = count_of(details.get("cached_tokens")), count_of(details.get("cache_write_tokens"))
    return TokenUsage(
        input_tokens=max(0, prompt - read - written),
        output_tokens=output,
        cache_read_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=count_of(object_of(usage.get("output_tokens_details")).get("reasoning_tokens")),
    )
