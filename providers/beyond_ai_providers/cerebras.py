"""Cerebras: open models on wafer-scale hardware.

Authentication and endpoints: https://inference-docs.cerebras.ai/resources/openai

Answers come so fast that a whole stream may arrive in a few packets. Usage objects travel with a `time_info` object.
"""

from collections.abc import Iterator

from beyond_ai import Provider, hookimpl


@hookimpl
def beyond_providers() -> Iterator[Provider]:
    """Cerebras' record."""
    yield Provider(
        name="cerebras",
        authority="api.cerebras.ai:443",
        base_path="/v1",
        summary="Cerebras: open models, very fast; Chat Completions",
        documentation="https://inference-docs.cerebras.ai/resources/openai",
        key_env="CEREBRAS_API_KEY",
    )
