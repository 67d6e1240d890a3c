"""Providers: where the models are, and the facts of talking to each.

A `Provider` is data, not code. The gateway reads it once, when it starts, and builds its routing table from it.
A complete plugin:

    from beyond_ai import Provider, hookimpl

    @hookimpl
    def beyond_providers():
        yield Provider(name="acme", authority="api.acme.example:443", base_path="/v1",
                       summary="Acme's models, OpenAI wire", documentation="https://docs.acme.example/api")
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from beyond_ai.spec.markers import hookspec


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
    transport: str | None = None
    needs_key: bool = True
    embedded: bool = False


class ProviderHooks:
    """The hook of the group `beyond_ai.providers`."""

    @hookspec
    def beyond_providers(self) -> Iterable[Provider]:  # type: ignore[empty-body]
        """Yield the providers that this plugin adds.

        Called once, in the main thread, before any socket is open. Yield nothing to offer nothing. An exception
        sets this plugin aside; the others go on. A name that another plugin offers too sets the newcomer aside
        unless `[plugins] prefer` names it.
        """
