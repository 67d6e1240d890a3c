"""What a process that serves says of itself: its plugins and its providers, as plain values."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from beyond_ai.gateway.admin_view import ProviderStatus
from beyond_ai.gateway.breaker import CircuitBreaker, State

if TYPE_CHECKING:
    from beyond_ai.gateway.assembly import Assembly
    from beyond_ai.registry import Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderFacts:
    """A provider as it is reached, but for what changes."""

    name: str
    authority: str
    dialect: str
    transport: str
    pool_key: bool

    def status(self, breaker: CircuitBreaker | None) -> ProviderStatus:
        """The facts, and where its BREAKER stands; one that there is not is closed."""
        state = State.CLOSED if breaker is None else breaker.state
        return ProviderStatus(**asdict(self), breaker=state.name.lower())


def plugin_rows(registry: "Registry") -> list[Mapping[str, object]]:
    """The rows of `beyond-ai plugins list --json`."""
    return [{**asdict(report), "state": report.state.value} for report in registry.reports]


def provider_facts(assembly: "Assembly") -> list[ProviderFacts]:
    """Every provider that is served."""
    names = {id(transport): name for name, transport in assembly.transports.items()}
    return [
        ProviderFacts(
            name=name,
            authority=upstream.provider.authority,
            dialect=upstream.provider.dialect.value,
            transport=names[id(upstream.transport)],
            pool_key=upstream.secret is not None,
        )
        for name, upstream in assembly.upstreams.items()
    ]
