"""HTTP/1.1 messages as bytes: what a scripted upstream sends, in every framing that RFC 9112 knows.

Nothing is checked or normalised: headers go out in the order and spelling given, so a test can be as odd as it
needs. Each function says how the body is framed; nothing else is added.
"""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

import orjson

Fields = Iterable[tuple[bytes, bytes]]
"""Header name and value pairs, in order."""

LAST_CHUNK: Final = b"0\r\n\r\n"


def standard_reason(status: int) -> bytes:
    """The reason phrase that RFC 9110 gives STATUS; empty for a number that it does not know."""
    try:
        return HTTPStatus(status).phrase.encode("ascii")
    except ValueError:
        return b""


def response_head(status: int = 200, headers: Fields = (), *, reason: bytes | None = None) -> bytes:
    """A status line, HEADERS and the empty line, with no framing header of its own."""
    phrase = standard_reason(status) if reason is None else reason
    lines = [b"HTTP/1.1 %d %b" % (status, phrase), *(b"%b: %b" % field for field in headers)]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def response(status: int = 200, headers: Fields = (), body: bytes = b"", *, reason: bytes | None = None) -> bytes:
    """A whole response framed by `content-length`, its last header."""
    return response_head(status, [*headers, (b"content-length", b"%d" % len(body))], reason=reason) + body


def chunked_head(status: int = 200, headers: Fields = (), *, reason: bytes | None = None) -> bytes:
    """The head of a chunked response; `chunk(...)` and `LAST_CHUNK` are to follow."""
    return response_head(status, [*headers, (b"transfer-encoding", b"chunked")], reason=reason)


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body. DATA must not be empty: an empty chunk ends the body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def chunked(
    status: int = 200, headers: Fields = (), chunks: Iterable[bytes] = (), *, reason: bytes | None = None
) -> bytes:
    """A whole response in CHUNKS."""
    return chunked_head(status, headers, reason=reason) + b"".join(map(chunk, chunks)) + LAST_CHUNK


def close_delimited(
    status: int = 200, headers: Fields = (), body: bytes = b"", *, reason: bytes | None = None
) -> bytes:
    """A response whose body ends where the connection does; `Close()` has to follow it in the script."""
    return response_head(status, [*headers, (b"connection", b"close")], reason=reason) + body


def json_response(value: object, status: int = 200, headers: Fields = ()) -> bytes:
    """A whole response that carries VALUE as JSON."""
    return response(status, [(b"content-type", b"application/json"), *headers], orjson.dumps(value))


def sse_frame(data: object, event: str | None = None) -> bytes:
    """One server-sent event; DATA is taken as it is when it is bytes, as JSON otherwise."""
    line = b"data: %b\n\n" % (data if isinstance(data, bytes) else orjson.dumps(data))
    return line if event is None else b"event: %b\n%b" % (event.encode(), line)


def sse(frames: Iterable[bytes], headers: Fields = ()) -> bytes:
    """A whole event stream, chunked, each of FRAMES in a chunk of its own."""
    return chunked(200, [(b"content-type", b"text/event-stream"), *headers], frames)


def request(method: bytes, target: bytes, headers: Fields = (), body: bytes | None = None) -> bytes:
    """A whole request; a BODY, even an empty one, adds `content-length` as the last header."""
    framing = () if body is None else ((b"content-length", b"%d" % len(body)),)
    lines = [b"%b %b HTTP/1.1" % (method, target), *(b"%b: %b" % field for field in [*headers, *framing])]
    return b"\r\n".join(lines) + b"\r\n\r\n" + (body or b"")
