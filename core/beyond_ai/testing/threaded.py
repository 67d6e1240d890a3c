"""A scripted upstream for tests that have no event loop of their own, such as those of a synchronous SDK."""

import asyncio
import socket
import threading
from collections.abc import Coroutine
from ssl import SSLContext
from types import TracebackType
from typing import Any, Self, TypeVar

from beyond_ai.testing.connection import Script, UpstreamConnection
from beyond_ai.testing.message import ReceivedRequest
from beyond_ai.testing.steps import Step
from beyond_ai.testing.upstream import NOTHING_TO_PLAY, Responder, ScriptedUpstream

T = TypeVar("T")


class ThreadedUpstream:
    """A `ScriptedUpstream` with an event loop in a thread of its own; the same words, without `await`.

        with ThreadedUpstream() as upstream:
            upstream.answer(response(200, [], b"{}"))

    An event of a script's `Until` step belongs to that loop: set it with `set(event)`.
    """

    def __init__(
        self,
        *,
        default: Script | Responder = NOTHING_TO_PLAY,
        listener: socket.socket | None = None,
        tls: SSLContext | None = None,
    ) -> None:
        self._upstream = ScriptedUpstream(default=default, listener=listener, tls=tls)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="scripted upstream", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._upstream.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._run(self._upstream.__aexit__(kind, error, trace))
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    @property
    def authority(self) -> str:
        """`host:port`, as a provider's authority is written."""
        return self._upstream.authority

    @property
    def requests(self) -> tuple[ReceivedRequest, ...]:
        """The requests so far."""
        return tuple(self._upstream.requests)

    @property
    def connections(self) -> tuple[UpstreamConnection, ...]:
        """The connections so far."""
        return tuple(self._upstream.connections)

    @property
    def received(self) -> bytes:
        """Every byte received on every connection."""
        return self._upstream.received

    def play(self, *script: Step) -> None:
        """Queue SCRIPT for the next request that has none yet."""
        self._upstream.play(*script)

    def answer(self, *parts: bytes) -> None:
        """Queue the plainest script: read the whole request, then send PARTS, each in a write of its own."""
        self._upstream.answer(*parts)

    def set(self, event: asyncio.Event) -> None:
        """Set EVENT in the upstream's loop."""
        self._loop.call_soon_threadsafe(event.set)

    def wait_for_requests(self, count: int, within: float = 5.0) -> tuple[ReceivedRequest, ...]:
        """Wait until COUNT request heads have come, then return all requests; TimeoutError after WITHIN seconds."""
        return self._run(self._upstream.wait_for_requests(count, within))

    def wait_answered(self, index: int = -1, within: float = 5.0) -> ReceivedRequest:
        """Wait until the script of request INDEX was played to its end; TimeoutError after WITHIN seconds."""
        return self._run(self._upstream.wait_answered(index, within))

    def wait_closed(self, connection: int = -1, within: float = 5.0) -> UpstreamConnection:
        """Wait until connection number CONNECTION is gone; TimeoutError after WITHIN seconds."""
        return self._run(self._upstream.wait_closed(connection, within))

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()
