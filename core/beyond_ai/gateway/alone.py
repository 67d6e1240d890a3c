"""The gateway in one process, as `--dev` runs it: both listeners in one event loop, and nobody to restart it."""

import asyncio
import signal
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from beyond_ai.gateway.admin_listener import admin_listener
from beyond_ai.gateway.admin_view import ProviderStatus, Unready, breaker_status, why_not_ready
from beyond_ai.gateway.assembly import Assembly
from beyond_ai.gateway.breaker import CircuitBreaker
from beyond_ai.gateway.metric_cells import SECTION, Sum, keys
from beyond_ai.gateway.metric_families import families
from beyond_ai.gateway.report import plugin_rows, provider_facts, serves_managed
from beyond_ai.gateway.server import ClientServer
from beyond_ai.gateway.sockets import fast_loop

if TYPE_CHECKING:
    from prometheus_client.core import Metric


class ProcessView:
    """An `AdminView` of this process. LEAVING says whether it stops; PUBLISH puts what was counted into its row."""

    def __init__(self, assembly: Assembly, leaving: Callable[[], bool], publish: Callable[[], object]) -> None:
        self._assembly = assembly
        self._leaving = leaving
        self._publish = publish
        self._facts = provider_facts(assembly)

    def not_ready(self) -> Unready | None:
        """Why it wants no traffic."""
        return why_not_ready(
            draining=self._leaving(),
            managed=serves_managed(self._assembly),
            breakers=[breaker_status(self._breaker(facts.name)) for facts in self._facts if facts.managed],
        )

    def _breaker(self, provider: str) -> CircuitBreaker | None:
        return self._assembly.upstreams[provider].breaker

    def plugins(self) -> Sequence[Mapping[str, object]]:
        """What became of each plugin here."""
        return plugin_rows(self._assembly.registry)

    def providers(self) -> Sequence[ProviderStatus]:
        """All that it routes to."""
        return [facts.status(self._breaker(facts.name)) for facts in self._facts]

    def collect(self) -> "Iterator[Metric]":
        """Yield what it has counted."""
        self._publish()
        metrics = self._assembly.gateway.metrics
        total = Sum({})
        total.add(keys(metrics.providers), self._assembly.rows.doubles(SECTION)[0])
        store = metrics.deny_store
        return families(total, store is not None and store.connected, metrics.plugin_events.copy())


async def serve(
    assembly: Assembly,
    version: str,
    client_socket: socket.socket,
    admin_socket: socket.socket,
    ready: Callable[[], None],
) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is under way.

    New connections are refused at once, `/readyz` turns 503, and requests have `shutdown_grace_period_secs` to end; a
    second SIGINT cuts that short. READY is called when both listeners accept.
    """
    server = ClientServer(assembly, version, client_socket, lambda _events: None)
    listener = admin_listener(
        version,
        ProcessView(assembly, lambda: server.leaving, server.publisher.publish),
        lambda: assembly.settings.admin_token,
    )

    def stop(signal_number: int) -> None:
        if server.leaving and signal_number == signal.SIGINT:
            server.cut()
        server.stop()

    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, stop, signal_number)
    admin_task = asyncio.create_task(listener.serve(sockets=[admin_socket]))
    await listener.wait_started(admin_task)
    await server.start()
    ready()
    try:
        await server.ended()
    finally:
        listener.stop()
        await admin_task


def run(
    assembly: Assembly,
    version: str,
    client_socket: socket.socket,
    admin_socket: socket.socket,
    ready: Callable[[], None],
) -> None:
    """`serve` in an event loop of its own."""
    with asyncio.Runner(loop_factory=fast_loop()) as runner:
        runner.run(serve(assembly, version, client_socket, admin_socket, ready))
