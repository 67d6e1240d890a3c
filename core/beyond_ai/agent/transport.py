"""Asks models over HTTP: the one `ModelTransport` that leaves the machine.

One request, one answer, no retries: these live in the loop. There is a limit to the wait for a connection and for each
next byte, none to the whole. httpx is imported when the first request goes out.
"""

import asyncio
import contextlib
import json
import os
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from beyond_ai.agent.dialects.choice import dialect_name, dialect_of, provider_of
from beyond_ai.agent.dialects.dialect import Decoder, DialectName, WireOptions, WireRequest
from beyond_ai.agent.dialects.failures import error_of, http_failure, stream_failure
from beyond_ai.agent.dialects.sse import EventFramer
from beyond_ai.agent.failure import ModelFailure
from beyond_ai.agent.model import LeftOut, ModelFacts, ModelRequest, StreamEvent
from beyond_ai.agent.models import model_facts
from beyond_ai.spec.conversation import JsonObject

if TYPE_CHECKING:
    import httpx

PayloadHook = Callable[[JsonObject], Awaitable[JsonObject]]
"""Rewrites the body of a request in its provider's words, right before it is sent."""

CONNECT_SECONDS: Final = 10.0
IDLE_SECONDS: Final = 600.0
LAST_WORDS_SECONDS: Final = 10.0
"""How long usage is waited for once an answer is complete but its stream is still open."""
DRAIN_SECONDS: Final = 0.25
"""How long the end of a body is waited for, so that its connection can be used again."""
MAX_ERROR_BYTES: Final = 256 * 1024

_HIDDEN: Final = "[key]"
_LIKE_THIS: Final = "--gateway-url, or AI_GATEWAY_URL, is not the URL of a gateway: it looks like http://127.0.0.1:8080"


class HttpModelTransport:
    """Models behind BASE_URL, the gateway's or a provider's, for KEY.

    DIALECT overrides what the model's id says. FACTS tells of models. CACHE marks what providers may cache.
    `rewrite_payload` may be set later: the loop knows the hooks.
    """

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        dialect: DialectName | None = None,
        facts: Callable[[str], ModelFacts] = model_facts,
        cache: bool = True,
        connect_seconds: float = CONNECT_SECONDS,
        idle_seconds: float = IDLE_SECONDS,
        rewrite_payload: PayloadHook | None = None,
    ) -> None:
        self.rewrite_payload = rewrite_payload
        self._base_url = base_url.rstrip("/").removesuffix("/v1")
        self._key = key
        self._dialect = dialect
        self._facts = facts
        self._options = WireOptions(provider=provider_of(base_url), cache=cache)
        self._connect_seconds = connect_seconds
        self._idle_seconds = idle_seconds
        self._client: httpx.AsyncClient | None = None
        self._where = _authority(base_url)
        self._flaw = _flaw(base_url, key)

    def facts(self, model: str) -> ModelFacts:
        """What is known of MODEL."""
        return self._facts(model)

    def dialect(self, model: str) -> DialectName:
        """The dialect that MODEL is spoken to in."""
        return dialect_name(model, self._dialect)

    async def stream(self, request: ModelRequest) -> AsyncGenerator[StreamEvent, None]:
        """The answer to REQUEST. Closing it closes the connection at once: the provider stops there and then."""
        if self._flaw is not None:
            raise ModelFailure("config", self._flaw)
        dialect = dialect_of(self.dialect(request.model))
        wire = dialect.encode(request, self.facts(request.model), self._options)
        if request.temperature is not None and "temperature" not in wire.body:
            yield LeftOut(setting="temperature")
        body = wire.body if self.rewrite_payload is None else await self.rewrite_payload(wire.body)
        try:
            async with contextlib.aclosing(self._exchange(wire, body, dialect.decoder())) as events:
                async for event in events:
                    yield event
        except ModelFailure as failure:
            raise self._without_key(failure) from None

    async def aclose(self) -> None:
        """Close all connections."""
        if self._client is not None:
            client, self._client = self._client, None
            await client.aclose()

    async def _exchange(
        self, wire: WireRequest, body: JsonObject, decoder: Decoder
    ) -> AsyncGenerator[StreamEvent, None]:
        import httpx

        content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        try:
            client = self._open()
            exchange = client.stream("POST", self._base_url + wire.path, content=content, headers=self._headers(wire))
            async with exchange as response:
                if response.status_code != 200:
                    raise http_failure(response.status_code, await _beginning(response), response.headers)
                await _expect_stream(response, self._where)
                async with contextlib.aclosing(_events(response, decoder)) as events:
                    async for event in events:
                        yield event
        except httpx.HTTPError as error:
            raise self._failure(error) from None
        except (httpx.InvalidURL, UnicodeError) as error:
            raise ModelFailure("config", f"AI_GATEWAY_URL holds what no URL can be: {error}") from None

    def _open(self) -> "httpx.AsyncClient":
        """The client, made when it is first needed."""
        if self._client is None:
            import httpx

            parts = urlsplit(self._base_url)
            tls = parts.scheme == "https"
            self._client = httpx.AsyncClient(
                # What TLS needs takes tens of milliseconds to load: not for a gateway on plain HTTP.
                verify=_tls_context() if tls else False,
                http2=tls and find_spec("h2") is not None,
                # No proxy on the way to this machine itself.
                trust_env=parts.hostname not in ("localhost", "127.0.0.1", "::1"),
                timeout=httpx.Timeout(self._idle_seconds, connect=self._connect_seconds, pool=self._connect_seconds),
                limits=httpx.Limits(max_keepalive_connections=4, keepalive_expiry=60.0),
            )
        return self._client

    def _headers(self, wire: WireRequest) -> dict[str, str]:
        from beyond_ai.version import VERSION

        return {
            "authorization": f"Bearer {self._key}",
            "content-type": "application/json",
            "accept": "text/event-stream",
            "accept-encoding": "identity",
            "user-agent": f"beyond-ai/{VERSION}",
            **wire.headers,
        }

    def _failure(self, error: "httpx.HTTPError") -> ModelFailure:
        """What ERROR, of httpx, means."""
        import httpx

        said = str(error) or type(error).__name__
        if isinstance(error, httpx.ConnectTimeout):
            waited = f"within {self._connect_seconds:g} s"
            return ModelFailure("timeout", f"{self._where} could not be reached {waited}", retryable=True)
        if isinstance(error, httpx.ConnectError | httpx.ProxyError):
            hint = "is the gateway running, and AI_GATEWAY_URL right?"
            return ModelFailure("network", f"{self._where} cannot be reached ({said}): {hint}", retryable=True)
        if isinstance(error, httpx.TimeoutException):
            silent = f"sent nothing for {self._idle_seconds:g} s"
            return ModelFailure("timeout", f"{self._where} {silent}", retryable=True)
        return ModelFailure("network", f"the connection to {self._where} broke ({said})", retryable=True)

    def _without_key(self, failure: ModelFailure) -> ModelFailure:
        """FAILURE with the key, should a server repeat it, taken out."""
        if not self._key or self._key not in failure.message:
            return failure
        return ModelFailure(
            failure.code,
            failure.message.replace(self._key, _HIDDEN),
            retryable=failure.retryable,
            retry_after=failure.retry_after,
            status=failure.status,
        )


