"""What the admin listener shows of a gateway, and whether that gateway wants traffic.

The listener's application knows an `AdminView` alone, so it does not matter in which process it runs.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from beyond_ai.gateway.breaker import CircuitBreaker, State

if TYPE_CHECKING:
    from prometheus_client.core import Metric

BreakerStatus: TypeAlias = Literal["closed", "open", "half_open", "off"]
"""`half_open`: the next request may try, or one is trying; `off`: none is configured."""

Unready: TypeAlias = Literal["starting", "no_workers", "draining", "no_pool_keys", "circuit_open"]
"""Why a gateway wants no traffic."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderStatus:
    """A provider as this gateway reaches it now; `authority` is `host:port`, `transport` the plugin that goes there."""

    name: str
    authority: str
    dialect: str
    transport: str
    breaker: BreakerStatus
    pool_key: bool
    """whether there is one"""


class AdminView(Protocol):
    """A gateway, as its operator may see it. Nothing that it returns holds a secret."""

    def not_ready(self) -> str | None:
        """Why it wants no traffic; None when it does."""
        ...

    def plugins(self) -> Sequence[Mapping[str, object]]:
        """The rows of `plugins list --json`."""
        ...

    def providers(self) -> Sequence[ProviderStatus]:
        """All that it routes to, by name."""
        ...

    def collect(self) -> "Iterable[Metric]":
        """Yield its metric families, as prometheus-client asks for them."""
        ...


def why_not_ready(*, draining: bool, managed: bool, breakers: Collection[BreakerStatus]) -> Unready | None:
    """Why a gateway wants no traffic: it drains, or would refuse every managed request. None when it does.

    MANAGED is whether virtual keys are served at all; without them a client's own key is all that is needed. BREAKERS
    are those of the providers that are open to virtual keys. NATS is not asked: without it everything is served.
    """
    if draining:
        return "draining"
    if not managed:
        return None
    if not breakers:
        return "no_pool_keys"
    return "circuit_open" if all(breaker == "open" for breaker in breakers) else None


def breaker_status(breaker: CircuitBreaker | None) -> BreakerStatus:
    """Where BREAKER stands, in an operator's words."""
    if breaker is None:
        return "off"
    state = breaker.state
    if state is State.CLOSED:
        return "closed"
    return "open" if state is State.OPEN else "half_open"
