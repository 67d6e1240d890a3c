"""The limits that the settings set, in the form that the rooms of the gateway take them."""

from typing import TYPE_CHECKING

from beyond_ai.gateway.breaker import BreakerPolicy

if TYPE_CHECKING:
    from beyond_ai.config import Settings


def breaker_policy(settings: "Settings") -> BreakerPolicy:
    """When a circuit breaker opens."""
    return BreakerPolicy(
        settings.circuit_breaker_threshold, settings.circuit_breaker_window_secs, settings.circuit_breaker_reset_secs
    )
