"""Groq: open models on its own inference hardware.

Authentication and endpoints: https://console.groq.com/docs/openai

Its mount is `/openai/v1`, which makes `/groq/openai/v1` the path through the gateway.

The final chunk of a stream has the usage in `x_groq.usage`, unasked; a chunk in OpenAI's form comes in addition where
`include_usage` is set: https://console.groq.com/docs/api-reference#chat-create. Groq finishes, and bills, a stream that
its client has left: https://openrouter.ai/docs/api-reference/streaming#stream-cancellation.
"""

from collections.abc import Iterator

from beyond_ai import Provider, UsageQuirk, hookimpl


@hookimpl
def beyond_providers() -> Iterator[Provider]:
    """Groq's record."""
    yield Provider(
        name="groq",
        authority="api.groq.com:443",
        base_path="/openai/v1",
        summary="Groq: open models, fast; Chat Completions, Responses",
        documentation="https://console.groq.com/docs/openai",
        key_env="GROQ_API_KEY",
        usage=UsageQuirk(paths=(("x_groq", "usage"),)),
        keeps_generating=True,
    )