async def _events(response: "httpx.Response", decoder: Decoder) -> AsyncGenerator[StreamEvent, None]:
    """What the body of RESPONSE says, up to the end of the answer."""
    framer = EventFramer()
    chunks = response.aiter_bytes()
    while not decoder.ended and (chunk := await _next_chunk(chunks, decoder)) is not None:
        for event in framer.feed(chunk):
            for said in decoder.feed(event):
                yield said
    if not decoder.ended:
        for event in framer.finish():
            for said in decoder.feed(event):
                yield said
        for said in decoder.finish():
            yield said
    with contextlib.suppress(Exception):
        async with asyncio.timeout(DRAIN_SECONDS):
            async for _ in chunks:
                pass


async def _next_chunk(chunks: AsyncIterator[bytes], decoder: Decoder) -> bytes | None:
    """The next of CHUNKS; None at their end, or when nothing more is needed and nothing more comes."""
    import httpx

    may_end = decoder.may_end
    try:
        async with asyncio.timeout(LAST_WORDS_SECONDS if may_end else None):
            return await anext(chunks, None)
    except (httpx.HTTPError, TimeoutError):
        if may_end:
            return None
        raise


async def _beginning(response: "httpx.Response") -> bytes:
    """The body of RESPONSE, or as much of it as comes."""
    import httpx

    body = bytearray()
    with contextlib.suppress(httpx.HTTPError):
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) >= MAX_ERROR_BYTES:
                break
    return bytes(body)


async def _expect_stream(response: "httpx.Response", where: str) -> None:
    """Raise ModelFailure when RESPONSE, a success, is not a stream."""
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in ("", "text/event-stream", "application/octet-stream", "text/plain"):
        return
    if kind.endswith("json"):
        with contextlib.suppress(ValueError):
            body: object = json.loads(await _beginning(response))
            if isinstance(body, dict) and (error := error_of(body)) is not None:
                raise stream_failure(error)
    raise ModelFailure(
        "config", f"{where} answered with {kind} instead of a stream: does AI_GATEWAY_URL lead to a model?"
    )


def _tls_context() -> ssl.SSLContext:
    """A context that trusts the system's roots, or certifi's where the system has none."""
    context = ssl.create_default_context()
    paths = ssl.get_default_verify_paths()
    if not paths.cafile and not (paths.capath and os.listdir(paths.capath)):
        import certifi

        context.load_verify_locations(certifi.where())
    return context


def _authority(base_url: str) -> str:
    """Host and port of BASE_URL, for people: no path, and no password."""
    try:
        return urlsplit(base_url).netloc.rpartition("@")[2]
    except ValueError:
        return ""


def _flaw(base_url: str, key: str) -> str | None:
    """Why nothing can be asked at BASE_URL with KEY, neither of which it repeats; None when there is no reason."""
    try:
        parts = urlsplit(base_url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and not parts.query
    except ValueError:
        return _LIKE_THIS
    if not good or not base_url.isprintable() or " " in base_url:
        return _LIKE_THIS
    if parts.username is not None or parts.password is not None:
        return "AI_GATEWAY_URL holds a user's name or a password: the key alone is sent, set AI_AGENT_KEY"
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        return "AI_AGENT_KEY, or --key, holds what no key can be"
    return None
