"""DeepSeek: the DeepSeek models.

Authentication and endpoints: https://api-docs.deepseek.com/

The `/v1` of its mount has nothing to do with a model's version; paths without it work too. Cached prompt tokens are
reported flat in the usage object, as `prompt_cache_hit_tokens` and `prompt_cache_miss_tokens`.
"""

from collections.abc import Iterator

from beyond_ai import Provider, hookimpl


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
    )
