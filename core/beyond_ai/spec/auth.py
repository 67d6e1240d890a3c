"""Auth schemes: whose credential is this, who is it, and is its key swapped for a pool key.

The gateway finds every credential in a request and asks the schemes in order (`tryfirst`, then by name, then
`trylast`). The first scheme that claims any of them decides; a scheme that swaps keys (`managed`) is asked about
all of them before one that does not. This seam fails closed: an exception is a refusal, and a program whose auth
plugin cannot be created does not start.

    from beyond_ai import AuthScheme, Component, Identity, InvalidCredential, hookimpl

    class TeamTokens:
        managed = True

        def claims(self, credential):
            return credential.startswith("team-")

        def authenticate(self, credential):
            if credential != "team-blue":
                raise InvalidCredential("unknown team")
            return Identity(tenant_id=1)

    @hookimpl
    def beyond_auth_schemes():
        yield Component(name="team", summary="team tokens", create=lambda context: TeamTokens())
"""

from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from beyond_ai.spec.component import Component
from beyond_ai.spec.markers import hookspec


class InvalidCredential(Exception):  # noqa: N818 - named for what it says about the credential
    """The credential is not valid. The text goes to the log at debug level, never to the client."""


class CannotVerify(Exception):  # noqa: N818 - named for what has happened
    """Whether the credential is valid cannot be told now: whom the scheme has to ask is away.

    The request is refused with 503 and `retry-after`, and nothing is logged: the scheme says once what is wrong.
    """


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a valid credential belongs to.

    `tenant_id`, `vpc_id` and `key_id` are unsigned 64-bit numbers; `key_id` is None for a credential that has no
    identity of its own. They go into usage events as they are.
    """

    tenant_id: int = 0
    vpc_id: int = 0
    key_id: int | None = None


@dataclass(frozen=True, slots=True)
class DevCredential:
    """A credential made on the spot for `gateway --dev`, with the signing keys (`kid` to raw public key) it needs."""

    credential: str
    signing_keys: Mapping[int, bytes]


@runtime_checkable
class AuthScheme(Protocol):
    """One kind of credential.

    `managed` says what becomes of a request: True, the credential is removed and a pool key goes in, and a usage
    event is written; False, the request passes through with the client's own key, unbilled.
    """

    managed: bool

    def claims(self, credential: str) -> bool:
        """Tell, from its form alone, whether CREDENTIAL is of this scheme. Must be cheap and must not raise."""
        ...

    def authenticate(self, credential: str) -> Identity | Awaitable[Identity]:
        """Verify CREDENTIAL. Raise `InvalidCredential` to refuse it, `CannotVerify` to refuse it for the moment.

        Return an awaitable only when an answer has to be fetched: the request then waits, with its body unread.
        The gateway does not remember results; a scheme whose check is expensive keeps its own bounded cache.
        """
        ...


@runtime_checkable
class DevAuthScheme(AuthScheme, Protocol):
    """An auth scheme that can make a working credential by itself."""

    def dev_credential(self) -> DevCredential:
        """Return a fresh credential; this scheme accepts it from then on, in this process and nowhere else."""
        ...


class AuthHooks:
    """The hook of the group `beyond_ai.auth`."""

    @hookspec
    def beyond_auth_schemes(self) -> Iterable[Component[AuthScheme]]:  # type: ignore[empty-body]
        """Yield the auth schemes that this plugin adds.

        Called once, when a program starts. Order matters here: mark the implementation `tryfirst` or `trylast` to
        be asked before or after the others; among equals the names decide.
        """
