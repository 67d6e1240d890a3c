"""Acme: a vendor that speaks OpenAI's wire and reports usage in a way of its own.

What is different, as a real provider's page would say it (name that page in the docstring, as here):

- the last event of a stream has the usage in `x_acme.usage`;
- `prompt_tokens` leaves out what came from the cache, which is `cached_prompt_tokens`;
- `charged_usd` is what the request cost.
"""

from collections.abc import Iterator, Mapping

from beyond_ai import Provider, UsageCounts, UsageQuirk, hookimpl, token_count


def with_cached(report: Mapping[str, object], counts: UsageCounts) -> None:
    """Add cached tokens to the input, where OpenAI's wire has them."""
    cached = token_count(report.get("cached_prompt_tokens"))
    if cached is not None:
        counts.cache_read_tokens = cached
        counts.input_tokens += cached


@hookimpl
def beyond_providers() -> Iterator[Provider]:
    """Acme's record."""
    yield Provider(
        name="acme",
        authority="api.acme.example:443",
        base_path="/v1",
        summary="Acme's models, OpenAI wire",
        documentation="https://docs.acme.example/api",
        key_env="ACME_API_KEY",
        usage=UsageQuirk(paths=(("x_acme", "usage"),), adjust=with_cached, cost="charged_usd"),
    )
