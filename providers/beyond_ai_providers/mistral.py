"""Mistral AI: the Mistral models.

Authentication and endpoints: https://docs.mistral.ai/api/

A stream ends with its usage whether or not `stream_options` asks for it.
"""

from collections.abc import Iterator

from beyond_ai import Provider, hookimpl


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
    )
