"""Anthropic: the Claude models.

Authentication and endpoints: https://docs.claude.com/en/api/overview

The key goes bare into `x-api-key`, and every request names its version in `anthropic-version`. There is no base
path: the SDK's base URL is the host alone and the endpoint is `/v1/messages`, which is owned here on bare paths too.

Messages streams report usage unasked, in `message_start` and `message_delta`:
https://docs.claude.com/en/docs/build-with-claude/streaming. One that its client leaves stops, by the list at
https://openrouter.ai/docs/api-reference/streaming#stream-cancellation.
"""

from collections.abc import Iterator

from beyond_ai import Dialect, KeyScheme, Provider, hookimpl


@hookimpl
def beyond_providers() -> Iterator[Provider]:
    """Anthropic's record."""
    yield Provider(
        name="anthropic",
        authority="api.anthropic.com:443",
        dialect=Dialect.ANTHROPIC,
        key_scheme=KeyScheme.X_API_KEY,
        summary="Anthropic: Claude models; Messages",
        documentation="https://docs.claude.com/en/api/overview",
        key_env="ANTHROPIC_API_KEY",
        bare_paths=("/v1/messages",),
        key_prefixes=("sk-ant-",),
        key_headers=("x-api-key",),
    )
