"""Echo: the embedded upstream, which answers from within the process. No account, no network, no model.

Speaks OpenAI Chat Completions, OpenAI Responses and Anthropic Messages, so that the gateway and the agent can be
tried, shown and tested end to end. Its rooms: `transport` is the plugin, `exchange` what it opens, `service` chooses
the wire, one file a wire (`chat`, `completions`, `responses`, `messages`, `embeddings`, `models`), and under them what
all wires share: `conversation` and `answer` (what is said), `arguments` (of a tool call), `tokens` (how usage is
counted), `reply`.

The wires are documented at https://platform.openai.com/docs/api-reference and https://docs.claude.com/en/api/messages;
a Chat stream reports usage only where `stream_options.include_usage` is set, as OpenAI's does.
"""

from collections.abc import Iterator

from beyond_ai import Provider, StreamUsage, hookimpl


@hookimpl
def beyond_providers() -> Iterator[Provider]:
    """Echo's record. The authority is a name that never resolves (RFC 2606, section 2): nothing is dialled."""
    yield Provider(
        name="echo",
        authority="echo.invalid:443",
        base_path="/v1",
        summary="Echo: answers from this process, for trying and testing; all three wires",
        documentation="https://platform.openai.com/docs/api-reference",
        stream_usage=StreamUsage.OPTION,
        transport="echo",
        needs_key=False,
        embedded=True,
    )
