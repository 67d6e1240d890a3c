"""DeepSeek: the DeepSeek models.

Authentication and endpoints: https://api-docs.deepseek.com/

The `/v1` of its mount has nothing to do with a model's version; paths without it work too. Cached prompt tokens are
reported flat in the usage object, as `prompt_cache_hit_tokens` and `prompt_cache_miss_tokens`
(https://api-docs.deepseek.com/guides/kv_cache); newer models report them in OpenAI's place as well.

The last chunk of a stream has the usage whether or not `include_usage` is set, and there is no chunk for it alone:
https://api-docs.deepseek.com/api/create-chat-completion. A stream that its client leaves stops, by the list at
https://openrouter.ai/docs/api-reference/streaming#stream-cancellation.
"""

from collections.abc import Iterator, Mapping

from beyond_ai import Provider, UsageCounts, UsageQuirk, hookimpl, token_count


def flat_cache_hits(report: Mapping[str, object], counts: UsageCounts) -> None:
    """Read the cache hits that REPORT has at its root, unless it has them in OpenAI's place too."""
    details = report.get("prompt_tokens_details")
    hits = token_count(report.get("prompt_cache_hit_tokens"))
    if hits is not None and not (isinstance(details, dict) and "cached_tokens" in details):
        counts.cache_read_tokens = hits


@hookimpl
def beyond_providers() -> Iterator[Provider]:
    """DeepSeek's record."""
    yield Provider(
        name="deepseek",
        authority="api.deepseek.com:443",
        base_path="/v1",
        summary="DeepSeek: DeepSeek models; Chat Completions",
        documentation="https://api-docs.deepseek.com/",
        key_env="DEEPSEEK_API_KEY",
        usage=UsageQuirk(adjust=flat_cache_hits),
    )
