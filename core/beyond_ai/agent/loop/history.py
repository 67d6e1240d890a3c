"""What every provider asks of a history, and how one that was broken off is closed."""

from collections.abc import Sequence
from typing import Final

from beyond_ai.spec.conversation import Message, ToolOutput, ToolUse

CONTINUE: Final = "Continue where you were broken off."
"""What is asked where somebody wants a run to go on and says nothing more."""


def flaw(messages: Sequence[object]) -> str | None:
    """What is wrong with MESSAGES as a request: None when roles alternate and every call has exactly one result."""
    expected: list[str] = []
    role = "user"
    for position, message in enumerate(messages):
        if not isinstance(message, Message):
            return f"item {position} is no Message"
        if message.role != role:
            return f"message {position} is the {message.role}'s where the {role}'s is due"
        results = [block.tool_use_id for block in message.content if isinstance(block, ToolOutput)]
        if sorted(results) != sorted(expected):
            return f"message {position} answers the calls {results} instead of {expected}"
        expected = [call.id for call in message.tool_uses] if role == "assistant" else []
        role = "assistant" if role == "user" else "user"
    if not messages:
        return "it is empty"
    return "it does not end with the user's message" if role == "user" else None


def closed(calls: Sequence[ToolUse], text: str) -> tuple[ToolOutput, ...]:
    """Error results, with TEXT, for CALLS that have none."""
    return tuple(ToolOutput(tool_use_id=call.id, content=text, is_error=True) for call in calls)
