"""How long an answer may be."""

from typing import Final

from beyond_ai.agent.model import ModelFacts
from beyond_ai.spec.conversation import ThinkingLevel

MARGIN_TOKENS: Final = 4_096
"""Kept free when an answer is given all that is left of the window: sizes are estimates."""
LEAST_TOKENS: Final = 1_024
THINKING_TOKENS: Final[dict[ThinkingLevel, int]] = {
    "off": 0,
    "minimal": 1_024,
    "low": 4_096,
    "medium": 10_240,
    "high": 32_768,
    "xhigh": 32_768,
}
"""What an answer must have room for beside its text, where reasoning has a budget."""


def answer_tokens(wanted: int | None, facts: ModelFacts, live: int, thinking: ThinkingLevel | None) -> int | None:
    """How long an answer may be where WANTED is asked for and LIVE tokens of the window are taken; never more.

    None leaves it to the dialect: nothing was wanted, and there is room for the longest answer.
    """
    room = facts.window - live - MARGIN_TOKENS
    most = facts.max_output if wanted is None else wanted
    if room >= most:
        return wanted
    budget = THINKING_TOKENS[thinking or "medium"] if facts.thinking == "budget" else 0
    return min(most, max(room, LEAST_TOKENS, budget + 1))
