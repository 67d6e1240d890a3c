"""What is known of models, and what becomes of a level that one does not know."""

import pytest

from beyond_ai.agent.model import ModelFacts
from beyond_ai.agent.models import LEVELS, UNKNOWN, claude_version, model_facts, thinking_level
from beyond_ai.spec.conversation import ThinkingLevel


@pytest.mark.parametrize(
    ("model", "window", "max_output", "thinking", "images"),
    [
        ("claude-opus-4-8", 1_000_000, 128_000, "adaptive", True),
        ("claude-opus-4-6", 1_000_000, 128_000, "adaptive", True),
        ("claude-sonnet-4-6", 1_000_000, 64_000, "adaptive", True),
        ("claude-sonnet-5", 1_000_000, 128_000, "adaptive", True),
        ("claude-fable-5", 1_000_000, 128_000, "adaptive", True),
        ("anthropic/claude-opus-4.8", 1_000_000, 128_000, "adaptive", True),
        ("us.anthropic.claude-opus-4-7-v1", 1_000_000, 128_000, "adaptive", True),
        ("claude-sonnet-4-5-20250929", 200_000, 64_000, "budget", True),
        ("claude-haiku-4-5", 200_000, 64_000, "budget", True),
        ("claude-opus-4-5-20251101", 200_000, 64_000, "budget", True),
        ("claude-opus-4-20250514", 200_000, 32_000, "budget", True),
        ("claude-3-7-sonnet-latest", 200_000, 64_000, "budget", True),
        ("claude-3-5-haiku-latest", 200_000, 8_192, "none", True),
        ("claude-unheard-of", 200_000, 4_096, "none", True),
        ("gpt-5", 272_000, 128_000, "effort", True),
        ("gpt-5.4", 922_000, 128_000, "effort", True),
        ("o3-deep-research", 200_000, 100_000, "effort", True),
        ("gpt-4.1-nano", 1_047_576, 32_768, "none", True),
        ("gpt-4-1106-preview", 128_000, 4_096, "none", True),
        ("gpt-5-chat-latest", 128_000, 16_384, "none", True),
        ("accounts/fireworks/models/gpt-oss-20b", 131_072, 32_768, "effort", False),
        ("moonshotai/Kimi-K3", 1_000_000, 64_000, "effort", True),
        ("unheard-of", 128_000, 4_096, "none", False),
        ("", 128_000, 4_096, "none", False),
    ],
)
def test_what_is_known(model: str, window: int, max_output: int, thinking: str, images: bool) -> None:
    facts = model_facts(model)
    assert (facts.window, facts.max_output, facts.thinking, facts.images) == (window, max_output, thinking, images)


@pytest.mark.parametrize(
    ("model", "tier", "version"),
    [
        ("claude-opus-4-20250514", "opus", (4, 0)),
        ("claude-sonnet-4-0", "sonnet", (4, 0)),
        ("claude-opus-4-8", "opus", (4, 8)),
        ("claude-3-5-sonnet-20241022", "sonnet", (3, 5)),
        ("anthropic/claude-3.7-sonnet", "sonnet", (3, 7)),
        ("claude-haiku-4.5", "haiku", (4, 5)),
        ("claude-2.1", "", (0, 0)),
        ("gpt-5", "", (0, 0)),
    ],
)
def test_tier_and_version_of_claude(model: str, tier: str, version: tuple[int, int]) -> None:
    assert claude_version(model) == (tier, version)


@pytest.mark.parametrize(
    ("model", "level", "expected"),
    [
        ("gpt-4o", "high", "off"),
        ("gpt-5", None, "medium"),
        ("gpt-5", "off", "minimal"),
        ("gpt-5", "xhigh", "high"),
        ("gpt-5.4", "off", "off"),
        ("gpt-5.4", "minimal", "low"),
        ("gpt-5-pro", "off", "high"),
        ("grok-3-mini", "medium", "low"),
        ("kimi-k3", None, "low"),
        ("deepseek-v4-pro", "minimal", "high"),
        ("claude-sonnet-4-5", "xhigh", "xhigh"),
        ("claude-opus-4-6", "xhigh", "high"),
        ("claude-opus-4-6", "minimal", "low"),
        ("claude-fable-5", "off", "low"),
        ("claude-opus-4-8", None, "medium"),
    ],
)
def test_a_level_becomes_the_nearest_that_is_known(
    model: str, level: ThinkingLevel | None, expected: ThinkingLevel
) -> None:
    assert thinking_level(level, model_facts(model)) == expected


@pytest.mark.parametrize("level", [None, *LEVELS])
def test_no_level_becomes_one_that_is_not_known(level: ThinkingLevel | None) -> None:
    for model in ("claude-opus-4-8", "claude-fable-5", "gpt-5", "gpt-5.4", "o3", "glm-4.6", "kimi-k3", "grok-3-mini"):
        facts = model_facts(model)
        chosen = thinking_level(level, facts)
        assert chosen in facts.levels
        assert (chosen == "off") <= (level == "off"), "reasoning was switched off that was asked for"


def test_a_model_that_says_only_how_it_is_told_to_reason() -> None:
    facts = ModelFacts(window=1, max_output=1, thinking="effort", images=False, cannot_disable_thinking=True)
    assert thinking_level("off", facts) == "minimal"
    assert thinking_level("high", UNKNOWN) == "off"
