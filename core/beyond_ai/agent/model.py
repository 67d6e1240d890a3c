"""The seam between the loop and a model: a neutral request goes out, neutral events come back.

Order within one answer: `MessageStart`, then blocks. Deltas carry the `index` of their block; blocks may interleave,
and `BlockStop` closes one, with what it finally is. `MessageStop` is last, exactly once, in every answer that ended
properly; a stream without one raises `ModelFailure("network", retryable=True)`, and an error event its own failure.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal, Protocol

from beyond_ai.spec.conversation import (
    JsonObject,
    Message,
    RedactedThinking,
    StopReason,
    Text,
    Thinking,
    ThinkingLevel,
    TokenUsage,
    ToolUse,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolDefinition:
    """A tool as the model is shown it; `schema` is the JSON schema of its arguments."""

    name: str
    description: str
    schema: JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRequest:
    """One request, independent of who answers it.

    Attributes:
        model: the model's id.
        system: the system prompt.
        messages: roles alternate, and every call has its result.
        tools: sorted by name, so that the bytes stay the same from turn to turn.
        max_tokens: of the answer; None lets the dialect choose.
        thinking: how much to reason; None is the model's own default level for agents, `medium`.
        temperature: None leaves it to the provider.
        cache_key: groups requests for the provider's prompt cache, at most 64 characters; the session's id.
        cache_long: whether to ask for the longer of the cache times, where there are two.
        output_schema: a JSON schema that the final text must fit; None for free text.
        tool_choice: `none`, `required` or the name of the tool to call; None lets the model choose.
    """

    model: str
    system: str
    messages: tuple[Message, ...]
    tools: tuple[ToolDefinition, ...] = ()
    max_tokens: int | None = None
    thinking: ThinkingLevel | None = None
    temperature: float | None = None
    cache_key: str | None = None
    cache_long: bool = False
    output_schema: JsonObject | None = None
    tool_choice: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageStart:
    """The answer has begun. `model` is who answers, as the provider names it; None when it does not say.

    A second one within an answer voids what came before it: the provider began anew. Indices are not used again.
    """

    type: Literal["message_start"] = "message_start"
    model: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TextDelta:
    """More text."""

    type: Literal["text_delta"] = "text_delta"
    index: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ThinkingDelta:
    """More reasoning."""

    type: Literal["thinking_delta"] = "thinking_delta"
    index: int
    thinking: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolUseStart:
    """A call begins."""

    type: Literal["tool_use_start"] = "tool_use_start"
    index: int
    id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InputJsonDelta:
    """More of a call's arguments, as text."""

    type: Literal["input_json_delta"] = "input_json_delta"
    index: int
    partial_json: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockStop:
    """A block is complete, as `block`. A call that is cut off has `malformed` set."""

    type: Literal["content_block_stop"] = "content_block_stop"
    index: int
    block: Text | Thinking | RedactedThinking | ToolUse


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageReport:
    """What the request has used so far; the last one stands, nothing is added up."""

    type: Literal["usage"] = "usage"
    usage: TokenUsage


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageStop:
    """The answer has come to its own end."""

    type: Literal["message_stop"] = "message_stop"
    stop_reason: StopReason


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """The request went without `setting`, which it asks for and the model does not take."""

    setting: Literal["temperature"]


StreamEvent = (
    LeftOut
    | MessageStart
    | TextDelta
    | ThinkingDelta
    | ToolUseStart
    | InputJsonDelta
    | BlockStop
    | UsageReport
    | MessageStop
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """What is known of a model, in tokens.

    Attributes:
        window: what a prompt may hold.
        max_output: what an answer may hold, its reasoning included.
        thinking: how it is told to reason.
        images: whether it takes them.
        cannot_disable_thinking: whether it reasons at every level.
        levels: what it can be asked for; any other level becomes the nearest of these.
        thinks_by_default: whether it reasons unless it is told not to.
        temperature: whether it takes one.
    """

    window: int
    max_output: int
    thinking: Literal["none", "budget", "adaptive", "effort"]
    images: bool
    cannot_disable_thinking: bool = False
    levels: tuple[ThinkingLevel, ...] = ("off", "minimal", "low", "medium", "high")
    thinks_by_default: bool = False
    temperature: bool = True


class ModelTransport(Protocol):
    """Asks a model. No retry happens below this seam: they all live in the loop."""

    def facts(self, model: str) -> ModelFacts:
        """What is known of MODEL; careful assumptions where nothing is."""
        ...

    def stream(self, request: ModelRequest) -> AsyncIterator[StreamEvent]:
        """The answer to REQUEST, event by event. Raises ModelFailure. Closing the iterator ends the request."""
        ...
