"""What the gateway itself refuses, and how it says so.

The body is OpenAI's error object, `{"error":{"message":...,"type":...}}`; on the Anthropic wire it also carries that
wire's outer `"type":"error"`. Every such answer has the header `x-beyond-error-source: gateway`, so that nobody takes
it for the provider's.
"""

import math
from dataclasses import dataclass
from typing import Final

import orjson

from beyond_ai.gateway.rate_limit import Ceiling
from beyond_ai.spec.deny import DenyReason
from beyond_ai.spec.provider import Dialect

MAX_BODY: Final = 104_857_600
"""Bytes of a request body, declared or counted."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """One refusal: `reason` is the label of `ai_rejections_total` (empty: not counted), `retry_after` is in seconds."""

    status: int
    type: str
    message: str
    reason: str = ""
    retry_after: int | None = None
    close: bool = False

    def body(self, dialect: Dialect) -> bytes:
        """The JSON body on the wire DIALECT."""
        error = {"message": self.message, "type": self.type}
        if dialect is Dialect.ANTHROPIC:
            return orjson.dumps({"type": "error", "error": error})
        return orjson.dumps({"error": error})


BAD_REQUEST: Final = Rejection(400, "invalid_request_error", "malformed HTTP request", close=True)
REQUEST_TIMEOUT: Final = Rejection(408, "invalid_request_error", "request not received in time", close=True)
HEAD_TOO_LARGE: Final = Rejection(431, "invalid_request_error", "request head too large", close=True)
UPGRADE: Final = Rejection(400, "invalid_request_error", "protocol upgrades are not supported", close=True)
UNKNOWN_CODING: Final = Rejection(
    501, "invalid_request_error", "only the transfer coding `chunked` is supported", close=True
)
UNKNOWN_PROVIDER: Final = Rejection(404, "invalid_request_error", "unknown provider")
TWO_PROVIDERS: Final = Rejection(
    400, "invalid_request_error", "keys of two providers in one request: name the provider in the path"
)
MISSING_KEY: Final = Rejection(401, "authentication_error", "missing API key")
BODY_TOO_LARGE: Final = Rejection(413, "invalid_request_error", "request body too large", "body_too_large")
INVALID_KEY: Final = Rejection(401, "authentication_error", "invalid API key", "auth")
CANNOT_VERIFY: Final = Rejection(503, "api_error", "API keys cannot be verified now", "auth", retry_after=5)
BODY_MEMORY: Final = Rejection(
    503, "api_error", "too many request bodies are being received", "body_memory", retry_after=1
)
NO_POOL_KEY: Final = Rejection(503, "api_error", "no provider key available", "no_pool_key", retry_after=30)
RATE_LIMITED: Final = {
    ceiling: Rejection(429, "rate_limit_error", "rate limit exceeded", ceiling.value, retry_after=1)
    for ceiling in Ceiling
}
TENANT_BUSY: Final = Rejection(
    429, "rate_limit_error", "too many concurrent requests", "tenant_concurrency", retry_after=1
)
_DENIED: Final = "tenant is over limit or suspended"
DENIED: Final = {
    DenyReason.SPEND: Rejection(402, "access_denied", _DENIED, "deny_spend"),
    DenyReason.FRAUD: Rejection(403, "access_denied", _DENIED, "deny_fraud"),
    DenyReason.UNKNOWN: Rejection(403, "access_denied", _DENIED, "deny_unknown"),
}
UNREACHABLE: Final = Rejection(502, "api_error", "provider could not be reached")
UPSTREAM_FAILED: Final = Rejection(502, "api_error", "upstream failed after receiving the request", close=True)
UPSTREAM_TIMEOUT: Final = Rejection(504, "api_error", "upstream timed out after receiving the request", close=True)
DRAINING: Final = Rejection(503, "api_error", "gateway is shutting down", retry_after=1, close=True)
INTERNAL: Final = Rejection(500, "api_error", "internal gateway error", close=True)


def circuit_open(seconds: float) -> Rejection:
    """The refusal of a request to a provider that has been failing; SECONDS until it may be tried again."""
    retry_after = max(1, math.ceil(seconds))
    return Rejection(503, "api_error", "provider temporarily unavailable", "circuit_open", retry_after=retry_after)


def managed_endpoint(status: int, method: bytes, path: bytes) -> Rejection:
    """The refusal of METHOD on PATH for a managed key: 404 off the list of endpoints, 405 on it."""
    shown = f"{method.decode('ascii', 'replace')} {path.decode('ascii', 'replace')[:200]}"
    return Rejection(
        status,
        "invalid_request_error",
        f"{shown} is not available with a managed key: POST to a generation endpoint, or use your own provider key",
        "managed_endpoint",
    )
