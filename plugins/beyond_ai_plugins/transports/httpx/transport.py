"""The transport and its kept connections.

Each exchange has a connection to itself, on HTTP/2 too: httpcore neither resets a stream that is given up nor returns
its window, and one client that reads slowly would stall all streams beside its own. So giving up an exchange closes
its connection, and a slow client holds up nobody else.

Two things differ from `http1`. Over HTTP/2 an answer is read once the request is complete. And a request that meets
the end of a kept connection is not sent again: a connection is checked before it is used, and from then on nothing
proves that the provider has not seen the request.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Coroutine
from dataclasses import dataclass
from typing import Final

import httpcore

from beyond_ai import UpstreamEvents, UpstreamExchange, UpstreamRequest, UpstreamSettings
from beyond_ai_plugins.transports.httpx.exchange import HttpxExchange
from beyond_ai_plugins.transports.httpx.proxies import Proxies
from beyond_ai_plugins.transports.httpx.wire import Network
from beyond_ai_plugins.transports.sockets import tcp_options, tls_context

MAX_IDLE: Final = 512
"""Kept connections to one authority."""

Key = tuple[str, int, bool]


@dataclass(slots=True)
class Link:
    """A connection of httpcore's, the network below it, and the timer that closes it when it is idle."""

    key: Key
    connection: httpcore.AsyncConnectionInterface
    network: Network
    expiry: asyncio.TimerHandle | None = None

    @property
    def reusable(self) -> bool:
        """Whether another request may go over it: idle, and nothing has come that nobody asked for."""
        connection, wire = self.connection, self.network.wire
        return wire is not None and connection.is_idle() and not connection.is_closed() and wire.reusable

    async def aclose(self) -> None:
        """Close it, however far it has come: httpcore forgets what broke off while it was connecting."""
        try:
            await self.connection.aclose()
        finally:
            if self.network.wire is not None:
                await self.network.wire.aclose()


class HttpxTransport:
    """Opens exchanges through httpcore, over the environment's proxies."""

    def __init__(self, settings: UpstreamSettings) -> None:
        self.settings = settings
        self._tls = tls_context(verify=settings.verify_cert)
        # A context of its own: httpcore sets the protocols to offer on the context that it is given.
        self._proxies = Proxies(tls_context(verify=settings.verify_cert))
        self._options = tcp_options(settings)
        self._idle: dict[Key, deque[Link]] = {}
        self._busy: set[HttpxExchange] = set()
        self._closing: set[asyncio.Task[None]] = set()

    def open(self, request: UpstreamRequest, events: UpstreamEvents) -> UpstreamExchange:
        """Start an exchange."""
        exchange = HttpxExchange(self, request, events)
        self._busy.add(exchange)
        return exchange

    async def aclose(self) -> None:
        """Abort everything and wait until all is closed."""
        tasks = [exchange.task for exchange in self._busy]
        for exchange in list(self._busy):
            exchange.abort()
        if tasks:
            await asyncio.wait(tasks)
        for idle in self._idle.values():
            while idle:
                self._close(idle.pop())
        if self._closing:
            await asyncio.wait(self._closing)

    def done(self, exchange: HttpxExchange) -> None:
        """EXCHANGE has ended."""
        self._busy.discard(exchange)

    # Connections

    def take(self, request: UpstreamRequest) -> Link:
        """Return a kept connection, the latest first, or one that is yet to connect."""
        key = (request.host, request.port, request.tls)
        idle = self._idle.get(key)
        while idle:
            link = idle.pop()
            if link.expiry is not None:
                link.expiry.cancel()
                link.expiry = None
            if link.reusable:
                return link
            self._close(link)
        return self._new(key)

    def put_back(self, link: Link, body: AsyncGenerator[bytes, None], *, reusable: bool) -> None:
        """Keep LINK, if it is REUSABLE for all its exchange knows, or close it; BODY is not asked for any more."""
        self._in_background(body.aclose())
        if not reusable or not link.reusable or self.settings.idle_timeout <= 0:
            self._close(link)
            return
        idle = self._idle.setdefault(link.key, deque())
        if len(idle) >= MAX_IDLE:
            self._expire(idle[0])
        idle.append(link)
        link.expiry = asyncio.get_running_loop().call_later(self.settings.idle_timeout, self._expire, link)

    def _new(self, key: Key) -> Link:
        host, port, tls = key
        network = Network(self._options)
        # Of httpcore's pool only the knowledge of how to make a connection, through a proxy or not, is used.
        pool = httpcore.AsyncConnectionPool(
            ssl_context=self._tls,
            proxy=self._proxies.for_host(host, port, tls=tls),
            http2=self.settings.http2,
            network_backend=network,
        )
        origin = httpcore.Origin(b"https" if tls else b"http", host.encode("ascii"), port)
        return Link(key, pool.create_connection(origin), network)

    def _expire(self, link: Link) -> None:
        self._idle[link.key].remove(link)
        self._close(link)

    def _close(self, link: Link) -> None:
        if link.expiry is not None:
            link.expiry.cancel()
        self._in_background(link.aclose())

    def _in_background(self, work: Coroutine[object, object, None]) -> None:
        """Run WORK in a task of its own: closing must come to its end even where its exchange is cancelled."""
        task = asyncio.create_task(work)
        self._closing.add(task)
        task.add_done_callback(self._closed)

    def _closed(self, task: asyncio.Task[None]) -> None:
        self._closing.discard(task)
        if not task.cancelled():
            task.exception()  # the other side may have broken it first
