"""Which provider a request is for, and on which path.

The first path segment names the provider, exactly; the rest and the query go on byte for byte. Without one, the
longest bare prefix decides (`/v1/messages` is Anthropic's, `/v1` OpenAI's), on a segment boundary. A key that a client
brings to a bare path is asked first: its shape says which of the bare paths' owners it belongs to, so that it never
reaches another.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from beyond_ai.errors import ConfigError
from beyond_ai.gateway.breaker import CircuitBreaker
from beyond_ai.gateway.credentials import Credential
from beyond_ai.gateway.usage import Wire, wire_of
from beyond_ai.spec.provider import Dialect, KeyScheme, Provider, StreamUsage
from beyond_ai.spec.transport import Headers, Transport

MAX_KNOWN: Final = 1024
"""Paths whose route is remembered; clients use a handful."""

_ENDPOINT: Final = re.compile(
    rb"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~:@-]+)*"
    rb"/(?:chat/completions|completions|messages|messages/count_tokens|responses|responses/compact"
    rb"|responses/input_tokens|embeddings)"
)
"""Paths open to managed keys, by their end. Nothing that a server might normalise away is let through: no empty or dot
segment, no percent-encoding, no `;` or `#`."""


@dataclass(slots=True)
class Upstream:
    """A provider as this gateway reaches it: its facts, put in the form that the data path needs."""

    provider: Provider
    name: str
    host: str
    port: int
    host_header: bytes
    transport: Transport
    pool_headers: Headers | None
    """the credential and attribution that go on a managed request; None without a pool key"""
    response_header: bytes
    """the line that tells the client which provider answered"""
    breaker: CircuitBreaker | None = None
    """None where none is configured"""
    secret: bytes | None = None
    """the pool key, which must never reach a client"""


@dataclass(frozen=True, slots=True)
class Route:
    """Where a request goes: `path` is without its query, `endpoint` whether a managed key may POST to it."""

    upstream: Upstream
    path: bytes
    bare: bool
    wire: Wire | None
    endpoint: bool

    @property
    def asks_usage(self) -> bool:
        """Whether a stream has to be asked for its usage, on a managed request."""
        return self.wire is Wire.CHAT and self.upstream.provider.stream_usage is StreamUsage.OPTION

    @property
    def dialect(self) -> Dialect:
        """Whose error shape an answer of ours takes."""
        return self.wire.dialect if self.wire is not None else self.upstream.provider.dialect


class Router:
    """The routing table, built once."""

    def __init__(self, upstreams: Mapping[str, Upstream]) -> None:
        self.upstreams = upstreams
        self._known: dict[bytes, Route] = {}
        self._named = {f"/{name}".encode("ascii"): upstream for name, upstream in upstreams.items()}
        bare = [(path.encode("ascii"), u) for u in upstreams.values() for path in u.provider.bare_paths]
        self._bare = sorted(bare, key=lambda item: len(item[0]), reverse=True)
        owners = {upstream.name: upstream for _, upstream in bare}
        shapes = [(prefix, owner) for owner in owners.values() for prefix in owner.provider.key_prefixes]
        self._shapes = sorted(shapes, key=lambda item: len(item[0]), reverse=True)
        self._key_headers = {
            header.encode("ascii"): owner for owner in owners.values() for header in owner.provider.key_headers
        }

    def route(self, path: bytes) -> Route | None:
        """The route of PATH, as the path alone decides it; None when it is nobody's."""
        route = self._known.get(path)
        if route is None:
            route = self._find(path)
            if route is not None and route.endpoint and len(self._known) < MAX_KNOWN:
                self._known[path] = route
        return route

    def _find(self, path: bytes) -> Route | None:
        end = path.find(b"/", 1)
        upstream = self._named.get(path if end < 0 else path[:end])
        if upstream is not None:
            path = b"/" if end < 0 else path[end:]
            return Route(upstream, path, bare=False, wire=wire_of(path), endpoint=is_endpoint(path))
        for prefix, owner in self._bare:
            if path.startswith(prefix) and (len(path) == len(prefix) or path[len(prefix)] == 0x2F):
                return Route(owner, path, bare=True, wire=wire_of(path), endpoint=is_endpoint(path))
        return None

    def owners_of(self, credentials: Sequence[Credential]) -> list[Upstream]:
        """The owners of bare paths that CREDENTIALS belong to, by shape, else by the header that they stand in."""
        owners: list[Upstream] = []
        for credential in credentials:
            owner = self._owner_by_shape(credential.plain) or self._key_headers.get(credential.place)
            if owner is not None and owner not in owners:
                owners.append(owner)
        return owners

    def _owner_by_shape(self, text: str) -> Upstream | None:
        for prefix, owner in self._shapes:
            if text.startswith(prefix):
                return owner
        return None


def is_endpoint(path: bytes) -> bool:
    """Whether PATH, without its query, is one that a managed key may POST to."""
    return _ENDPOINT.fullmatch(path) is not None


def configured_providers(
    providers: Iterable[Provider],
    authorities: Mapping[str, str],
    dialects: Mapping[str, Dialect],
    key_schemes: Mapping[str, KeyScheme],
) -> dict[str, Provider]:
    """PROVIDERS by name, with what the configuration overrides and adds.

    A known provider's authority can be overridden, its dialect and key scheme are facts. Raises ConfigError.
    """
    table = {provider.name: provider for provider in providers}
    known = set(table)
    for name, authority in authorities.items():
        base = table.get(name) or Provider(name=name, authority=authority, summary="added by configuration")
        table[name] = replace(base, authority=authority)
    for key, values in (("provider_dialects", dialects), ("provider_auth_schemes", key_schemes)):
        for name in values:
            if name in known:
                raise ConfigError(f"{key}.{name}: this is fixed for a provider that is built in", "remove the line")
            if name not in table:
                raise ConfigError(f"{key}.{name}: no such provider", f"add provider_authorities.{name}")
    for name, dialect in dialects.items():
        table[name] = replace(table[name], dialect=dialect)
    for name, scheme in key_schemes.items():
        table[name] = replace(table[name], key_scheme=scheme)
    return table
