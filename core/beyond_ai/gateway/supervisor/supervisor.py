"""Keeps generations of workers on one pair of sockets: starts, reloads, stops and shows them."""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from beyond_ai.errors import BeyondError
from beyond_ai.gateway.logs import start_logging, warn_of_test_settings
from beyond_ai.gateway.supervisor.generation import Configuration, Generation
from beyond_ai.gateway.supervisor.messages import Leave
from beyond_ai.gateway.supervisor.totals import Totals

if TYPE_CHECKING:
    from beyond_ai.gateway.admin_view import Unready
    from beyond_ai.gateway.listener import Listener

_log = logging.getLogger(__name__)

FRESH: Final = 0.1
"""Seconds that a scrape waits for the workers' latest counts."""
FIXED: Final = ("listen", "metrics_listen")
"""Settings that a reload cannot change."""


class Supervisor:
    """Serves at CLIENT_SOCKET and ADMIN_SOCKET; READY is told when all workers accept.

    LOAD reads the configuration for a reload. It raises BeyondError.
    """

    def __init__(
        self,
        load: Callable[[], Configuration],
        version: str,
        client_socket: socket.socket,
        admin_socket: socket.socket,
        ready: Callable[[Generation], None],
    ) -> None:
        self._load = load
        self._version = version
        self._client_socket = client_socket
        self._admin_socket = admin_socket
        self._ready = ready
        self._totals = Totals()
        self._generations: list[Generation] = []
        """the one in use, the one that is starting, if there is one, then those that leave"""
        self._reason: Unready | None = "starting"
        self._stop = asyncio.Event()
        self._hangup = asyncio.Event()
        self._retired: set[asyncio.Task[None]] = set()

    async def run(self, configuration: Configuration) -> None:
        """Serve on CONFIGURATION until SIGTERM or SIGINT, then until the workers have left. Raises BeyondError."""
        self._started_with = configuration
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGCHLD, self._reap)
        loop.add_signal_handler(signal.SIGHUP, self._hangup.set)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._asked_to_stop, number)
        first = Generation(configuration, self._client_socket, self._totals)
        self._generations.append(first)
        start = asyncio.create_task(first.start())
        stop = asyncio.create_task(self._stop.wait())
        await asyncio.sleep(0)  # the workers start while this process imports what the admin listener needs
        listener = self._admin_listener()
        admin = asyncio.create_task(listener.serve(sockets=[self._admin_socket]))
        try:
            await listener.wait_started(admin)
            await asyncio.wait([start, stop], return_when=asyncio.FIRST_COMPLETED)
            if not start.done():
                await _cancelled(start)
                return
            start.result()
            self._reason = None
            self._ready(first)
            reloads = asyncio.create_task(self._reload_when_told())
            await stop
            await _cancelled(reloads)
            await self._drain()
        finally:
            listener.stop()
            await admin

    def _admin_listener(self) -> "Listener":
        from beyond_ai.gateway.admin_listener import admin_listener
        from beyond_ai.gateway.supervisor.view import SupervisorView

        view = SupervisorView(lambda: self._generations, self._totals, lambda: self._reason)
        return admin_listener(
            self._version, view, lambda: self._generations[0].configuration.settings.admin_token, self._publish
        )

    def _reap(self) -> None:
        for generation in self._generations:
            generation.reap()

    def _asked_to_stop(self, number: int) -> None:
        if self._stop.is_set() and number == signal.SIGINT:
            for generation in self._generations:
                generation.leave(Leave("cut"))
        self._stop.set()

    async def _publish(self) -> None:
        """Have the workers publish what they counted up to now."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FRESH):
                await asyncio.gather(*(generation.publish() for generation in self._generations))

    async def _reload_when_told(self) -> None:
        while True:
            await self._hangup.wait()
            self._hangup.clear()
            await self._reload()

    async def _reload(self) -> None:
        """Put a new generation in the place of the one in use, which goes on untouched if that fails."""
        in_use = self._generations[0]
        _log.info("reloading")
        try:
            configuration = self._load()
            fresh = Generation(configuration, self._client_socket, self._totals, in_use)
            self._generations.insert(1, fresh)
            try:
                await fresh.start()
            except BaseException:
                self._generations.remove(fresh)
                raise
        except BeyondError as error:
            for text in error.message.splitlines():
                _log.error("not reloaded: %s", text)
            _log.error("not reloaded: the gateway goes on with the configuration that it has")
            return
        self._generations.remove(fresh)
        self._generations.insert(0, fresh)
        start_logging(configuration.settings)
        warn_of_test_settings(configuration.settings)
        with contextlib.suppress(TimeoutError):
            await in_use.retire()
        retired = asyncio.create_task(self._retire(in_use))
        self._retired.add(retired)
        retired.add_done_callback(self._retired.discard)
        self._warn_of_fixed(configuration)
        _log.info("reloaded: %d workers serve", configuration.workers)

    async def _retire(self, generation: Generation) -> None:
        await generation.ended()
        self._generations.remove(generation)

    def _warn_of_fixed(self, configuration: Configuration) -> None:
        for name in FIXED:
            wanted = getattr(configuration.settings, name)
            if wanted != getattr(self._started_with.settings, name):
                _log.warning("%s = %s takes effect at the next start: a reload keeps the sockets", name, wanted)

    async def _drain(self) -> None:
        """Have all workers leave, within the grace period and what follows it."""
        self._reason = "draining"
        self._client_socket.close()
        for generation in self._generations:
            generation.leave(Leave("stop"))
        settings = self._generations[0].configuration.settings
        limit = settings.shutdown_grace_period_secs + settings.shutdown_runtime_timeout_secs
        left = asyncio.gather(*(generation.ended() for generation in self._generations))
        done, _ = await asyncio.wait([left], timeout=limit)
        if not done:
            _log.error("workers that had not left after %g s are killed", limit)
            for generation in list(self._generations):
                await generation.kill()
        await left


async def _cancelled(task: "asyncio.Task[None]") -> None:
    """Cancel TASK and return when it has ended."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def run(
    configuration: Configuration,
    load: Callable[[], Configuration],
    version: str,
    client_socket: socket.socket,
    admin_socket: socket.socket,
    ready: Callable[[Generation], None],
) -> None:
    """Supervise in an event loop of its own. Raises BeyondError."""
    supervisor = Supervisor(load, version, client_socket, admin_socket, ready)
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(supervisor.run(configuration))
