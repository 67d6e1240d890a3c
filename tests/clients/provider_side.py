"""What a provider may see of a request, by whose key it carries."""

from typing import Final

from tests.clients.stock import Sdk
from tests.gateway_process import POOL_KEYS, VIRTUAL_KEY, Caller

from beyond_ai.testing import ReceivedRequest

ON_POOL_KEY: Final = frozenset(
    {
        b"host",
        b"accept-encoding",
        b"content-type",
        b"content-length",
        b"transfer-encoding",
        b"accept",
        b"user-agent",
        b"anthropic-version",
        b"anthropic-beta",
        b"expect",
    }
)
"""The only headers that reach a provider beside the pool key."""


def check_received(request: ReceivedRequest, caller: Caller, provider: str, sdk: Sdk) -> None:
    """Check whose key REQUEST carries, and that nothing else of the client's comes with a pool key."""
    assert VIRTUAL_KEY.encode() not in request.head + bytes(request.body)
    assert request.header(b"host") == b"127.0.0.1"
    if caller.managed:
        key = POOL_KEYS[provider].encode()
        name, value = (b"x-api-key", key) if provider == "anthropic" else (b"authorization", b"Bearer " + key)
        assert request.header(name) == value
        assert request.header(b"accept-encoding") == b"identity"
        assert set(request.names) <= ON_POOL_KEY | {name}
    else:
        [(text_name, text)] = sdk.client.auth_headers.items()
        assert request.header(text_name.lower().encode()) == text.encode()
        assert request.header(b"x-stainless-lang") == b"python"
