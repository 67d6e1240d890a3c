"""One page: request, redirects, limits. No cookies, no credentials, no proxy from the environment."""

import codecs
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urljoin, urlsplit

import httpcore

from beyond_ai import ToolError
from http_get_tool.addresses import CheckedConnections

REDIRECTS: Final = (301, 302, 303, 307, 308)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Of one page: bytes of its body, redirects on the way, and types (`text/*`, `application/json`)."""

    max_bytes: int
    max_redirects: int
    content_types: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """An answer. `cut` is whether its body goes on beyond the limit."""

    url: str
    status: int
    content_type: str
    body: bytes
    charset: str
    cut: bool

    @property
    def text(self) -> str:
        """The body as text; what does not decode is replaced."""
        return self.body.decode(self.charset, "replace")


async def fetch(url: str, limits: Limits, connections: CheckedConnections, progress: Callable[[str], None]) -> Page:
    """The page at URL, or where it redirects to. Raises ToolError, addresses.Refused, and httpcore's errors.

    Each redirect is a new connection, whose address is checked anew.
    """
    async with httpcore.AsyncConnectionPool(
        ssl_context=ssl.create_default_context(), network_backend=connections, max_keepalive_connections=0
    ) as pool:
        for _ in range(limits.max_redirects + 1):
            _check(url)
            headers = {
                "accept": ", ".join(limits.content_types),
                "accept-encoding": "identity",
                "user-agent": "http_get",
            }
            async with pool.stream("GET", url, headers=[*headers.items(), ("host", _host(url))]) as answer:
                fields = {name.lower(): value.decode("latin-1") for name, value in answer.headers}
                location = fields.get(b"location")
                if answer.status not in REDIRECTS or location is None:
                    return await _page(url, answer, fields, limits, progress)
            url = urljoin(url, location)
            progress(f"redirected to {url}\n")
    raise ToolError(f"More than {limits.max_redirects} redirects; the last one leads to {url}.")


async def _page(
    url: str, answer: httpcore.Response, fields: dict[bytes, str], limits: Limits, progress: Callable[[str], None]
) -> Page:
    content_type, _, parameters = fields.get(b"content-type", "").partition(";")
    content_type = content_type.strip().lower()
    if not _is_allowed(content_type, limits.content_types):
        raise ToolError(
            f"{url} is {content_type or 'of no stated type'}; only {', '.join(limits.content_types)} is read."
        )
    if fields.get(b"content-encoding", "identity").lower() != "identity":
        raise ToolError(f"{url} comes compressed, though it was asked not to.")
    body = bytearray()
    async for part in answer.aiter_stream():
        body += part
        progress(f"{answer.status} {url}: {min(len(body), limits.max_bytes)} bytes\n")
        if len(body) > limits.max_bytes:
            break
    return Page(
        url=url,
        status=answer.status,
        content_type=content_type,
        body=bytes(body[: limits.max_bytes]),
        charset=_charset(parameters),
        cut=len(body) > limits.max_bytes,
    )


def _check(url: str) -> None:
    """Refuse what is not plain HTTP to a named host. A password in a URL would be somebody's."""
    try:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ToolError(f"{url} is no http or https URL.")
        if parts.username is not None or parts.password is not None:
            raise ToolError("A URL with a user name or password in it is not asked.")
        _ = parts.port
    except ValueError as error:
        raise ToolError(f"{url} is no URL: {error}") from None


def _host(url: str) -> str:
    return urlsplit(url).netloc


def _is_allowed(content_type: str, allowed: tuple[str, ...]) -> bool:
    kind = content_type.partition("/")[0]
    return content_type in allowed or f"{kind}/*" in allowed


def _charset(parameters: str) -> str:
    named = re.search(r"""charset\s*=\s*["']?([\w.:-]+)""", parameters, re.IGNORECASE)
    try:
        return codecs.lookup(named[1]).name if named else "utf-8"
    except LookupError:
        return "utf-8"
