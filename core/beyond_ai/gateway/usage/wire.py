"""Wires: the shapes of answers that are metered, told by the end of the path."""

from enum import Enum
from typing import Final

from beyond_ai.spec.provider import Dialect


class Wire(Enum):
    """The shape of one endpoint's answers, and with it the place and the names of their token counts."""

    CHAT = ("chat", Dialect.OPENAI)
    """OpenAI Chat Completions: https://platform.openai.com/docs/api-reference/chat"""
    COMPLETIONS = ("completions", Dialect.OPENAI)
    """OpenAI's legacy completions: https://platform.openai.com/docs/api-reference/completions"""
    EMBEDDINGS = ("embeddings", Dialect.OPENAI)
    """OpenAI embeddings: https://platform.openai.com/docs/api-reference/embeddings"""
    RESPONSES = (
        "responses",
        Dialect.OPENAI,
        True,
        ("response", "usage"),
        ("response.completed", "response.incomplete", "response.failed"),
    )
    """OpenAI Responses: https://platform.openai.com/docs/api-reference/responses"""
    RESPONSES_COUNT = ("responses_count", Dialect.OPENAI, False)
    """counts the tokens of a Responses request without running it; free"""
    MESSAGES = ("messages", Dialect.ANTHROPIC, True, ("usage",), ("message_stop",))
    """Anthropic Messages: https://docs.anthropic.com/en/api/messages"""
    MESSAGES_COUNT = ("messages_count", Dialect.ANTHROPIC, False)
    """counts the tokens of a Messages request without running it; free"""

    label: str
    dialect: Dialect
    """whose usage object and error shape it has"""
    metered: bool
    """whether a request is written to the usage log; False for what is free"""
    event_report: tuple[str, ...]
    """where the usage object is in an event of a stream; in a body it is at the root"""
    terminal_events: tuple[str, ...]
    """the types of the events that end a stream; OpenAI's older streams have the text `[DONE]` instead"""

    def __init__(
        self,
        label: str,
        dialect: Dialect,
        metered: bool = True,
        event_report: tuple[str, ...] = ("usage",),
        terminal_events: tuple[str, ...] = (),
    ) -> None:
        self.label = label
        self.dialect = dialect
        self.metered = metered
        self.event_report = event_report
        self.terminal_events = terminal_events


_SUFFIXES: Final = (
    (b"/chat/completions", Wire.CHAT),
    (b"/messages", Wire.MESSAGES),
    (b"/responses", Wire.RESPONSES),
    (b"/embeddings", Wire.EMBEDDINGS),
    (b"/completions", Wire.COMPLETIONS),
    (b"/responses/compact", Wire.RESPONSES),
    (b"/messages/count_tokens", Wire.MESSAGES_COUNT),
    (b"/responses/input_tokens", Wire.RESPONSES_COUNT),
)


def wire_of(path: bytes) -> Wire | None:
    """The wire of PATH, which is as the provider is asked for it and without its query; None when nothing is metered.

    Only the end counts, on a segment boundary, so that every provider's own mount is covered
    (`/inference/v1/chat/completions`, `/api/v1/messages`).
    """
    for suffix, wire in _SUFFIXES:
        if path.endswith(suffix):
            return wire
    return None
