"""Which dialect a model speaks, and whose ways it has."""

import re
from typing import Final, Literal
from urllib.parse import urlsplit

from beyond_ai.agent.dialects.dialect import Dialect, DialectName
from beyond_ai.agent.failure import ModelFailure

Family = Literal["openai", "openrouter", "deepseek", "mistral", "together", "zai", "groq", "other"]
"""Whose additions to Chat Completions and Responses are spoken; `other` is the plain form."""

_OPENAI: Final = re.compile(r"(gpt-[45]|o[134](-|$)|chatgpt-|codex-)")
_PROVIDERS: Final[dict[str, Family]] = {
    "openai": "openai",
    "openrouter": "openrouter",
    "deepseek": "deepseek",
    "mistral": "mistral",
    "together": "together",
    "zai": "zai",
    "groq": "groq",
    "cerebras": "other",
    "fireworks": "other",
    "xai": "other",
    "anthropic": "other",
}
_MODELS: Final[tuple[tuple[re.Pattern[str], Family], ...]] = (
    (re.compile(r"deepseek-"), "deepseek"),
    (re.compile(r"(mi|magi|mini|code?|dev|pix)stral"), "mistral"),
    (re.compile(r"glm-"), "zai"),
)


def dialect_name(model: str, override: DialectName | None = None) -> DialectName:
    """The dialect of MODEL, unless OVERRIDE names one."""
    if override is not None:
        return override
    name = model.lower()
    if name.startswith("claude") or "anthropic" in name:
        return "messages"
    return "responses" if is_openai(model) else "chat"


def is_openai(model: str) -> bool:
    """Whether MODEL is one of OpenAI's own ids, as OpenAI itself takes them."""
    return bool(_OPENAI.match(model.lower()))


def dialect_of(name: str) -> Dialect:
    """The dialect called NAME. Imported when it is used: a run needs one of them."""
    if name == "chat":
        from beyond_ai.agent.dialects.chat import CHAT

        return CHAT
    if name == "responses":
        from beyond_ai.agent.dialects.responses import RESPONSES

        return RESPONSES
    if name == "messages":
        from beyond_ai.agent.dialects.messages import MESSAGES

        return MESSAGES
    raise ModelFailure("config", f"there is no dialect `{name}`: use chat, responses or messages")


def provider_of(base_url: str) -> str:
    """Who is behind BASE_URL, as far as it says: a provider's own host, or the first segment of a gateway's path."""
    try:
        parts = urlsplit(base_url)
    except ValueError:
        return ""
    name, _, top = ".".join((parts.hostname or "").rsplit(".", 2)[-2:]).partition(".")
    host = f"{name}ai" if top == "ai" and name in ("x", "z") else name
    segment = parts.path.strip("/").partition("/")[0].lower()
    return next((place for place in (host, segment) if place in _PROVIDERS), "")


def family_of(provider: str, model: str) -> Family:
    """Whose ways to speak: those of PROVIDER, where it is known, else of those who made MODEL."""
    if provider in _PROVIDERS:
        return _PROVIDERS[provider]
    if is_openai(model):
        return "openai"
    name = model.lower().rsplit("/", 1)[-1]
    return next((family for pattern, family in _MODELS if pattern.match(name)), "other")
