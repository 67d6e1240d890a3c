"""Tells observers of the end of every request, after its answer: never on the byte path, and only if there are any."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Final

from beyond_ai.gateway.rejection import Rejection
from beyond_ai.gateway.request import Request, origin_form
from beyond_ai.gateway.route import Route
from beyond_ai.gateway.usage import Usage
from beyond_ai.spec.observer import Observer, RequestRecord
from beyond_ai.spec.transport import Headers

_log = logging.getLogger(__name__)

CLOSE_TIMEOUT: Final = 10.0
"""Seconds that an observer has to finish."""
DELAY: Final = 0.01
"""Seconds that the record of a refusal waits, at most: its answer leaves first."""
MAX_WAITING: Final = 128
"""Records of refusals that wait at a time."""
MAX_PATH: Final = 2048
"""Characters of a path."""


class Observation:
    """What is gathered of one relayed request, beside what its meter knows anyway."""

    __slots__ = ("ended_ns", "estimated", "refusal", "request", "usage")

    def __init__(self, request: Request) -> None:
        self.request = request
        self.refusal: Rejection | None = None
        self.usage: Usage | None = None
        self.estimated = False
        self.ended_ns = 0


class Observers:
    """The observers of this process. One that raises is logged and counted, and does not disturb the others."""

    def __init__(self, observers: Mapping[str, Observer], count: Callable[[str, str], None]) -> None:
        """COUNT is told of what failed, by the observer's name."""
        self._observers = dict(observers)
        self._count = count
        self._waiting: list[RequestRecord] = []

    def __len__(self) -> int:
        return len(self._observers)

    async def start(self, failed: Callable[[str, str, str], None]) -> None:
        """Start all; FAILED is told kind, name and reason of one that cannot start, which hears nothing then."""
        for name, observer in list(self._observers.items()):
            try:
                await observer.start()
            except Exception as error:  # noqa: BLE001 - a stranger's code, and this seam fails open
                reason = f"could not start: {type(error).__name__}: {error}"
                _log.error("observer %s %s", name, reason)
                del self._observers[name]
                failed("observer", name, reason)

    def tell(self, record: RequestRecord) -> None:
        """Hand RECORD to every observer."""
        for name, observer in self._observers.items():
            try:
                observer.observe(record)
            except Exception as error:  # noqa: BLE001 - a stranger's code, and this seam fails open
                self._count(name, "failed")
                _log.error(
                    "observer %s: %s: %s", name, type(error).__name__, error, extra={"request_id": record.request_id}
                )

    def refused(
        self, rejection: Rejection, request_id: str, request: Request, route: Route | None, managed: bool | None
    ) -> None:
        """Tell of a REQUEST that was refused before it was relayed, once its answer has had time to leave."""
        waiting = self._waiting
        waiting.append(_refusal_record(rejection, request_id, request, route, managed))
        if len(waiting) == 1:
            asyncio.get_running_loop().call_later(DELAY, self.drain)
        elif len(waiting) >= MAX_WAITING:
            self.drain()

    def drain(self) -> None:
        """Tell of everything that waits."""
        waiting, self._waiting = self._waiting, []
        for record in waiting:
            self.tell(record)

    async def aclose(self) -> None:
        """Tell the rest, and close all."""
        self.drain()
        for name, observer in self._observers.items():
            try:
                async with asyncio.timeout(CLOSE_TIMEOUT):
                    await observer.aclose()
            except Exception as error:  # noqa: BLE001 - a stranger's code, and this seam fails open
                _log.error("observer %s could not be closed: %s: %s", name, type(error).__name__, error)


def _refusal_record(
    rejection: Rejection, request_id: str, request: Request, route: Route | None, managed: bool | None
) -> RequestRecord:
    ended_ns = time.time_ns()
    started = request.started
    traceparent, tracestate = trace_context(request.headers)
    return RequestRecord(
        request_id=request_id,
        method=method_of(request),
        path=path_of(request),
        provider=None if route is None else route.upstream.name,
        server_address=None if route is None else route.upstream.host,
        server_port=None if route is None else route.upstream.port,
        endpoint=None if route is None or route.wire is None else route.wire.label,
        managed=managed,
        status=rejection.status,
        error_type=rejection.type,
        started_ns=ended_ns - int((time.perf_counter() - started) * 1e9) if started else ended_ns,
        ended_ns=ended_ns,
        traceparent=traceparent,
        tracestate=tracestate,
    )


def method_of(request: Request) -> str:
    """The method of REQUEST as text."""
    return request.method.decode("ascii", "replace")


def path_of(request: Request) -> str:
    """The path of REQUEST as text, without its query."""
    return origin_form(request.target).partition(b"?")[0][:MAX_PATH].decode("ascii", "replace")


def trace_context(headers: Headers) -> tuple[str | None, str | None]:
    """`traceparent` and `tracestate` in HEADERS, unchecked; a repeated `traceparent` counts as none.

    https://www.w3.org/TR/trace-context/
    """
    parents: list[bytes] = []
    states: list[bytes] = []
    for name, value in headers:
        if len(name) == 11 and name.lower() == b"traceparent":
            parents.append(value)
        elif len(name) == 10 and name.lower() == b"tracestate":
            states.append(value)
    if len(parents) != 1:
        return None, None
    return parents[0].decode("ascii", "replace"), b",".join(states).decode("ascii", "replace") or None
