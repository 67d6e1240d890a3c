"""Answers as bytes: header lines, and a whole refusal of the gateway's own."""

from typing import Final

from beyond_ai.gateway.headers import header_lines
from beyond_ai.gateway.rejection import Rejection
from beyond_ai.spec.provider import Dialect
from beyond_ai.spec.transport import Headers

_REASONS: Final = {
    400: b"Bad Request",
    401: b"Unauthorized",
    402: b"Payment Required",
    403: b"Forbidden",
    404: b"Not Found",
    405: b"Method Not Allowed",
    408: b"Request Timeout",
    413: b"Content Too Large",
    429: b"Too Many Requests",
    431: b"Request Header Fields Too Large",
    500: b"Internal Server Error",
    501: b"Not Implemented",
    502: b"Bad Gateway",
    503: b"Service Unavailable",
    504: b"Gateway Timeout",
}


def whole_refusal(rejection: Rejection, dialect: Dialect, request_id: str, extra: Headers, *, head_only: bool) -> bytes:
    """REJECTION on the wire DIALECT as a whole response, with EXTRA headers; for HEAD_ONLY without its body."""
    body = rejection.body(dialect)
    headers: Headers = [
        *extra,
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"x-beyond-request-id", request_id.encode("ascii")),
        (b"x-beyond-error-source", b"gateway"),
    ]
    if rejection.retry_after is not None:
        headers.append((b"retry-after", b"%d" % rejection.retry_after))
    head = b"HTTP/1.1 %d %b\r\n%b\r\n" % (rejection.status, _REASONS[rejection.status], header_lines(headers))
    return head if head_only else head + body
