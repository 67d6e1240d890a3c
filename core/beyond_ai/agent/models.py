"""What is known of models, by their ids. What no line knows is assumed to be small: see `UNKNOWN`.

Figures are from the providers' own pages, November 2026. Where a provider sets a part of its window aside for the
answer (OpenAI's GPT-5: 128,000), `window` is what is left for the prompt.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from beyond_ai.agent.model import ModelFacts
from beyond_ai.spec.conversation import ThinkingLevel

LEVELS: Final[tuple[ThinkingLevel, ...]] = ("off", "minimal", "low", "medium", "high", "xhigh")
DEFAULT_LEVEL: Final[ThinkingLevel] = "medium"
BUDGETS: Final[Mapping[ThinkingLevel, int]] = {
    "off": 0,
    "minimal": 1_024,
    "low": 4_096,
    "medium": 10_240,
    "high": 32_768,
    "xhigh": 32_768,
}
"""Tokens of reasoning by level, for models that are given a budget."""

MIN_BUDGET: Final = 1_024

UNKNOWN: Final = ModelFacts(window=128_000, max_output=4_096, thinking="none", images=False)


def _plain(window: int, max_output: int, *, images: bool = False, temperature: bool = True) -> ModelFacts:
    return ModelFacts(
        window=window, max_output=max_output, thinking="none", images=images, levels=("off",), temperature=temperature
    )


def _effort(window: int, max_output: int, levels: str, *, images: bool = False, temperature: bool = True) -> ModelFacts:
    """A model with LEVELS of effort, in rising order. One without `off` cannot be kept from reasoning."""
    known = tuple(level for level in LEVELS if level in levels.split())
    return ModelFacts(
        window=window,
        max_output=max_output,
        thinking="effort",
        images=images,
        levels=known,
        cannot_disable_thinking="off" not in known,
        thinks_by_default=True,
        temperature=temperature,
    )


def _openai(window: int, levels: str, max_output: int = 128_000) -> ModelFacts:
    return _effort(window, max_output, levels, images=True, temperature=False)


_TABLE: Final = (
    (r"(gpt-5(\.\d)?-chat|chatgpt)", _plain(128_000, 16_384, images=True)),
    (r"gpt-5-pro", _openai(128_000, "high", 272_000)),
    (r"gpt-5\.[4-9](?=.*-pro)", _openai(922_000, "medium high xhigh")),
    (r"gpt-5\.\d(?=.*-pro)", _openai(272_000, "medium high xhigh")),
    (r"gpt-5(?=-codex)", _openai(272_000, "low medium high")),
    (r"gpt-5\.1(?=-codex-max)", _openai(272_000, "low medium high xhigh")),
    (r"gpt-5\.1(?=-codex)", _openai(272_000, "low medium high")),
    (r"gpt-5\.\d(?=-codex)", _openai(272_000, "low medium high xhigh")),
    (r"gpt-5(?=$|-)", _openai(272_000, "minimal low medium high")),
    (r"gpt-5\.1", _openai(272_000, "off low medium high")),
    (r"gpt-5\.[4-9](?=-(mini|nano))", _openai(272_000, "off low medium high xhigh")),
    (r"gpt-5\.[4-9]", _openai(922_000, "off low medium high xhigh")),
    (r"gpt-5", _openai(272_000, "off low medium high xhigh")),
    (r"o[134](?=$|-)", _openai(200_000, "low medium high", 100_000)),
    (r"gpt-4\.1", _plain(1_047_576, 32_768, images=True)),
    (r"gpt-4o", _plain(128_000, 16_384, images=True)),
    (r"gpt-4-(turbo|1106|0125)", _plain(128_000, 4_096, images=True)),
    (r"gpt-4", _plain(8_192, 4_096)),
    (r"gpt-3\.5", _plain(16_385, 4_096)),
    (r"gpt-oss", _effort(131_072, 32_768, "low medium high")),
    (r"grok-3-mini", _effort(131_072, 16_384, "low high")),
    (r"grok-(2-vision|4).*non-reasoning", _plain(2_000_000, 30_000, images=True)),
    (r"grok-(4[.-]\d-fast|4-fast)", _plain(2_000_000, 30_000, images=True)),
    (r"grok-(4|code|build)", _plain(256_000, 64_000, images=True)),
    (r"grok", _plain(131_072, 16_384)),
    (r"deepseek-(v4|chat|reasoner)", _effort(1_000_000, 64_000, "off high xhigh")),
    (r"deepseek-(v3\.[12]|r1)", _effort(128_000, 32_768, "off high")),
    (r"deepseek", _plain(128_000, 8_192)),
    (r"kimi-k3", _effort(1_000_000, 64_000, "low high xhigh", images=True, temperature=False)),
    (r"kimi-k2\.[56]", _effort(262_144, 32_768, "off high", images=True, temperature=False)),
    (r"kimi", _plain(262_144, 16_384)),
    (r"glm-4\.[56]v", _effort(65_536, 16_384, "off high", images=True)),
    (r"glm-4\.5", _effort(131_072, 96_000, "off high")),
    (r"(zai-)?glm-(4\.[6-9]|5)", _effort(200_000, 128_000, "off high")),
    (r"gemini-(2\.5-pro|3)", _effort(1_048_576, 65_536, "minimal low medium high", images=True)),
    (r"gemini-2\.5", _effort(1_048_576, 65_536, "off low medium high", images=True)),
    (r"gemini", _plain(1_048_576, 8_192, images=True)),
    (r"(pixtral|mistral-(small|medium|large))", _plain(131_072, 32_768, images=True)),
    (r"(mistral|magistral|codestral|devstral|ministral)", _plain(131_072, 32_768)),
    (r"qwen-?3-(235b|\d+b)(?!.*instruct)", _effort(131_072, 32_768, "off high")),
    (r"qwen-?3(?=.*coder)", _plain(262_144, 65_536)),
    (r"qwen", _plain(131_072, 16_384)),
    (r"minimax-m[2-9]", _plain(196_608, 65_536)),
    (r"llama-?4", _plain(131_072, 8_192, images=True)),
    (r"llama-?3", _plain(131_072, 8_192)),
)
"""Patterns, which match at the start, from the special to the general; compiled when a model is looked up."""

_CLAUDE: Final = (
    r"claude-(?:(?P<tier>[a-z]+)-(?P<major>\d)(?:[.-](?P<minor>\d)(?!\d))?"
    r"|(?P<old_major>\d)(?:[.-](?P<old_minor>\d)(?!\d))?-(?P<old_tier>[a-z]+))"
)


def model_facts(model: str) -> ModelFacts:
    """What is known of MODEL, with or without the names of those who resell it in front; `UNKNOWN` when nothing is."""
    name = model.lower()
    if "claude" in name:
        return _claude(*claude_version(name))
    name = name.rsplit("/", 1)[-1]
    return next((facts for pattern, facts in _TABLE if re.match(pattern, name)), UNKNOWN)


def claude_version(model: str) -> tuple[str, tuple[int, int]]:
    """Tier and version of a Claude MODEL; an empty tier and (0, 0) for one that is none, or names neither."""
    match = re.search(_CLAUDE, model.lower())
    if match is None:
        return "", (0, 0)
    tier = match["tier"] or match["old_tier"]
    return tier, (int(match["major"] or match["old_major"]), int(match["minor"] or match["old_minor"] or 0))


def _claude(tier: str, version: tuple[int, int]) -> ModelFacts:
    if version >= (5, 0) or (version >= (4, 6) and tier in ("opus", "sonnet")):
        return _adaptive_claude(tier, version)
    facts = ModelFacts(window=200_000, max_output=64_000, thinking="budget", images=True, levels=LEVELS)
    if version == (0, 0):
        return replace(facts, max_output=4_096, thinking="none", levels=("off",))
    if version < (3, 5):
        return replace(facts, max_output=4_096, thinking="none", levels=("off",), images=version >= (3, 0))
    if version < (3, 7):
        return replace(facts, max_output=8_192, thinking="none", levels=("off",))
    return replace(facts, max_output=32_000) if tier == "opus" and version < (4, 5) else facts


def _adaptive_claude(tier: str, version: tuple[int, int]) -> ModelFacts:
    always = tier in ("fable", "mythos") or (version >= (5, 5) and tier != "haiku")
    levels: tuple[ThinkingLevel, ...] = ("off", "low", "medium", "high")
    if version >= (4, 7):
        levels = (*levels, "xhigh")
    return ModelFacts(
        window=200_000 if tier == "haiku" else 1_000_000,
        max_output=64_000 if tier == "haiku" or (tier, version) == ("sonnet", (4, 6)) else 128_000,
        thinking="adaptive",
        images=True,
        cannot_disable_thinking=always,
        levels=levels[1:] if always else levels,
        thinks_by_default=version >= (5, 0),
        temperature=version < (4, 7),
    )


def thinking_level(level: ThinkingLevel | None, facts: ModelFacts) -> ThinkingLevel:
    """LEVEL as the model can do it: the nearest that it knows, the lower of two that are as near.

    None is `DEFAULT_LEVEL`: a model that is told nothing may reason as much as it can. `off` stays off unless the
    model reasons at every level, and no other level becomes off.
    """
    if facts.thinking == "none":
        return "off"
    wanted = level or DEFAULT_LEVEL
    known = [name for name in facts.levels if name != "off" or not facts.cannot_disable_thinking]
    if wanted in known or not known:
        return wanted
    thinking = [name for name in known if name != "off"] or known
    rank = LEVELS.index(wanted)
    return min(thinking, key=lambda name: (abs(LEVELS.index(name) - rank), LEVELS.index(name)))
