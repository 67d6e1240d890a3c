"""What a process that serves says of itself: its plugins and its providers, as plain values."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from beyond_ai.gateway.admin_view import ProviderStatus, breaker_status
from beyond_ai.gateway.breaker import CircuitBreaker

if TYPE_CHECKING:
    from beyond_ai.gateway.assembly import Assembly
    from beyond_ai.registry import Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderFacts:
    """A provider as it is reached, but for what changes. `managed` is whether it is open to virtual keys."""

    name: str
    authority: str
    dialect: str
    transport: str
    pool_key: bool
    managed: bool

    def status(self, breaker: CircuitBreaker | None) -> ProviderStatus:
        """The facts, and where its BREAKER stands."""
        return ProviderStatus(
            name=self.name,
            authority=self.authority,
            dialect=self.dialect,
            transport=self.transport,
            breaker=breaker_status(breaker),
            pool_key=self.pool_key,
        )


def plugin_rows(registry: "Registry") -> list[Mapping[str, object]]:
    """The rows of `beyond-ai plugins list --json`."""
    return [report.row() for report in registry.reports]


def serves_managed(assembly: "Assembly") -> bool:
    """Whether virtual keys are served at all."""
    return bool(assembly.settings.signing_keys) or assembly.dev_credential is not None


def provider_facts(assembly: "Assembly") -> list[ProviderFacts]:
    """Every provider that is served, by name."""
    names = {id(transport): name for name, transport in assembly.transports.items()}
    return [
        ProviderFacts(
            name=name,
            authority=upstream.provider.authority,
            dialect=upstream.provider.dialect.value,
            transport=names[id(upstream.transport)],
            pool_key=upstream.secret is not None,
            managed=upstream.pool_headers is not None,
        )
        for name, upstream in sorted(assembly.upstreams.items())
    ]
