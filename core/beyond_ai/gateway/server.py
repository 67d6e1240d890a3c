"""Runs a gateway: both listeners, the clock, the sinks, signals, and the order in which all that ends."""

import asyncio
import contextlib
import gc
import logging
import math
import signal
import socket
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, cast

import uvicorn

from beyond_ai.config import Address
from beyond_ai.errors import BeyondError
from beyond_ai.gateway.admin import admin
from beyond_ai.gateway.admin_view import AdminView, ProcessView
from beyond_ai.gateway.assembly import Assembly
from beyond_ai.gateway.client import ClientConnection
from beyond_ai.gateway.front import Asgi, front

_log = logging.getLogger(__name__)

BACKLOG: Final = 4096
GC_THRESHOLD: Final = 20_000
"""Objects that may be made before the collector looks at the young ones. Exchanges make no cycles, and at the default
of 700 a few dozen of them at a time set it off."""
SINK_CLOSE_TIMEOUT: Final = 10.0
"""Seconds that a sink has to write out what it holds."""
DENY_CLOSE_TIMEOUT: Final = 10.0
"""Seconds that a deny store has to let go of its source."""


class _Server(uvicorn.Server):
    """A uvicorn server that leaves signals to the program: two of them run side by side."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def bind(address: Address) -> socket.socket:
    """A listening socket on ADDRESS. Raises BeyondError."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind((address.host, address.port))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise BeyondError(
            f"cannot listen on {address}: {error.strerror}",
            "is another gateway running? choose another address, --listen HOST:PORT or --metrics-listen HOST:PORT",
        ) from None
    sock.setblocking(False)
    return sock


def url_of(sock: socket.socket) -> str:
    """The URL of a listening socket."""
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


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
    gateway = assembly.gateway
    await _start_sinks(assembly)
    await _start_deny_store(assembly)
    await assembly.observers.start(assembly.registry.fail)
    application = front(version, list(assembly.upstreams), gateway.count_rejection)
    view = _view(assembly)
    loop = asyncio.get_running_loop()
    grace_ends = math.inf
    client_server = _Server(_client_config(assembly, application))
    admin_server = _Server(_admin_config(assembly, version, view))

    def stop(signal_number: int) -> None:
        if client_server.should_exit and signal_number == signal.SIGINT:
            client_server.force_exit = True
        nonlocal grace_ends
        grace_ends = min(grace_ends, loop.time() + assembly.settings.shutdown_grace_period_secs)
        view.draining = client_server.should_exit = True

    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, stop, signal_number)
    clock = asyncio.create_task(_tick(assembly, client_server))
    admin_task = asyncio.create_task(admin_server.serve(sockets=[admin_socket]))
    client_task = asyncio.create_task(client_server.serve(sockets=[client_socket]))
    while not (client_server.started and admin_server.started):  # noqa: ASYNC110 - uvicorn offers no event for it
        await asyncio.sleep(0.005)
    # What lives until the end need not be looked at by the collector again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 10, 10)
    ready()
    try:
        await client_task
        while gateway.drains and not client_server.force_exit and loop.time() < grace_ends:  # noqa: ASYNC110 - a flag
            await asyncio.sleep(0.05)
    finally:
        clock.cancel()
        gateway.drains.close()
        for connection in list(client_server.server_state.connections):
            cast("ClientConnection", connection).transport.abort()
        await asyncio.sleep(0)
        for transport in assembly.transports.values():
            await transport.aclose()
        gateway.ledger.drain()
        await assembly.observers.aclose()
        await _close_sinks(assembly)
        await _close_deny_store(assembly)
        admin_server.should_exit = True
        await admin_task
    _log.info("stopped after %d requests", gateway.metrics.requests)


def _client_config(assembly: Assembly, application: Asgi) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        http=cast("type[asyncio.Protocol]", partial(ClientConnection, assembly.gateway)),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=math.ceil(assembly.settings.shutdown_grace_period_secs),
    )


def _view(assembly: Assembly) -> ProcessView:
    managed = bool(assembly.settings.signing_keys) or assembly.dev_credential is not None
    return ProcessView(
        assembly.upstreams, assembly.transports, assembly.registry, assembly.gateway.metrics, managed=managed
    )


def _admin_config(assembly: Assembly, version: str, view: AdminView) -> uvicorn.Config:
    token = assembly.settings.admin_token
    return uvicorn.Config(
        admin(version, view, None if token is None else token.get_secret_value()),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )


async def _tick(assembly: Assembly, server: uvicorn.Server) -> None:
    """Move the clock on, and let every connection look for what has taken too long."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    while True:
        await asyncio.sleep(1.0)
        now = assembly.gateway.clock.now = loop.time() - started
        assembly.gateway.drains.tick()
        for connection in list(server.server_state.connections):
            cast("ClientConnection", connection).tick(now)


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


def run(
    assembly: Assembly,
    version: str,
    client_socket: socket.socket,
    admin_socket: socket.socket,
    ready: Callable[[], None],
) -> None:
    """`serve` in an event loop of its own: uvloop's where it is installed."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(serve(assembly, version, client_socket, admin_socket, ready))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop
