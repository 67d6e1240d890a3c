"""Providers: where the models are, and the facts of talking to each.

A `Provider` is data, not code. The gateway reads it once, when it starts, and builds its routing table from it.
A complete plugin:

    from beyond_ai import Provider, hookimpl

    @hookimpl
    def beyond_providers():
        yield Provider(name="acme", authority="api.acme.example:443", base_path="/v1",
                       summary="Acme's models, OpenAI wire", documentation="https://docs.acme.example/api")
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from beyond_ai.spec.markers import hookspec
from beyond_ai.spec.usage import UsageQuirk

_NAME: Final = re.compile(r"[A-Za-z0-9_-]+")
_RESERVED: Final = ("auto", "v1")
"""Not names for a provider: `/v1` is where bare paths begin, `/auto` where the gateway itself will choose."""
_AUTHORITY: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+)):([0-9]{1,5})")
_PATH: Final = re.compile(r"(?:/[A-Za-z0-9._~@:-]+)+")
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE: Final = re.compile(r"[\x20-\x7e]+")


class Dialect(Enum):
    """The wire that a provider speaks unless the path says otherwise: whose error shape and usage object it uses."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"


class KeyScheme(Enum):
    """How a provider wants its key presented."""

    BEARER = "bearer"
    """`Authorization: Bearer KEY` (RFC 6750, section 2.1)"""
    X_API_KEY = "x-api-key"
    """`x-api-key: KEY` (Anthropic)"""
    API_KEY = "api-key"
    """`api-key: KEY` (Azure OpenAI)"""

    def header(self, key: str) -> tuple[bytes, bytes]:
        """The header, name and value, that presents KEY."""
        value = key.encode("ascii")
        if self is KeyScheme.BEARER:
            return b"authorization", b"Bearer " + value
        return self.value.encode("ascii"), value


class StreamUsage(Enum):
    """When a Chat Completions stream of a provider reports usage. Responses and Messages streams always do."""

    ALWAYS = "always"
    """unasked. Also where it is not known: a request is then forwarded as the client wrote it"""
    OPTION = "option"
    """only when the request has `"stream_options": {"include_usage": true}`, which the provider documents"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """One upstream that speaks HTTP.

    Attributes:
        name: the first path segment that selects it; letters, digits, `-` and `_`, case-sensitive.
        authority: `host:port`. TLS is used, with SNI and `Host` set to the part before the port.
        base_path: where the provider mounts its API (`/openai/v1`). Clients write it after the name; the gateway
            forwards paths verbatim and only shows this in listings.
        dialect: the wire of its errors and usage where the path does not tell.
        key_scheme: how a pool key is presented.
        summary: one line for listings.
        documentation: the provider's public page that these facts come from.
        key_env: the variable in which its users keep their own key, for messages.
        bare_paths: path prefixes without a provider segment that belong to it (`/v1/messages`); the longest that
            matches on a segment boundary wins.
        key_prefixes: how its own keys begin (`sk-ant-`). A key that a client brings along is matched with the
            longest of all providers' prefixes to choose between the owners of bare paths.
        key_headers: lower-case names of headers that only this provider's clients use for their key.
        pool_headers: headers added to a request that carries a pool key (attribution).
        usage: how its usage reports differ from the wire's; None where they do not.
        stream_usage: when its Chat streams report usage; with `OPTION` the gateway asks for it on managed requests.
        keeps_generating: whether it is known to finish, and bill, a stream that its client has left; the gateway then
            reads such a stream on, within bounds, for the exact usage.
        transport: the transport to use instead of the configured one, by name; None for the configured one.
        needs_key: False where managed requests are served without a pool key.
        embedded: True for a provider that answers from within the process; `gateway --dev` falls back on it.
    """

    name: str
    authority: str
    base_path: str = ""
    dialect: Dialect = Dialect.OPENAI
    key_scheme: KeyScheme = KeyScheme.BEARER
    summary: str = ""
    documentation: str = ""
    key_env: str = ""
    bare_paths: tuple[str, ...] = ()
    key_prefixes: tuple[str, ...] = ()
    key_headers: tuple[str, ...] = ()
    pool_headers: tuple[tuple[str, str], ...] = ()
    usage: UsageQuirk | None = None
    stream_usage: StreamUsage = StreamUsage.ALWAYS
    keeps_generating: bool = False
    transport: str | None = None
    needs_key: bool = True
    embedded: bool = False

    def check(self) -> None:
        """Raise ValueError or TypeError, naming the attribute, for a record that cannot be routed to."""
        self._check_types()
        check_provider_name(self.name)
        split_authority(self.authority)
        for path in (self.base_path, *self.bare_paths):
            if path and not _PATH.fullmatch(path):
                raise ValueError(f"path {path!r} must start with / and not end with one")
        if "" in self.bare_paths or "" in self.key_prefixes:
            raise ValueError("bare_paths and key_prefixes hold no empty string: it would match everything")
        for name in self.key_headers:
            if not _HEADER_NAME.fullmatch(name) or name != name.lower():
                raise ValueError(f"key_headers: {name!r} is not a header name in lower case")
        for name, value in self.pool_headers:
            if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
                raise ValueError(f"pool_headers: {name!r} is not a header with a printable ASCII value")

    def _check_types(self) -> None:
        for attribute in ("name", "authority", "base_path", "summary", "documentation", "key_env"):
            if not isinstance(getattr(self, attribute), str):
                raise TypeError(f"{attribute} must be a string")
        for attribute in ("bare_paths", "key_prefixes", "key_headers"):
            value = getattr(self, attribute)
            if not isinstance(value, tuple) or not all(isinstance(item, str) for item in value):
                raise TypeError(f"{attribute} must be a tuple of strings")
        for attribute, enum in (("dialect", Dialect), ("key_scheme", KeyScheme), ("stream_usage", StreamUsage)):
            if not isinstance(getattr(self, attribute), enum):
                raise TypeError(f"{attribute} must be one of {', '.join(str(member) for member in enum)}")
        if not isinstance(self.keeps_generating, bool):
            raise TypeError("keeps_generating must be True or False")
        if self.usage is not None:
            if not isinstance(self.usage, UsageQuirk):
                raise TypeError("usage must be a UsageQuirk")
            self.usage.check()


def check_provider_name(name: str) -> None:
    """Raise ValueError when NAME cannot be the first segment of a path."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a name for a provider: use letters, digits, - and _")
    if name in _RESERVED:
        raise ValueError(f"{name!r} is not a name for a provider: /{name} has a meaning of its own")


def split_authority(authority: str) -> tuple[str, int]:
    """Host, without brackets, and port of `host:port` or `[v6]:port`. Raises ValueError."""
    match = _AUTHORITY.fullmatch(authority)
    if match is None or not 0 < int(match[3]) < 65536:
        raise ValueError(f"{authority!r} is not HOST:PORT, for example api.example.com:443")
    return match[1] or match[2], int(match[3])


class ProviderHooks:
    """The hook of the group `beyond_ai.providers`."""

    @hookspec
    def beyond_providers(self) -> Iterable[Provider]:  # type: ignore[empty-body]
        """Yield the providers that this plugin adds.

        Called once, in the main thread, before any socket is open. Yield nothing to offer nothing. An exception
        sets this plugin aside; the others go on. A name that another plugin offers too sets the newcomer aside
        unless `[plugins] prefer` names it.
        """
