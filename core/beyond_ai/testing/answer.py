"""What a scripted provider says, apart from the wire that it says it on; see `chat`, `responses` and `messages`."""

from dataclasses import dataclass
from typing import TypeAlias

JsonObject: TypeAlias = dict[str, object]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the model asks for; ARGUMENTS is the JSON text as the model would write it."""

    name: str
    arguments: str
    id: str = "call_scripted_1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer: TEXT, then TOOL_CALL where there is one, and the usage that the provider reports.

    `input_tokens` counts all prompt tokens, those in `cached_tokens` included; the Anthropic wire, which reports
    them apart, is given the difference. `output_tokens` includes `reasoning_tokens`.
    """

    text: str = "Hello from the scripted provider."
    tool_call: ToolCall | None = None
    model: str = "scripted-model-2026-01-01"
    input_tokens: int = 21
    output_tokens: int = 7
    cached_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def pieces(self) -> list[str]:
        """The text in the portions that a stream brings: a word each."""
        words = self.text.split(" ")
        return [word + " " for word in words[:-1]] + words[-1:]

    @property
    def argument_pieces(self) -> list[str]:
        """The tool call's arguments in two portions, cut where no JSON value ends."""
        if self.tool_call is None:
            return []
        text = self.tool_call.arguments
        return [part for part in (text[: len(text) // 2], text[len(text) // 2 :]) if part]
