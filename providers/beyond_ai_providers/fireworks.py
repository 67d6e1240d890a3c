"""Fireworks AI: open models.

Authentication and endpoints: https://docs.fireworks.ai/tools-sdks/openai-compatibility

Its mount is `/inference/v1`, and model names are paths (`accounts/fireworks/models/...`). The same host serves
Anthropic's wire, but with the key in `x-api-key`: reach that by a provider of one's own in the configuration.

A stream has its usage, unasked, on the chunk with the `finish_reason`; the page above names this as a difference from
OpenAI. One that its client leaves stops, by the list at
https://openrouter.ai/docs/api-reference/streaming#stream-cancellation.
"""

from collections.abc import Iterator

from beyond_ai import Provider, hookimpl


@hookimpl
def beyond_providers() -> Iterator[Provider]:
    """Fireworks' record."""
    yield Provider(
        name="fireworks",
        authority="api.fireworks.ai:443",
        base_path="/inference/v1",
        summary="Fireworks AI: open models; Chat Completions, Responses, Embeddings",
        documentation="https://docs.fireworks.ai/tools-sdks/openai-compatibility",
        key_env="FIREWORKS_API_KEY",
    )
