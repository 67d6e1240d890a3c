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
_POOL_KINDS_MET: Final = frozenset({HeaderKind.ALLOWED})
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
_ANTHROPIC_BETA: Final = HeaderKind.ANTHROPIC_BETA
_IDENTITY: Final = (b"accept-encoding", b"identity")
_END_TO_END, _DROPPED, _CONNECTION, _CONTENT_ENCODING, _CONTENT_LENGTH, _CONTENT_TYPE, _TRANSFER_ENCODING = range(7)
_UNNAMED: Final = (b",keep-alive", b",close", b",Keep-Alive", b",Close")
"""Values of `Connection` that name no header."""
_RESPONSE_KINDS: Final[dict[bytes, int]] = {
    b"connection": _CONNECTION,
    b"content-encoding": _CONTENT_ENCODING,
    b"content-length": _CONTENT_LENGTH,
    b"content-type": _CONTENT_TYPE,
    b"keep-alive": _DROPPED,
    b"proxy-authenticate": _DROPPED,
    b"proxy-connection": _DROPPED,
    b"te": _DROPPED,
    b"trailer": _DROPPED,
    b"transfer-encoding": _TRANSFER_ENCODING,
    b"upgrade": _DROPPED,
}


_MAX_SPELLINGS: Final = 1024
_spellings: Final[dict[bytes, int]] = {}
"""The kinds of names as providers spell them, so that each is looked at once."""


def _response_kind(name: bytes) -> int:
    lower = name.lower()
    kind = _DROPPED if lower.startswith(b"x-beyond-") else _RESPONSE_KINDS.get(lower, _END_TO_END)
    if len(_spellings) < _MAX_SPELLINGS:
        _spellings[name] = kind
    return kind


def header_lines(headers: Headers) -> bytes:
    """HEADERS as they stand in a head, each with its line end."""
    pieces: list[bytes] = []
    for name, value in headers:
        pieces.append(name)
        pieces.append(b": ")
        pieces.append(value)
        pieces.append(b"\r\n")
    return b"".join(pieces)


class ResponseHead:
    """A provider's response headers, as far as they go on to the client.

    `length` is what `content-length` says, in bytes; None when the framing does not tell it. It is not among
    `headers`. `encoding` is all that `content-encoding` says, empty for
    none. `streaming` is whether the content type is an event stream. `lines` are `headers` as they stand in a head.
    """

    __slots__ = ("encoding", "headers", "length", "lines", "streaming")

    def __init__(self, headers: Headers) -> None:
        kept: Headers = []
        named = encoding = b""
        length: int | None = None
        chunked = streaming = False
        spellings = _spellings
        for header in headers:
            name, value = header
            kind = spellings[name] if name in spellings else _response_kind(name)
            if kind == _END_TO_END:
                kept.append(header)
            elif kind == _CONTENT_LENGTH:
                length = int(value)
            elif kind == _CONTENT_TYPE:
                streaming = b"event-stream" in value.lower()
                kept.append(header)
            elif kind == _CONTENT_ENCODING:
                encoding = b"%b,%b" % (encoding, value) if encoding else value
                kept.append(header)
            elif kind == _TRANSFER_ENCODING:
                chunked = True
            elif kind == _CONNECTION:
                named += b"," + value
        if named and named not in _UNNAMED:
            names = [token.strip().lower() for token in named.split(b",")]
            kept = [header for header in kept if header[0].lower() not in names]
        self.encoding = encoding
        self.headers = kept
        self.lines = header_lines(kept)
        self.length = None if chunked else length
        self.streaming = streaming


def on_client_key(request: Request, host: bytes) -> Headers:
    """The headers of REQUEST as they go to HOST with the client's own key."""
    named = request.connection
    headers: Headers = [(b"Host", host)]
    for header, kind in zip(request.headers, request.kinds, strict=True):
        if kind in _CLIENT_KINDS and not (named and header[0].lower() in named):
            headers.append(header)
    return headers


def on_pool_key(request: Request, host: bytes, credentials: Headers, *, expect: bool = True) -> Headers:
    """The headers of REQUEST as they go to HOST on a pool key, which CREDENTIALS present.

    EXPECT is whether an expectation goes on; where the gateway reads the body first, it meets that itself.
    """
    kinds = _POOL_KINDS if expect else _POOL_KINDS_MET
    named = request.connection
    headers: Headers = [(b"Host", host), _IDENTITY, *credentials]
    for header, kind in zip(request.headers, request.kinds, strict=True):
        if kind in kinds:
            if not (named and header[0].lower() in named):
                headers.append(header)
        elif kind is _ANTHROPIC_BETA and (value := _allowed_betas(header[1])):
            headers.append((header[0], value))
    return headers


def _allowed_betas(value: bytes) -> bytes:
    tokens = (token.strip() for token in value.split(b","))
    return b",".join(token for token in tokens if token in POOL_BETAS)
