"""One request head as it was parsed, with what the gateway needs to know of it read out in a single pass."""

from enum import IntEnum
from functools import lru_cache
from typing import Final

from beyond_ai.spec.transport import Headers


class HeaderKind(IntEnum):
    """What the gateway does with a request header, by its name."""

    OTHER = 0
    """forwarded with a client's own key, dropped on a pool key"""
    ALLOWED = 1
    """forwarded always"""
    HOP = 2
    """meant for the next hop only (RFC 9110, section 7.6.1)"""
    CONNECTION = 3
    HOST = 4
    CONTENT_LENGTH = 5
    TRANSFER_ENCODING = 6
    CREDENTIAL = 7
    AUTHORIZATION = 8
    PRIVATE = 9
    """`x-beyond-*`: the gateway's own namespace"""
    ACCEPT_ENCODING = 10
    ANTHROPIC_BETA = 11
    EXPECT = 12


_KINDS: Final[dict[bytes, HeaderKind]] = {
    b"accept": HeaderKind.ALLOWED,
    b"accept-encoding": HeaderKind.ACCEPT_ENCODING,
    b"anthropic-beta": HeaderKind.ANTHROPIC_BETA,
    b"anthropic-version": HeaderKind.ALLOWED,
    b"api-key": HeaderKind.CREDENTIAL,
    b"authorization": HeaderKind.AUTHORIZATION,
    b"connection": HeaderKind.CONNECTION,
    b"content-length": HeaderKind.CONTENT_LENGTH,
    b"content-type": HeaderKind.ALLOWED,
    b"expect": HeaderKind.EXPECT,
    b"host": HeaderKind.HOST,
    b"http2-settings": HeaderKind.HOP,
    b"keep-alive": HeaderKind.HOP,
    b"te": HeaderKind.HOP,
    b"trailer": HeaderKind.HOP,
    b"traceparent": HeaderKind.ALLOWED,
    b"tracestate": HeaderKind.ALLOWED,
    b"transfer-encoding": HeaderKind.TRANSFER_ENCODING,
    b"upgrade": HeaderKind.HOP,
    b"user-agent": HeaderKind.ALLOWED,
    b"x-api-key": HeaderKind.CREDENTIAL,
    b"x-goog-api-key": HeaderKind.CREDENTIAL,
}


_HOP: Final = HeaderKind.HOP
_CREDENTIAL: Final = HeaderKind.CREDENTIAL
_AUTHORIZATION: Final = HeaderKind.AUTHORIZATION
_CONTENT_LENGTH: Final = HeaderKind.CONTENT_LENGTH
_TRANSFER_ENCODING: Final = HeaderKind.TRANSFER_ENCODING
_CONNECTION: Final = HeaderKind.CONNECTION
_EXPECT: Final = HeaderKind.EXPECT


@lru_cache(maxsize=1024)
def header_kind(name: bytes) -> HeaderKind:
    """The kind of the header NAME, in any spelling."""
    name = name.lower()
    kind = _KINDS.get(name)
    if kind is not None:
        return kind
    if name.startswith(b"proxy-"):
        return HeaderKind.HOP
    if name.startswith(b"x-beyond-"):
        return HeaderKind.PRIVATE
    return HeaderKind.OTHER


class Request:
    """A request head.

    `headers` are as sent; `kinds` runs beside them. `keys` holds header values that may be credentials, in order of
    precedence: `x-api-key`, `api-key`, `x-goog-api-key`, then `authorization` as sent with its scheme.
    """

    __slots__ = (
        "authorization",
        "chunked",
        "connection",
        "content_length",
        "expects_continue",
        "headers",
        "http10",
        "keep_alive",
        "keys",
        "kinds",
        "method",
        "started",
        "target",
        "unknown_coding",
        "upgrade",
    )

    def __init__(self) -> None:
        self.method = b""
        self.target = b""
        self.headers: Headers = []
        self.kinds: list[HeaderKind] = []
        self.keys: list[tuple[bytes, bytes]] = []
        self.authorization: list[bytes] = []
        self.connection: list[bytes] = []
        self.content_length: int | None = None
        self.chunked = False
        self.unknown_coding = False
        self.expects_continue = False
        self.http10 = False
        self.keep_alive = True
        self.upgrade = False
        self.started = 0.0

    @property
    def has_body(self) -> bool:
        """Whether the head announces a body of at least one byte."""
        return self.chunked or bool(self.content_length)

    def add_header(self, name: bytes, value: bytes) -> None:
        """Take the next header."""
        kind = header_kind(name)
        self.headers.append((name, value))
        self.kinds.append(kind)
        if kind <= _HOP:
            return
        if kind is _AUTHORIZATION:
            self.authorization.append(value)
        elif kind is _CONTENT_LENGTH:
            self.content_length = int(value)
        elif kind is _CREDENTIAL:
            self.keys.append((name.lower(), value))
        elif kind is _TRANSFER_ENCODING:
            self.chunked = True
            self.unknown_coding = value.strip().lower() != b"chunked"
        elif kind is _CONNECTION:
            self.connection += [token.strip().lower() for token in value.split(b",")]
        elif kind is _EXPECT:
            self.expects_continue = value.strip().lower() == b"100-continue"


def origin_form(target: bytes) -> bytes:
    """TARGET as path and query; an absolute URI (RFC 9112, section 3.2.2) loses its scheme and authority."""
    if target.startswith(b"/"):
        return target
    scheme, separator, rest = target.partition(b"://")
    if separator and scheme.lower() in (b"http", b"https"):
        slash = rest.find(b"/")
        return rest[slash:] if slash >= 0 else b"/"
    return target
