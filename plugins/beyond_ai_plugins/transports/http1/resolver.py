"""Names to addresses, remembered: fresh for a minute, and for ten more where the resolver does not answer."""

import asyncio
import socket
from dataclasses import dataclass
from typing import Final

AddressInfo = tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]
"""As `aiohappyeyeballs.start_connection` takes it: family, type, protocol, canonical name, socket address."""

FRESH: Final = 60.0
"""Seconds for which an answer is used without asking again."""
STALE: Final = 600.0
"""Seconds for which an old answer is better than none."""
LOOKUP_TIMEOUT: Final = 5.0
"""Seconds that one look-up may take."""
MAX_NAMES: Final = 256


@dataclass(slots=True)
class _Answer:
    addresses: list[AddressInfo]
    at: float


class Resolver:
    """A bounded cache before the system's resolver; one look-up at a time for each name."""

    def __init__(self) -> None:
        self._answers: dict[tuple[str, int], _Answer] = {}
        self._running: dict[tuple[str, int], asyncio.Task[list[AddressInfo]]] = {}

    async def resolve(self, host: str, port: int) -> list[AddressInfo]:
        """All addresses of HOST, in the system's order. Raises OSError (socket.gaierror, TimeoutError)."""
        now = asyncio.get_running_loop().time()
        known = self._answers.get((host, port))
        if known is not None and now - known.at < FRESH:
            return known.addresses
        task = self._running.get((host, port))
        if task is None:
            task = asyncio.ensure_future(self._look_up(host, port))
            self._running[host, port] = task
            task.add_done_callback(lambda _task: self._running.pop((host, port), None))
        try:
            return await asyncio.shield(task)
        except OSError:
            if known is not None and now - known.at < STALE:
                return known.addresses
            raise

    async def _look_up(self, host: str, port: int) -> list[AddressInfo]:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(LOOKUP_TIMEOUT):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses: list[AddressInfo] = [
            (family, kind, protocol, name, address)  # type: ignore[misc]
            for family, kind, protocol, name, address in found
        ]
        if not addresses:
            raise OSError(f"{host} has no address")
        if len(self._answers) >= MAX_NAMES:
            self._answers.pop(next(iter(self._answers)))
        self._answers[host, port] = _Answer(addresses, loop.time())
        return addresses
