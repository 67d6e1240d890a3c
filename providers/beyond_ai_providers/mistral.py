"""Mistral AI: the Mistral models.

Authentication and endpoints: https://docs.mistral.ai/api/

A stream has its usage on the last chunk, unasked, and `stream_options.include_usage` is refused with 422 as an input
that is not permitted. The service tier is in the usage object, not beside it. Mistral finishes, and bills, a stream
that its client has left: https://openrouter.ai/docs/api-reference/streaming#stream-cancellation.
"""

from collections.abc import Iterator, Mapping

from beyond_ai import Provider, UsageCounts, UsageQuirk, hookimpl


def tier_in_report(report: Mapping[str, object], counts: UsageCounts) -> None:
    """Read the service tier that REPORT has."""
    tier = report.get("service_tier")
    if isinstance(tier, str):
        counts.service_tier = tier


@hookimpl
def beyond_providers() -> Iterator[Provider]:
    """Mistral's record."""
    yield Provider(
        name="mistral",
        authority="api.mistral.ai:443",
        base_path="/v1",
        summary="Mistral AI: Mistral models; Chat Completions, Embeddings",
        documentation="https://docs.mistral.ai/api/",
        key_env="MISTRAL_API_KEY",
        usage=UsageQuirk(adjust=tier_in_report),
        keeps_generating=True,
    )
