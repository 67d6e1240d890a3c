"""Which headers cross the gateway, each way.

Hop-by-hop headers and those that `Connection` names never do (RFC 9110, section 7.6.1), nor does anything in the
gateway's own namespace `x-beyond-`. With a client's own key everything else passes as sent. On a pool key only an
allow-list passes: `openai-organization`, cookies and the like would act on the shared account.
"""

from typing import Final

from beyond_ai.gateway.request import HeaderKind, Request
from beyond_ai.spec.transport import Headers

POOL_BETAS: Final = frozenset(
    {
        b"claude-code-20250219",
        b"context-management-2025-06-27",
        b"fine-grained-tool-streaming-2025-05-14",
        b"interleaved-thinking-2025-05-14",
        b"output-128k-2025-02-19",
        b"prompt-caching-2024-07-31",
        b"thinking-binding-controls-2026-08-01",
        b"token-efficient-tools-2025-02-19",
    }
)
"""Tokens of `anthropic-beta` that may ride on a pool key: none changes the price or runs anything on the account."""

_POOL_KINDS: Final = frozenset({HeaderKind.ALLOWED, HeaderKind.EXPECT})
_CLIENT_KINDS: Final = frozenset(
    {
        HeaderKind.OTHER,
        HeaderKind.ALLOWED,
        HeaderKind.CREDENTIAL,
        HeaderKind.AUTHORIZATION,
        HeaderKind.ACCEPT_ENCODING,
        HeaderKind.ANTHROPIC_BETA,
        HeaderKind.EXPECT,
    }
)
_IDENTITY: Final = (b"accept-encoding", b"identity")
_RESPONSE_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)


def on_client_key(request: Request, host: bytes) -> Headers:
    """The headers of REQUEST as they go to HOST with the client's own key."""
    named = request.connection
    headers: Headers = [(b"Host", host)]
    for header, kind in zip(request.headers, request.kinds, strict=True):
        if kind in _CLIENT_KINDS and not (named and header[0].lower() in named):
            headers.append(header)
    return headers


def on_pool_key(request: Request, host: bytes, credentials: Headers) -> Headers:
    """The headers of REQUEST as they go to HOST on a pool key, which CREDENTIALS present."""
    named = request.connection
    headers: Headers = [(b"Host", host), _IDENTITY, *credentials]
    for header, kind in zip(request.headers, request.kinds, strict=True):
        if kind in _POOL_KINDS:
            if not (named and header[0].lower() in named):
                headers.append(header)
        elif kind is HeaderKind.ANTHROPIC_BETA and (value := _allowed_betas(header[1])):
            headers.append((header[0], value))
    return headers


def _allowed_betas(value: bytes) -> bytes:
    tokens = (token.strip() for token in value.split(b","))
    return b",".join(token for token in tokens if token in POOL_BETAS)


def to_client(headers: Headers) -> Headers:
    """The provider's HEADERS as they go to the client; `content-length` is left to the framing and dropped here."""
    kept: Headers = []
    named: list[bytes] = []
    for header in headers:
        name = header[0].lower()
        if name == b"connection":
            named += [token.strip().lower() for token in header[1].split(b",")]
        elif name not in _RESPONSE_HOP and name != b"content-length" and not name.startswith(b"x-beyond-"):
            kept.append(header)
    if named and named != [b"keep-alive"]:
        kept = [header for header in kept if header[0].lower() not in named]
    return kept
