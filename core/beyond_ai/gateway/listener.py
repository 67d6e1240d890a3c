"""A uvicorn server as part of a program: it leaves signals alone, and sleeps while nothing happens."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn


class Listener(uvicorn.Server):
    """Serves until `stop`. Several may run in one event loop."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._stopped = asyncio.Event()
        self.closed = asyncio.Event()
        """set when no new connection can come any more"""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield

    def stop(self) -> None:
        """Take no new connections, and return from `serve` once there is none left."""
        self.should_exit = True
        self._stopped.set()

    async def wait_started(self, task: "asyncio.Task[None]") -> None:
        """Return when connections are accepted; TASK is `serve`, whose error is raised here if it ends before."""
        while not self.started:
            if task.done():
                task.result()
                raise RuntimeError("the listener ended before it had begun")
            await asyncio.sleep(0.002)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, then wait for the connections that there are."""
        for server in self.servers:
            server.close()
        await asyncio.sleep(0)
        self.closed.set()
        await super().shutdown(sockets)

    async def main_loop(self) -> None:
        """Keep the `date` header right, once a second, and nothing else."""
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._stopped.wait()
