"""The workers together, as the admin listener shows them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from beyond_ai.gateway.admin_view import ProviderStatus, Unready, breaker_status, why_not_ready
from beyond_ai.gateway.breaker import CircuitBreaker, circuit_breakers
from beyond_ai.gateway.limits import breaker_policy
from beyond_ai.gateway.metric_families import families, worker_families
from beyond_ai.gateway.supervisor.consumption import Consumption
from beyond_ai.gateway.supervisor.generation import Generation
from beyond_ai.gateway.supervisor.totals import Totals

if TYPE_CHECKING:
    from prometheus_client.core import Metric


class SupervisorView:
    """An `AdminView` over the GENERATIONS, the one in use first. STATE says why no traffic is wanted, if it is not."""

    def __init__(
        self, generations: Callable[[], Sequence[Generation]], totals: Totals, state: Callable[[], Unready | None]
    ) -> None:
        self._generations = generations
        self._totals = totals
        self._state = state
        self._consumption = Consumption()

    def not_ready(self) -> Unready | None:
        """Why no traffic is wanted."""
        reason = self._state()
        if reason is not None:
            return reason
        generation = self._generations()[0]
        if not generation.serving or generation.ready is None:
            return "no_workers"
        breakers = self._breakers(generation)
        return why_not_ready(
            draining=False,
            managed=generation.ready.managed,
            breakers=[
                breaker_status(breakers.get(facts.name)) for facts in generation.ready.providers if facts.managed
            ],
        )

    def plugins(self) -> Sequence[Mapping[str, object]]:
        """As the worker that was ready last has them."""
        ready = self._generations()[0].ready
        return [] if ready is None else ready.plugins

    def providers(self) -> Sequence[ProviderStatus]:
        """Of the generation in use, with breakers as they stand for all its workers."""
        generation = self._generations()[0]
        if generation.ready is None:
            return []
        breakers = self._breakers(generation)
        return [facts.status(breakers.get(facts.name)) for facts in generation.ready.providers]

    def _breakers(self, generation: Generation) -> Mapping[str, CircuitBreaker]:
        settings = generation.configuration.settings
        if generation.rows is None or not settings.circuit_breaker_threshold:
            return {}
        return circuit_breakers(breaker_policy(settings), generation.rows, generation.providers)

    def collect(self) -> "Iterable[Metric]":
        """The families of all live workers of all generations, and of those that have ended."""
        generations = self._generations()
        total, events = self._totals.sum(), self._totals.events()
        for generation in generations:
            generation.add_to(total)
            for worker in generation.workers:
                events.update(worker.events)
        yield from families(total, generations[0].connected(), events)
        pids = [worker.pid for generation in generations for worker in generation.workers]
        resident, cpu = self._consumption.resident(pids), self._consumption.cpu(pids)
        yield from worker_families(len(generations[0].serving), self._totals.restarts, resident, cpu)
