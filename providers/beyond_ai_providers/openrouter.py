"""OpenRouter: many vendors' models behind one account.

Authentication and endpoints: https://openrouter.ai/docs/api-reference/overview

Its mount is `/api/v1`; it serves Anthropic's wire there as well, at `/api/v1/messages`. A request that spends a pool
key names its application (https://openrouter.ai/docs/app-attribution). While a model thinks, OpenRouter keeps the
stream open with SSE comment lines (`: OPENROUTER PROCESSING`).
"""

from collections.abc import Iterator

from beyond_ai import Provider, hookimpl


@hookimpl
def beyond_providers() -> Iterator[Provider]:
    """OpenRouter's record."""
    yield Provider(
        name="openrouter",
        authority="openrouter.ai:443",
        base_path="/api/v1",
        summary="OpenRouter: many vendors' models; Chat Completions, Messages",
        documentation="https://openrouter.ai/docs/api-reference/overview",
        key_env="OPENROUTER_API_KEY",
        pool_headers=(
            ("HTTP-Referer", "https://beyond.build"),
            ("X-OpenRouter-Title", "Beyond Gateway"),
            ("X-OpenRouter-Categories", "cli-agent"),
        ),
    )
