"""Together AI: open models.

Authentication and endpoints: https://docs.together.ai/docs/inference/openai-compatibility

Model names carry their vendor (`openai/gpt-oss-20b`). The host used to be `api.together.xyz`, which still answers.
"""

from collections.abc import Iterator

from beyond_ai import Provider, hookimpl


@hookimpl
def beyond_providers() -> Iterator[Provider]:
    """Together's record."""
    yield Provider(
        name="together",
        authority="api.together.ai:443",
        base_path="/v1",
        summary="Together AI: open models; Chat Completions, Embeddings",
        documentation="https://docs.together.ai/docs/inference/openai-compatibility",
        key_env="TOGETHER_API_KEY",
    )
