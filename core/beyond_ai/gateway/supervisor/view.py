"""The workers together, as the admin listener shows them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from beyond_ai.gateway.admin_view import ProviderStatus
from beyond_ai.gateway.breaker import circuit_breakers
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
        self, generations: Callable[[], Sequence[Generation]], totals: Totals, state: Callable[[], str | None]
    ) -> None:
        self._generations = generations
        self._totals = totals
        self._state = state
        self._consumption = Consumption()

    def not_ready(self) -> str | None:
        """Why no traffic is wanted."""
        reason = self._state()
        if reason is None and not self._generations()[0].serving:
            return "no_workers"
        return reason

    def plugins(self) -> Sequence[Mapping[str, object]]:
        """As the worker that was ready last has them."""
        ready = self._generations()[0].ready
        return [] if ready is None else ready.plugins

    def providers(self) -> Sequence[ProviderStatus]:
        """Of the generation in use, with breakers as they stand for all its workers."""
        generation = self._generations()[0]
        if generation.ready is None or generation.rows is None:
            return []
        policy = breaker_policy(generation.configuration.settings)
        breakers = circuit_breakers(policy, generation.rows, generation.providers)
        return [facts.status(breakers[facts.name]) for facts in generation.ready.providers]

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
