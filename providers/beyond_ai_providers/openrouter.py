"""OpenRouter: many vendors' models behind one account.

Authentication and endpoints: https://openrouter.ai/docs/api-reference/overview

Its mount is `/api/v1`; it serves Anthropic's wire there as well, at `/api/v1/messages`. A request that spends a pool
key names its application (https://openrouter.ai/docs/app-attribution). While a model thinks, OpenRouter keeps the
stream open with SSE comment lines (`: OPENROUTER PROCESSING`).

Usage comes unasked, in a stream on the last event, and `cost` in it is what the account was charged, in credits of one
US dollar (https://openrouter.ai/docs/use-cases/usage-accounting); with a vendor's key of one's own (`is_byok`) that is
OpenRouter's fee alone. Cache writes are in OpenAI's place, `prompt_tokens_details.cache_write_tokens`, and are read
with its wire; those that it reports on Responses are not counted, since that wire has no such count. Whether a stream
that its client leaves goes on depends on the vendor behind it
(https://openrouter.ai/docs/api-reference/streaming#stream-cancellation); most stop, so that reading on would cost more
than it tells.
"""

from collections.abc import Iterator, Mapping

from beyond_ai import Provider, UsageCounts, UsageQuirk, hookimpl, token_count


def server_tools(report: Mapping[str, object], counts: UsageCounts) -> None:
    """Read the web searches that OpenRouter ran, which it counts in an object of its own on the OpenAI wires."""
    details = report.get("server_tool_use_details")
    if isinstance(details, dict):
        searches = token_count(details.get("web_search_requests"))
        if searches is not None:
            counts.server_tool_calls = searches


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
        usage=UsageQuirk(adjust=server_tools, cost="cost"),
        pool_headers=(
            ("HTTP-Referer", "https://beyond.build"),
            ("X-OpenRouter-Title", "Beyond Gateway"),
            ("X-OpenRouter-Categories", "cli-agent"),
        ),
    )
