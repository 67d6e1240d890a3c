"""OpenAI: the GPT models.

Authentication and endpoints: https://platform.openai.com/docs/api-reference/authentication

Owns bare `/v1`, so that the stock `openai` SDK needs nothing but another host. A user's key begins with `sk-`
(`sk-proj-` and `sk-svcacct-` included). `OpenAI-Organization` and `OpenAI-Project` choose who is billed.

A Chat stream reports usage only where `stream_options.include_usage` is set, on a chunk of its own:
https://platform.openai.com/docs/api-reference/chat/create#chat-create-stream_options. A stream that its client leaves
stops, by the list at https://openrouter.ai/docs/api-reference/streaming#stream-cancellation.
"""

from collections.abc import Iterator

from beyond_ai import Provider, StreamUsage, hookimpl


@hookimpl
def beyond_providers() -> Iterator[Provider]:
    """OpenAI's record."""
    yield Provider(
        name="openai",
        authority="api.openai.com:443",
        base_path="/v1",
        summary="OpenAI: GPT models; Chat Completions, Responses, Embeddings",
        documentation="https://platform.openai.com/docs/api-reference/authentication",
        key_env="OPENAI_API_KEY",
        bare_paths=("/v1",),
        key_prefixes=("sk-",),
        stream_usage=StreamUsage.OPTION,
    )
