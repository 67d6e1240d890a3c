"""The gateway in one process, as `--dev` runs it: both listeners in one event loop, and nobody to restart it."""

import asyncio
import signal
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from beyond_ai.gateway.admin_listener import admin_listener
from beyond_ai.gateway.admin_view import ProviderStatus
from beyond_ai.gateway.assembly import Assembly
from beyond_ai.gateway.metric_cells import SECTION, Sum, keys
from beyond_ai.gateway.metric_families import families
from beyond_ai.gateway.report import plugin_rows, provider_facts
from beyond_ai.gateway.server import ClientServer
from beyond_ai.gateway.sockets import fast_loop

if TYPE_CHECKING:
    from prometheus_client.core import Metric


class _View:
    """This process, as the admin listener shows it."""

    def __init__(self, assembly: Assembly, server: ClientServer) -> None:
        self._assembly = assembly
        self._server = server
        self._facts = provider_facts(assembly)

    def not_ready(self) -> str | None:
        return "draining" if self._server.leaving else None

    def plugins(self) -> Sequence[Mapping[str, object]]:
        return plugin_rows(self._assembly.registry)

    def providers(self) -> Sequence[ProviderStatus]:
        return [facts.status(self._assembly.upstreams[facts.name].breaker) for facts in self._facts]

    def collect(self) -> "Iterator[Metric]":
        self._server.publisher.publish()
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
    listener = admin_listener(version, _View(assembly, server))

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
