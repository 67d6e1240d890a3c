"""A transport as the relay sees it: opens exchanges, and holds each to the order of events that the seam promises."""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from beyond_ai.spec.component import Context, UpstreamSettings
from beyond_ai.spec.transport import (
    FailureStage,
    Headers,
    Transport,
    UpstreamExchange,
    UpstreamFailure,
    UpstreamRequest,
)

BOUND: Final = 8.0
"""Seconds that a test waits for anything."""


class Upstream(Protocol):
    """Anything that listens on loopback."""

    @property
    def authority(self) -> str:
        """`host:port`."""
        ...


def ask(
    upstream: Upstream | str,
    method: bytes = b"GET",
    target: bytes = b"/v1/things?b=2&a=1",
    headers: Headers | None = None,
    *,
    length: int | None = None,
    chunked: bool = False,
    tls: bool = False,
    host: str | None = None,
) -> UpstreamRequest:
    """A request to UPSTREAM (or an authority), under another HOST name if need be."""
    authority = upstream if isinstance(upstream, str) else upstream.authority
    address, _, port = authority.rpartition(":")
    if headers is None:
        headers = [(b"Host", authority.encode()), (b"X-Plain", b"1")]
    return UpstreamRequest("test", method, target, headers, host or address, int(port), tls, length, chunked)


class Heard:
    """What the relay hears of one exchange. A broken promise is noted in `violations`."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.interim: list[tuple[int, Headers]] = []
        self.status = 0
        self.reason = b""
        self.headers: Headers = []
        self._body = bytearray()
        self.failure: UpstreamFailure | None = None
        self.paused = False
        self.violations: list[str] = []
        self.exchange: UpstreamExchange
        self.opened = False
        self.aborted = False
        self.on: dict[str, Callable[[], None]] = {}
        """what to do in the middle of an event"""
        self._changed = asyncio.Event()

    @property
    def body(self) -> bytes:
        """The body as far as it has come."""
        return bytes(self._body)

    def _note(self, event: str) -> None:
        if not self.opened and event != "pause":
            self.violations.append(f"{event} before open() returned")
        if self.aborted:
            self.violations.append(f"{event} after abort")
        if self.over:
            self.violations.append(f"{event} after {self.events[-1]}")
        if event in ("body", "end") and not self.status:
            self.violations.append(f"{event} before the head")
        if event == "head" and self.status:
            self.violations.append("a second head")
        if event != "body" or self.events[-1:] != ["body"]:
            self.events.append(event)
        self._changed.set()

    def _act(self, event: str) -> None:
        if event in self.on:
            self.on[event]()

    @property
    def over(self) -> bool:
        """Whether the exchange has ended, well or not."""
        return self.events[-1:] in (["end"], ["failed"])

    @property
    def told(self) -> list[str]:
        """The events but for those about flow."""
        return [event for event in self.events if event not in ("pause", "resume")]

    async def until(self, condition: Callable[[], bool], within: float = BOUND) -> None:
        """Wait until CONDITION holds, which an event must bring about."""
        try:
            async with asyncio.timeout(within):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise TimeoutError(f"heard only {self.events}, {len(self.body)} bytes, {self.failure}") from None

    async def ended(self) -> None:
        """Wait for the proper end."""
        await self.until(lambda: self.over)
        assert self.events[-1] == "end", self.failure

    async def failed(self, stage: FailureStage, *, timed_out: bool = False) -> UpstreamFailure:
        """Wait for the failure and check how far the exchange had come."""
        await self.until(lambda: self.over)
        assert self.failure is not None, self.events
        assert self.failure.stage is stage, self.failure
        if stage is not FailureStage.CONNECT:
            assert self.failure.timed_out is timed_out, self.failure
        return self.failure

    async def send_all(self, data: bytes, piece: int = 65_536) -> None:
        """Send DATA as a relay would: piece by piece, and none while paused."""
        for start in range(0, len(data), piece):
            await self.until(lambda: not self.paused)
            self.exchange.send(data[start : start + piece])
            await asyncio.sleep(0)
        self.exchange.send_end()

    def abort(self) -> None:
        """Abort; nothing may be heard from now on."""
        self.aborted = True
        self.exchange.abort()

    def upstream_connect_retry(self) -> None:
        """Take note of it (UpstreamEvents)."""
        self._note("connect_retry")

    def upstream_informational(self, status: int, headers: Headers) -> None:
        """Keep it (UpstreamEvents)."""
        self.interim.append((status, list(headers)))
        self._note("informational")
        self._act("informational")

    def upstream_head(self, status: int, reason: bytes, headers: Headers) -> None:
        """Keep it (UpstreamEvents)."""
        self._note("head")
        self.status, self.reason, self.headers = status, reason, list(headers)
        self._act("head")

    def upstream_body(self, data: bytes, framed: bytes = b"") -> None:
        """Keep it (UpstreamEvents)."""
        self._note("body")
        if framed and framed != b"%x\r\n%b\r\n" % (len(data), data):
            self.violations.append(f"{framed!r} is not {data!r} as a chunk")
        self._body += data
        self._act("body")

    def upstream_end(self) -> None:
        """Take note of it (UpstreamEvents)."""
        self._note("end")

    def upstream_failed(self, failure: UpstreamFailure) -> None:
        """Keep it (UpstreamEvents)."""
        self._note("failed")
        self.failure = failure

    def upstream_pause(self) -> None:
        """Stop sending (UpstreamEvents)."""
        self._note("pause")
        self.paused = True

    def upstream_resume(self) -> None:
        """Go on sending (UpstreamEvents)."""
        self._note("resume")
        self.paused = False


class TransportSeam:
    """A transport between a relay and a provider; CREATE makes it out of a `Context`."""

    def __init__(self, create: Callable[[Context], Transport]) -> None:
        self._create = create
        self._made: list[Transport] = []
        self._heard: list[Heard] = []

    def make(self, **settings: float | bool) -> Transport:
        """Make a transport with SETTINGS."""
        transport = self._create(Context(upstream=UpstreamSettings(**settings)))  # type: ignore[arg-type]
        self._made.append(transport)
        return transport

    def open(
        self,
        request: UpstreamRequest,
        transport: Transport | None = None,
        on: dict[str, Callable[[], None]] | None = None,
    ) -> Heard:
        """Open an exchange, on one transport with the default settings if none is given."""
        heard = Heard()
        self._heard.append(heard)
        heard.on = on or {}
        heard.exchange = (transport or (self._made[0] if self._made else self.make())).open(request, heard)
        heard.opened = True
        return heard

    async def get(self, request: UpstreamRequest, transport: Transport | None = None) -> Heard:
        """Open an exchange without a body and wait for its proper end."""
        heard = self.open(request, transport)
        await heard.ended()
        return heard

    async def aclose(self) -> None:
        """Close all; whatever was promised must have been kept."""
        for transport in self._made:
            await asyncio.wait_for(transport.aclose(), BOUND)
        broken = [violation for heard in self._heard for violation in heard.violations]
        assert not broken, f"the order of events in beyond_ai/spec/transport.py was not kept: {'; '.join(broken)}"
