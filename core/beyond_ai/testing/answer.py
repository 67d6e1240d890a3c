"""What a scripted provider says, apart from the wire that it says it on; see `chat`, `responses` and `messages`."""

from dataclasses import dataclass, replace
from typing import Final, TypeAlias

JsonObject: TypeAlias = dict[str, object]

SCRIPTED_ID: Final = "call_scripted_1"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the model asks for; ARGUMENTS is the JSON text as the model would write it, whole or not.

    The default ID stands for any: where an answer holds several such calls, each gets a number of its own.
    """

    name: str
    arguments: str
    id: str = SCRIPTED_ID

    @property
    def pieces(self) -> list[str]:
        """The arguments in two portions, cut where no JSON value ends."""
        half = len(self.arguments) // 2
        return [part for part in (self.arguments[:half], self.arguments[half:]) if part]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer: THINKING and TEXT, where there are any, then TOOL_CALLS, and the usage that the provider reports.

    `input_tokens` counts all prompt tokens, those in `cached_tokens` included; the Anthropic wire, which reports
    them apart, is given the difference. `output_tokens` includes `reasoning_tokens`. FINISH is why it ends: `end`,
    `tool_use`, `max_tokens` or `refusal`, in the wire's own word, and anything else as it is; None is the right one.
    """

    text: str = "Hello from the scripted provider."
    tool_calls: tuple[ToolCall, ...] = ()
    thinking: str = ""
    finish: str | None = None
    model: str = "scripted-model-2026-01-01"
    input_tokens: int = 21
    output_tokens: int = 7
    cached_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def pieces(self) -> list[str]:
        """The text in the portions that a stream brings: a word each."""
        return words(self.text)

    @property
    def thinking_pieces(self) -> list[str]:
        """The thinking, likewise."""
        return words(self.thinking)

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        """The tool calls, each with an id of its own."""
        return numbered(self.tool_calls, "call_scripted_")

    @property
    def reason(self) -> str:
        """Why it ends: FINISH, or what follows from the calls."""
        return self.finish or ("tool_use" if self.tool_calls else "end")


def words(text: str) -> list[str]:
    """TEXT cut behind each space."""
    parts = text.split(" ")
    return [piece for piece in [*(part + " " for part in parts[:-1]), parts[-1]] if piece]


def numbered(calls: tuple[ToolCall, ...], prefix: str) -> tuple[ToolCall, ...]:
    """CALLS, where those that were given no id get PREFIX and their number."""
    return tuple(
        replace(call, id=f"{prefix}{number}") if call.id == SCRIPTED_ID else call
        for number, call in enumerate(calls, start=1)
    )
