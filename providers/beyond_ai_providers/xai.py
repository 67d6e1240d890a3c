"""xAI: the Grok models.

Authentication and endpoints: https://docs.x.ai/docs/api-reference

On Chat, reasoning tokens come on top of `completion_tokens` instead of within them: `total_tokens` is the sum of
prompt, completion and reasoning. The request's cost comes with every usage object, in ticks, of which a US dollar has
10^10: https://docs.x.ai/developers/cost-tracking.

A Chat stream reports usage only where `stream_options.include_usage` is set, on a chunk of its own, as OpenAI's, with
whose API this one is fully compatible: https://docs.x.ai/developers/rest-api-reference/inference. A stream that its
client leaves stops, by the list at https://openrouter.ai/docs/api-reference/streaming#stream-cancellation.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from beyond_ai import Provider, StreamUsage, UsageCounts, UsageQuirk, hookimpl, token_count

TICKS: Final = 10**10
"""of a US dollar"""


def read_report(report: Mapping[str, object], counts: UsageCounts) -> None:
    """Count reasoning as output where it is not within it, and read server-side tools and the cost."""
    outside = counts.reasoning_tokens
    total = counts.input_tokens + counts.output_tokens
    if outside and report.get("total_tokens") == total + outside:
        counts.output_tokens += outside
    tools = token_count(report.get("num_server_side_tools_used"))
    if tools is not None:
        counts.server_tool_calls = tools
    ticks = token_count(report.get("cost_in_usd_ticks"))
    if ticks is not None:
        counts.upstream_cost_usd = f"{ticks // TICKS}.{ticks % TICKS:010}"


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
        usage=UsageQuirk(adjust=read_report),
        stream_usage=StreamUsage.OPTION,
    )
