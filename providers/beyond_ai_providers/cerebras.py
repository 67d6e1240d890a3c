"""Cerebras: open models on wafer-scale hardware.

Authentication and endpoints: https://inference-docs.cerebras.ai/resources/openai

Answers come so fast that a whole stream may arrive in a few packets. Usage objects travel with a `time_info` object.

The last chunk of a stream has the usage, asked for or not: all recorded streams do, those of clients that never set
`stream_options` among them. Streaming: https://inference-docs.cerebras.ai/capabilities/streaming. Whether a stream
goes on without its client is not documented, so it is not assumed.
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
