"""A generation that is told to leave while it waits to start a worker again."""

import asyncio
import socket

from beyond_ai.config import Settings
from beyond_ai.gateway.supervisor.backoff import Backoff
from beyond_ai.gateway.supervisor.generation import Configuration, Generation
from beyond_ai.gateway.supervisor.messages import Leave
from beyond_ai.gateway.supervisor.totals import Totals


async def test_nobody_waits_for_a_restart_that_will_not_be() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        generation = Generation(Configuration(Settings(), {}, 1), listener, Totals())
        restart = asyncio.create_task(generation._respawn(0, 3600.0, Backoff()))
        await asyncio.sleep(0)
        generation.leave(Leave("stop"))
        async with asyncio.timeout(5):
            assert await restart is None
        assert not generation.workers
