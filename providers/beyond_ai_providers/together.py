"""Together AI: open models.

Authentication and endpoints: https://docs.together.ai/docs/inference/openai-compatibility

Model names carry their vendor (`openai/gpt-oss-20b`). The host used to be `api.together.xyz`, which still answers.

Cached prompt tokens are flat in the usage object, as `cached_tokens`. A stream has its usage, unasked, on the chunk
with the `finish_reason`: https://docs.together.ai/reference/chat-completions. One that its client leaves stops, by the
list at https://openrouter.ai/docs/api-reference/streaming#stream-cancellation.
"""

from collections.abc import Iterator, Mapping

from beyond_ai import Provider, UsageCounts, UsageQuirk, hookimpl, token_count


def flat_cached_tokens(report: Mapping[str, object], counts: UsageCounts) -> None:
    """Read the cached tokens that REPORT has at its root, unless it has them in OpenAI's place too."""
    details = report.get("prompt_tokens_details")
    cached = token_count(report.get("cached_tokens"))
    if cached is not None and not (isinstance(details, dict) and "cached_tokens" in details):
        counts.cache_read_tokens = cached


@hookimpl
def beyond_providers() -> Iterator[Provider]:
    """Together's record."""
    yield Provider(
        name="together",
        authority="api.together.ai:443",
        base_path="/v1",
        summary="Together AI: open models; Chat Completions, Embeddings",
        documentation="https://docs.together.ai/docs/inference/openai-compatibility",
        key_env="TOGETHER_API_KEY",
        usage=UsageQuirk(adjust=flat_cached_tokens),
    )
