"""What the admin listener shows of a gateway, and whether that gateway wants traffic.

The listener's application knows an `AdminView` alone, so it does not matter in which process it runs.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from prometheus_client.core import Metric

from beyond_ai.gateway.breaker import CircuitBreaker, State
from beyond_ai.gateway.metrics import Metrics
from beyond_ai.gateway.route import Upstream
from beyond_ai.registry import Registry
from beyond_ai.spec.transport import Transport

BreakerStatus: TypeAlias = Literal["closed", "open", "half_open", "off"]
"""`half_open`: the next request may try, or one is trying; `off`: none is configured."""

Unready: TypeAlias = Literal["draining", "no_pool_keys", "circuit_open"]
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

    def collect(self) -> Iterable[Metric]:
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


def provider_statuses(upstreams: Iterable[Upstream], transports: Mapping[str, Transport]) -> list[ProviderStatus]:
    """UPSTREAMS as they are now, by name; TRANSPORTS are those in use, by theirs."""
    names = {id(transport): name for name, transport in transports.items()}
    return [
        ProviderStatus(
            name=upstream.name,
            authority=upstream.provider.authority,
            dialect=upstream.provider.dialect.value,
            transport=names[id(upstream.transport)],
            breaker=breaker_status(upstream.breaker),
            pool_key=upstream.secret is not None,
        )
        for upstream in sorted(upstreams, key=lambda upstream: upstream.name)
    ]


class ProcessView:
    """The view of a gateway that is one process, this one. MANAGED is whether it has signing keys."""

    def __init__(
        self,
        upstreams: Mapping[str, Upstream],
        transports: Mapping[str, Transport],
        registry: Registry,
        metrics: Metrics,
        *,
        managed: bool,
    ) -> None:
        self.draining = False
        self._upstreams = upstreams
        self._transports = transports
        self._registry = registry
        self._metrics = metrics
        self._managed = managed

    def not_ready(self) -> Unready | None:
        """Why this process wants no traffic."""
        served = [upstream for upstream in self._upstreams.values() if upstream.pool_headers is not None]
        return why_not_ready(
            draining=self.draining,
            managed=self._managed,
            breakers=[breaker_status(upstream.breaker) for upstream in served],
        )

    def plugins(self) -> list[dict[str, object]]:
        """What became of each plugin here."""
        return [report.row() for report in self._registry.reports]

    def providers(self) -> list[ProviderStatus]:
        """All that this process routes to."""
        return provider_statuses(self._upstreams.values(), self._transports)

    def collect(self) -> Iterable[Metric]:
        """Yield what this process counts."""
        return self._metrics.collect()
