"""Groq: open models on its own inference hardware.

Authentication and endpoints: https://console.groq.com/docs/openai

Its mount is `/openai/v1`, which makes `/groq/openai/v1` the path through the gateway. Groq repeats the usage of a
stream in an object of its own, `x_groq`.
"""

from collections.abc import Iterator

from beyond_ai import Provider, hookimpl


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
    )
