"""Which dialect a model speaks, and whose ways it has."""

import pytest

from beyond_ai.agent.dialects.choice import dialect_name, dialect_of, family_of, provider_of
from beyond_ai.agent.failure import ModelFailure


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("claude-opus-4-8", "messages"),
        ("Claude-Opus-4-8", "messages"),
        ("anthropic/claude-sonnet-4.6", "messages"),
        ("us.anthropic.claude-opus-4-7-v1", "messages"),
        ("gpt-5.4", "responses"),
        ("gpt-4o-mini", "responses"),
        ("o3", "responses"),
        ("o4-mini", "responses"),
        ("codex-mini-latest", "responses"),
        ("gpt-3.5-turbo", "chat"),
        ("gpt-oss-120b", "chat"),
        ("openai/gpt-5", "chat"),
        ("grok-4", "chat"),
        ("o3x", "chat"),
        ("weird", "chat"),
    ],
)
def test_the_id_says_which_dialect(model: str, name: str) -> None:
    assert dialect_name(model) == name
    assert dialect_of(dialect_name(model)).name == name
    assert dialect_name(model, "chat") == "chat"


def test_a_dialect_that_does_not_exist() -> None:
    with pytest.raises(ModelFailure, match="use chat, responses or messages") as failure:
        dialect_of("smoke")
    assert failure.value.code == "config"


@pytest.mark.parametrize(
    ("url", "provider"),
    [
        ("http://127.0.0.1:8080", ""),
        ("http://ai.internal/v1", ""),
        ("http://127.0.0.1:8080/groq/openai/v1", "groq"),
        ("http://127.0.0.1:8080/openrouter/api", "openrouter"),
        ("http://127.0.0.1:8080/anthropic", "anthropic"),
        ("https://api.openai.com/v1", "openai"),
        ("https://openrouter.ai/api/v1", "openrouter"),
        ("https://api.deepseek.com", "deepseek"),
        ("https://api.z.ai/api/paas/v4", "zai"),
        ("https://api.groq.com/openai/v1", "groq"),
        ("https://api.x.ai/v1", "xai"),
        ("https://notgroq.example.com", ""),
        ("https://groq.example.com", ""),
        ("https://openai.example.com/groq/openai/v1", "groq"),
        ("nonsense", ""),
    ],
)
def test_the_url_says_who_is_behind_it(url: str, provider: str) -> None:
    assert provider_of(url) == provider


@pytest.mark.parametrize(
    ("provider", "model", "family"),
    [
        ("", "gpt-5", "openai"),
        ("openai", "anything", "openai"),
        ("openrouter", "openai/gpt-5", "openrouter"),
        ("", "deepseek-v4-pro", "deepseek"),
        ("fireworks", "accounts/fireworks/models/deepseek-r1", "other"),
        ("", "mistral-large-latest", "mistral"),
        ("", "codestral-2508", "mistral"),
        ("", "devstral-small", "mistral"),
        ("", "glm-4.6", "zai"),
        ("cerebras", "zai-glm-4.7", "other"),
        ("", "llama-3.3-70b", "other"),
    ],
)
def test_whose_ways(provider: str, model: str, family: str) -> None:
    assert family_of(provider, model) == family
