"""xAI: the Grok models.

Authentication and endpoints: https://docs.x.ai/docs/api-reference

Reasoning tokens come on top of `completion_tokens` instead of within them: `total_tokens` is the sum of prompt,
completion and reasoning.
"""

from collections.abc import Iterator

from beyond_ai import Provider, hookimpl


@hookimpl
def beyond_providers() -> Iterator[Provider]:
    """The record of xAI."""
    yield Provider(
        name="xai",
        authority="api.x.ai:443",
        base_path="/v1",
        summary="xAI: Grok models; Chat Completions, Responses",
        documentation="https://docs.x.ai/docs/api-reference",
        key_env="XAI_API_KEY",
    )
