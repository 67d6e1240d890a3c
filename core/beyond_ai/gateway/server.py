"""The client listener of one process, the clock, sinks and deny store beside it, and the order in which all ends."""

import asyncio
import contextlib
import gc
import logging
import math
import socket
from collections.abc import Callable
from functools import partial
from typing import Final, cast

import uvicorn

from beyond_ai.gateway.assembly import Assembly
from beyond_ai.gateway.client import ClientConnection
from beyond_ai.gateway.front import front
from beyond_ai.gateway.listener import Listener
from beyond_ai.gateway.publisher import Events, Publisher
from beyond_ai.gateway.sockets import BACKLOG

_log = logging.getLogger(__name__)

GC_THRESHOLD: Final = 20_000
"""Objects that may be made before the collector looks at the young ones. Exchanges make no cycles, and at the default
of 700 a few dozen of them at a time set it off."""
SINK_CLOSE_TIMEOUT: Final = 10.0
"""Seconds that a sink has to write out what it holds."""
DENY_CLOSE_TIMEOUT: Final = 10.0
"""Seconds that a deny store has to let go of its source."""
TICK: Final = 1.0
"""Seconds between two looks at what has taken too long."""
HURRIED_TICK: Final = 0.1
"""The same while the process stops and somebody may be waiting for it."""
LAST_CALL: Final = 0.5
"""Seconds that a process which stops for good leaves to requests on their way on idle connections."""


class ClientServer:
    """Serves the gateway of ASSEMBLY on SOCK. SEND_EVENTS is told what plugins counted, when it has changed."""

    def __init__(
        self, assembly: Assembly, version: str, sock: socket.socket, send_events: Callable[[Events], None]
    ) -> None:
        self._assembly = assembly
        self._gateway = assembly.gateway
        self._socket = sock
        self._loop = asyncio.get_running_loop()
        self._started = self._loop.time()
        self._grace_ends = math.inf
        self._hurried = asyncio.Event()
        self.publisher = Publisher(assembly.gateway.metrics, assembly.rows, send_events)
        application = front(version, list(assembly.upstreams), assembly.gateway.count_rejection)
        self._listener = Listener(
            uvicorn.Config(
                application,
                http=cast("type[asyncio.Protocol]", partial(ClientConnection, assembly.gateway)),
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                backlog=BACKLOG,
            )
        )

    @property
    def leaving(self) -> bool:
        """Whether no new connections are taken."""
        return self._listener.should_exit

    async def start(self, *, owns_process: bool = True) -> None:
        """Return when connections are accepted. In a process that it OWNS, the garbage collector is set up for it."""
        await _start_sinks(self._assembly)
        await _start_deny_store(self._assembly)
        await self._assembly.observers.start(self._assembly.registry.fail)
        self._clock = asyncio.create_task(self._tick())
        self._task = asyncio.create_task(self._listener.serve(sockets=[self._socket]))
        await self._listener.wait_started(self._task)
        if owns_process:
            # What lives until the end need not be looked at by the collector again.
            gc.collect()
            gc.freeze()
            gc.set_threshold(GC_THRESHOLD, 10, 10)

    def retire(self) -> None:
        """Take no new connections: others do. Those that there are end as their clients see fit."""
        self._gateway.leaving.begun = True
        self._listener.stop()

    async def retired(self) -> None:
        """Return when no new connection can come any more."""
        await self._listener.closed.wait()

    def stop(self) -> None:
        """Leave as soon as nothing is under way, at the latest after `shutdown_grace_period_secs`."""
        grace_ends = self._loop.time() + self._assembly.settings.shutdown_grace_period_secs
        if grace_ends < self._grace_ends:
            self._grace_ends = grace_ends
            self._loop.call_at(grace_ends, self.cut)
            self._gateway.leaving.idle_from = self._now()
            self._gateway.leaving.idle_limit = LAST_CALL
            self._hurried.set()
        self.retire()

    def cut(self) -> None:
        """Break off what is under way."""
        self._listener.force_exit = True
        self.retire()

    async def ended(self) -> None:
        """Return when all is over, and everything is closed."""
        assembly, gateway = self._assembly, self._gateway
        try:
            await self._task
            while gateway.drains and not self._listener.force_exit:  # noqa: ASYNC110 - a flag
                await asyncio.sleep(0.05)
        finally:
            gateway.drains.close()
            for connection in self._connections():
                connection.transport.abort()
            await asyncio.sleep(0)
            for transport in assembly.transports.values():
                await transport.aclose()
            gateway.ledger.drain()
            await assembly.observers.aclose()
            await _close_sinks(assembly)
            await _close_deny_store(assembly)
            self._clock.cancel()
            self.publisher.publish()
        _log.info("stopped after %d requests", gateway.metrics.requests)

    def _connections(self) -> list[ClientConnection]:
        return [cast("ClientConnection", connection) for connection in self._listener.server_state.connections]

    def _now(self) -> float:
        return self._loop.time() - self._started

    async def _tick(self) -> None:
        """Move the clock on, and let every connection look for what has taken too long."""
        gateway = self._gateway
        while True:
            if self._hurried.is_set():
                await asyncio.sleep(HURRIED_TICK)
            else:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(TICK):
                        await self._hurried.wait()
            now = gateway.clock.now = self._now()
            gateway.drains.tick()
            for connection in self._connections():
                connection.tick(now)
            self.publisher.publish()


async def _start_sinks(assembly: Assembly) -> None:
    for name, sink in list(assembly.sinks.items()):
        try:
            await sink.start()
        except Exception as error:  # noqa: BLE001 - a stranger's code, and this seam fails open
            reason = f"could not start: {type(error).__name__}: {error}"
            _log.error("usage sink %s %s", name, reason)
            assembly.registry.fail("sink", name, reason)
            assembly.gateway.ledger.drop(name)


async def _start_deny_store(assembly: Assembly) -> None:
    """Have the deny-set of the last run enforced before anything is served; what has changed since follows."""
    store = assembly.deny_store
    if store is None:
        return
    try:
        await store.start(assembly.denied.updater())
    except Exception as error:  # noqa: BLE001 - a stranger's code, and this seam fails open
        reason = f"could not start: {type(error).__name__}: {error}"
        _log.error("deny store %s %s", assembly.settings.deny_store, reason)
        assembly.registry.fail("deny_store", assembly.settings.deny_store, reason)


async def _close_deny_store(assembly: Assembly) -> None:
    if assembly.deny_store is None:
        return
    try:
        async with asyncio.timeout(DENY_CLOSE_TIMEOUT):
            await assembly.deny_store.aclose()
    except Exception as error:  # noqa: BLE001 - a stranger's code, and this seam fails open
        _log.error("deny store could not be closed: %s: %s", type(error).__name__, error)


async def _close_sinks(assembly: Assembly) -> None:
    for name, sink in assembly.sinks.items():
        try:
            async with asyncio.timeout(SINK_CLOSE_TIMEOUT):
                await sink.aclose()
        except Exception as error:  # noqa: BLE001 - a stranger's code, and this seam fails open
            _log.error("usage sink %s could not be closed: %s: %s", name, type(error).__name__, error)
