"""Reads OpenAI's Chat Completions, as OpenAI and all who speak its words stream them.

https://platform.openai.com/docs/api-reference/chat-streaming
"""

import json
from typing import Final

from beyond_ai.agent.dialects.dialect import (
    count_of,
    cut_off,
    event_object,
    list_of,
    object_of,
    parse_arguments,
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
from beyond_ai.spec.conversation import JsonObject, StopReason, Text, Thinking, TokenUsage

REASONING_FIELDS: Final = ("reasoning_content", "reasoning", "reasoning_text")
CONTENT: Final = "content"
"""Where Mistral has its reasoning: a part of the content."""

_STOPS: Final[dict[str, StopReason]] = {
    "stop": "end_turn",
    "end": "end_turn",
    "eos": "end_turn",
    "end_turn": "end_turn",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "length": "max_tokens",
    "max_tokens": "max_tokens",
    "model_length": "max_tokens",
    "content_filter": "refusal",
    "refusal": "refusal",
}
_FAILURES: Final = ("error", "network_error")


class _Call:
    """A call that is being written. Its first id and name stand: Kimi changes ids on the way."""

    __slots__ = ("arguments", "extra", "id", "index", "name", "started")

    def __init__(self, index: int) -> None:
        self.index = index
        self.id = ""
        self.name = ""
        self.arguments: list[str] = []
        self.extra: JsonObject = {}
        self.started = False


class ChatDecoder:
    """One answer. All of its text is one block, all of its reasoning another, in the order in which they begin.

    Nothing that follows the finish reason changes the answer (some providers send its calls once more), but a report
    of usage still counts. The end of the stream is as good as `[DONE]` once there was a finish reason.
    """

    def __init__(self) -> None:
        self.ended = False
        self._started = False
        self._stop: StopReason | None = None
        self._next_index = 0
        self._text: list[str] = []
        self._text_index: int | None = None
        self._refused = False
        self._thinking: list[str] = []
        self._thinking_index: int | None = None
        self._thinking_field: str | None = None
        self._details: list[JsonObject] = []
        self._calls: list[_Call] = []
        self._by_place: dict[int, _Call] = {}
        self._by_id: dict[str, _Call] = {}

    @property
    def may_end(self) -> bool:
        """Whether the finish reason was there."""
        return self._stop is not None

    def feed(self, event: ServerSentEvent) -> list[StreamEvent]:
        """What EVENT says."""
        if self.ended:
            return []
        if event.data.strip() == b"[DONE]":
            return self.finish()
        data = event_object(event)
        if (error := error_of(data)) is not None:
            raise stream_failure(error)
        events: list[StreamEvent] = []
        if not self._started and "choices" in data:
            self._started = True
            events.append(MessageStart(model=text_of(data.get("model")) or None))
        for value in list_of(data.get("choices")):
            choice = object_of(value)
            if count_of(choice.get("index")) == 0 and self._stop is None:
                events += self._delta(object_of(choice.get("delta")) or object_of(choice.get("message")))
                events += self._finish_reason(choice.get("finish_reason"))
        usage = object_of(data.get("usage")) or object_of(object_of(data.get("x_groq")).get("usage"))
        if usage:
            events.append(UsageReport(usage=_counts(usage)))
        return events

    def finish(self) -> list[StreamEvent]:
        """The end of the answer. ModelFailure when nothing said why it ends."""
        if self.ended:
            return []
        if self._stop is None:
            raise cut_off("ended without a finish reason")
        self.ended = True
        return [MessageStop(stop_reason=self._stop)]

    def _delta(self, delta: JsonObject) -> list[StreamEvent]:
        events: list[StreamEvent] = []
        for value in list_of(delta.get("reasoning_details")):
            self._detail(object_of(value))
        if reasoning := self._reasoning(delta):
            events.append(self._think(reasoning))
        content = delta.get("content")
        if isinstance(content, str):
            if content:
                events.append(self._say(content))
        else:
            for value in list_of(content):
                events += self._part(object_of(value))
        if refusal := text_of(delta.get("refusal")):
            self._refused = True
            events.append(self._say(refusal))
        for value in list_of(delta.get("tool_calls")):
            if call := object_of(value):
                events += self._call_delta(call)
        return events

    def _reasoning(self, delta: JsonObject) -> str:
        """The reasoning of DELTA: of the member that it first came in, as some send it in two at once."""
        if self._thinking_field is not None:
            return text_of(delta.get(self._thinking_field)) if self._thinking_field != CONTENT else ""
        for field in REASONING_FIELDS:
            if text := text_of(delta.get(field)):
                self._thinking_field = field
                return text
        return ""

    def _detail(self, detail: JsonObject) -> None:
        """Keep a piece of what OpenRouter wants back; the text of one kind in a row is one piece."""
        last = self._details[-1] if self._details else {}
        kind = detail.get("type")
        member = {"reasoning.text": "text", "reasoning.summary": "summary"}.get(text_of(kind))
        if member and last.get("type") == kind and last.get("index") == detail.get("index"):
            joined = text_of(last.get(member)) + text_of(detail.get(member))
            self._details[-1] = {**last, **{k: v for k, v in detail.items() if v is not None}, member: joined}
        elif detail:
            self._details.append(detail)

    def _part(self, part: JsonObject) -> list[StreamEvent]:
        """A part of content that came as a list: Mistral's way."""
        if part.get("type") == "thinking":
            texts = [text_of(object_of(piece).get("text")) for piece in list_of(part.get("thinking"))]
            thinking = "".join(texts) or text_of(part.get("thinking"))
            if thinking:
                self._thinking_field = self._thinking_field or CONTENT
                return [self._think(thinking)]
        elif text := text_of(part.get("text")):
            return [self._say(text)]
        return []

    def _think(self, text: str) -> StreamEvent:
        if self._thinking_index is None:
            self._thinking_index = self._new_index()
        self._thinking.append(text)
        return ThinkingDelta(index=self._thinking_index, thinking=text)

    def _say(self, text: str) -> StreamEvent:
        if self._text_index is None:
            self._text_index = self._new_index()
        self._text.append(text)
        return TextDelta(index=self._text_index, text=text)

    def _new_index(self) -> int:
        index, self._next_index = self._next_index, self._next_index + 1
        return index

    def _call_delta(self, value: JsonObject) -> list[StreamEvent]:
        call_id = text_of(value.get("id"))
        if call_id == "null":
            call_id = ""
        function = object_of(value.get("function"))
        call = self._call_of(value.get("index"), call_id, text_of(function.get("name")))
        call.id = call.id or call_id
        call.name = call.name or text_of(function.get("name"))
        call.extra = call.extra or object_of(value.get("extra_content"))
        events: list[StreamEvent] = []
        if not call.started and call.name:
            call.started = True
            call.id = call.id or f"call_{call.index}"
            events.append(ToolUseStart(index=call.index, id=call.id, name=call.name))
        arguments = function.get("arguments")
        if isinstance(arguments, dict):  # Ollama and others: not as text
            arguments = json.dumps(arguments, ensure_ascii=False)
        if piece := text_of(arguments):
            call.arguments.append(piece)
            events.append(InputJsonDelta(index=call.index, partial_json=piece))
        return events

    def _call_of(self, place: object, call_id: str, name: str) -> _Call:
        """The call that a delta belongs to: by its place, else by its id, else the last one."""
        if isinstance(place, int):
            call = self._by_place.get(place)
            # Several whole calls at one place: some who send no call in pieces write 0 for every place.
            another = call is not None and name and call_id and call_id not in self._by_id and _is_whole(call)
            if call is None or another:
                call = self._by_place[place] = self._new_call()
        elif call_id:
            call = self._by_id.get(call_id) or self._new_call()
        else:
            call = self._new_call() if name or not self._calls else self._calls[-1]
        if call_id:
            self._by_id.setdefault(call_id, call)
        return call

    def _new_call(self) -> _Call:
        call = _Call(self._new_index())
        self._calls.append(call)
        return call

    def _finish_reason(self, value: object) -> list[StreamEvent]:
        reason = text_of(value)
        if not reason:
            return []
        if reason in _FAILURES:
            raise cut_off(f"ended with the finish reason `{reason}`")
        self._stop = _STOPS.get(reason, "other")
        if self._stop == "end_turn":
            # Many say `stop` after a call.
            self._stop = "refusal" if self._refused else "tool_use" if self._calls else "end_turn"
        return self._close_blocks()

    def _close_blocks(self) -> list[StreamEvent]:
        stops: list[BlockStop] = []
        if self._thinking_index is None and any("data" in detail for detail in self._details):
            self._thinking_index, self._thinking_field = self._new_index(), "reasoning"
        if self._thinking_index is not None:
            block = Thinking(
                thinking="".join(self._thinking),
                signature=json.dumps(self._details, ensure_ascii=False) if self._details else None,
                field=self._thinking_field,
            )
            stops.append(BlockStop(index=self._thinking_index, block=block))
        if self._text_index is not None:
            stops.append(BlockStop(index=self._text_index, block=Text(text="".join(self._text))))
        for call in self._calls:
            arguments = "".join(call.arguments)
            whole = bool(arguments) or self._stop != "max_tokens"
            signature = json.dumps(call.extra, ensure_ascii=False) if call.extra else None
            block_of = tool_use(call.id, call.name, arguments, whole=whole, signature=signature)
            stops.append(BlockStop(index=call.index, block=block_of))
        return [*sorted(stops, key=lambda stop: stop.index)]


def _is_whole(call: _Call) -> bool:
    arguments = "".join(call.arguments)
    return bool(arguments) and parse_arguments(arguments) is not None


def _counts(usage: JsonObject) -> TokenUsage:
    """The counts of USAGE. Cached tokens have three places, and xAI counts reasoning beside the completion."""
    prompt, completion = count_of(usage.get("prompt_tokens")), count_of(usage.get("completion_tokens"))
    prompt_details = object_of(usage.get("prompt_tokens_details"))
    reasoning = count_of(object_of(usage.get("completion_tokens_details")).get("reasoning_tokens"))
    read = (
        count_of(prompt_details.get("cached_tokens"))
        or count_of(usage.get("prompt_cache_hit_tokens"))
        or count_of(usage.get("cached_tokens"))
    )
    written = count_of(prompt_details.get("cache_write_tokens"))
    if reasoning and count_of(usage.get("total_tokens")) == prompt + completion + reasoning:
        completion += reasoning
    return TokenUsage(
        input_tokens=max(0, prompt - read - written),
        output_tokens=completion,
        cache_read_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=reasoning,
    )
