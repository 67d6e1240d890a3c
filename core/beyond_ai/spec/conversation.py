"""A conversation in neutral form: what the loop keeps, hooks may rewrite and dialects turn into a provider's words.

Every record is frozen. The shape is close to Anthropic's Messages: tool calls and their results are blocks, and one
user message holds all results of a turn.
"""

from dataclasses import dataclass
from typing import Literal

JsonObject = dict[str, object]
"""A JSON object, as `json.loads` gives it."""

StopReason = Literal["end_turn", "tool_use", "max_tokens", "stop_sequence", "refusal", "aborted", "error", "other"]
"""Why an assistant message ended. `other` is an unknown word of a provider's; `error` a stream that broke."""

ThinkingLevel = Literal["off", "minimal", "low", "medium", "high", "xhigh"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenUsage:
    """Tokens of one request, or of many added up. `input_tokens` is what neither cache read nor cache write covers."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    reasoning_tokens: int = 0

    def __add__(self, other: "TokenUsage") -> "TokenUsage":
        """Both together."""
        return TokenUsage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cache_read_tokens=self.cache_read_tokens + other.cache_read_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
            cache_write_1h_tokens=self.cache_write_1h_tokens + other.cache_write_1h_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
        )

    @property
    def prompt_tokens(self) -> int:
        """All that the request carried, cached or not."""
        return self.input_tokens + self.cache_read_tokens + self.cache_write_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """Text. `id` and `phase` are Responses' own, for replay."""

    type: Literal["text"] = "text"
    text: str
    id: str | None = None
    phase: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Thinking:
    """Reasoning that the provider shows. `signature` is what it wants back, verbatim: a signature, or a whole item."""

    type: Literal["thinking"] = "thinking"
    thinking: str
    signature: str | None = None
    field: str | None = None
    """the member that a Chat provider sent it in, and wants it back in"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RedactedThinking:
    """Reasoning that only the provider can read."""

    type: Literal["redacted_thinking"] = "redacted_thinking"
    data: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolUse:
    """A call. `malformed` is the text of arguments that are no whole JSON object: such a call is never run."""

    type: Literal["tool_use"] = "tool_use"
    id: str
    name: str
    input: JsonObject
    malformed: str | None = None
    signature: str | None = None
    """what the provider wants back with the call, verbatim"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image: `data` is base64."""

    type: Literal["image"] = "image"
    media_type: str
    data: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolOutput:
    """The result of the call `tool_use_id`."""

    type: Literal["tool_result"] = "tool_result"
    tool_use_id: str
    content: str
    is_error: bool = False
    images: tuple[Image, ...] = ()


Block = Text | Thinking | RedactedThinking | ToolUse | ToolOutput | Image


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message. What stands below `content` is the agent's own and never goes to a provider.

    Attributes:
        model_id: the model that was asked for; None for a user's message.
        usage: of the request that this message answers.
        stop_reason: why it ended; None for a user's message.
        error_message: what broke it off.
    """

    role: Literal["user", "assistant"]
    content: tuple[Block, ...]
    model_id: str | None = None
    usage: TokenUsage | None = None
    stop_reason: StopReason | None = None
    error_message: str | None = None

    @property
    def text(self) -> str:
        """All of its text."""
        return "".join(block.text for block in self.content if isinstance(block, Text))

    @property
    def tool_uses(self) -> tuple[ToolUse, ...]:
        """Its calls, in order."""
        return tuple(block for block in self.content if isinstance(block, ToolUse))
