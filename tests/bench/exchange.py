"""What the Python of one small exchange costs, and of one streamed chunk: `python tests/bench/exchange.py [SCANNER]`.

A managed 2 KB Chat request and its 0.6 KB answer, or an event stream of 100 chunks, on kept connections, through the
real rooms from the client's `data_received` to the usage event; sockets and kernel are left out. Prints the median of
rounds, in microseconds of CPU; with `--profile` also where they go.
"""

import asyncio
import cProfile
import json
import pstats
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Final, cast

from uvicorn.config import Config
from uvicorn.server import ServerState

from beyond_ai.config import Settings
from beyond_ai.gateway.assembly import assemble
from beyond_ai.gateway.client import ClientConnection
from beyond_ai_plugins.transports.http1 import pool
from beyond_ai_plugins.transports.http1.connection import Connection

CONNECTIONS: Final = 16
ROUNDS: Final = 25
TURNS: Final = 60
KEY: Final = (
    "bai_v1.1.AQAAAAAAAAABAAAAAAAAAA."
    "WrWcPbklu91PS-4WuR6GnBNF3h4nROpH0EQQlfJf06f7_lEnlQOCSBimhH2JMwXFJgw40BniTB7-yIdFnpldDw"
)
PUBLIC_KEY: Final = "6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw="
PROMPT: Final = "Hello world, this is a prompt. " * 64
BODY: Final = json.dumps(
    {"messages": [{"role": "user", "content": PROMPT}], "temperature": 0.2, "model": "gpt-4o"}
).encode()
REQUEST: Final = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nAuthorization: Bearer %b\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (KEY.encode(), len(BODY), BODY)
)
ANSWER_BODY: Final = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "gpt-4o-2024-08-06",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "lorem ipsum dolor " * 12}}],
        "usage": {"prompt_tokens": 19, "completion_tokens": 10, "total_tokens": 29},
    }
).encode()
ANSWER: Final = (
    b"HTTP/1.1 200 OK\r\nServer: bench\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\nConnection: keep-alive\r\n\r\n%b" % (len(ANSWER_BODY), ANSWER_BODY)
)
STREAM_REQUEST: Final = REQUEST.replace(b'"temperature": 0.2', b'"stream":     true')
STREAM_HEAD: Final = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
EVENT: Final = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"gpt-4o-2024-08-06",'
    b'"choices":[{"index":0,"delta":{"content":" lorem"},"finish_reason":null}]}\n\n'
)
LAST_EVENT: Final = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"gpt-4o-2024-08-06",'
    b'"choices":[],"usage":{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29}}\n\ndata: [DONE]\n\n'
)
CHUNKS: Final = 100


class Wire:
    """In place of a socket's transport: counts what is written."""

    def __init__(self) -> None:
        self.written = 0

    def write(self, data: bytes) -> None:
        self.written += len(data)

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, _name: str) -> None:
        return None

    def abort(self) -> None:
        pass

    close = pause_reading = resume_reading = abort


class Rig:
    """A gateway whose connections, to clients and to a provider, have no sockets."""

    def __init__(self, scanner: str) -> None:
        settings = Settings(
            sinks=(),
            signing_keys={"1": PUBLIC_KEY},
            pool_keys={"openai": "sk-pool-fake"},
            upstream_tls=False,
            rate_limit_rps=0,
            byo_rate_limit_rps=0,
            scanner=scanner,
        )
        self.assembly = assemble(settings)
        transport = self.assembly.transports["http1"]
        assert isinstance(transport, pool.Http1Transport)
        self.transport = transport
        config, state = Config(lambda: None, log_config=None), ServerState()
        self.clients: list[ClientConnection] = []
        for _ in range(CONNECTIONS):
            client = ClientConnection(self.assembly.gateway, config=config, server_state=state, app_state={})
            client.connection_made(cast("asyncio.Transport", Wire()))
            self.clients.append(client)
            upstream = Connection(transport, ("api.openai.com", 443, False))
            upstream.connection_made(cast("asyncio.Transport", Wire()))
            transport.release(upstream)

    async def request(self, data: bytes) -> list[Connection]:
        """Let each client send the request DATA; the connections that they went out on."""
        for client in self.clients:
            client.data_received(data)
        await asyncio.sleep(0)
        connections = [exchange._connection for exchange in list(self.transport._busy)]
        assert len(connections) == CONNECTIONS
        return [connection for connection in connections if connection is not None]

    async def answer(self, connections: list[Connection], data: bytes) -> None:
        """Let DATA come on CONNECTIONS."""
        for connection in connections:
            connection.data_received(data)
        await asyncio.sleep(0)

    async def finish(self, answers: int) -> None:
        """Check that the usage of ANSWERS was counted and that all clients were written to, and close."""
        self.assembly.gateway.ledger.drain()
        assert self.assembly.gateway.metrics.tokens["output"] == 10 * answers
        assert all(cast("Wire", client.transport).written for client in self.clients)
        await self.transport.aclose()


async def measure_exchange(rig: Rig) -> float:
    """Microseconds of CPU for a JSON exchange."""
    rounds = []
    for _ in range(ROUNDS):
        started = time.process_time()
        for _ in range(TURNS):
            await rig.answer(await rig.request(REQUEST), ANSWER)
        rounds.append((time.process_time() - started) / (TURNS * CONNECTIONS) * 1e6)
    await rig.finish(ROUNDS * TURNS * CONNECTIONS)
    return statistics.median(rounds)


async def measure_chunk(rig: Rig) -> float:
    """Microseconds of CPU for a chunk of an event stream, head and end left out."""
    rounds = []
    event, last = b"%x\r\n%b\r\n" % (len(EVENT), EVENT), b"%x\r\n%b\r\n0\r\n\r\n" % (len(LAST_EVENT), LAST_EVENT)
    for _ in range(ROUNDS):
        connections = await rig.request(STREAM_REQUEST)
        await rig.answer(connections, STREAM_HEAD)
        await rig.answer(connections, event)
        started = time.process_time()
        for _ in range(CHUNKS):
            await rig.answer(connections, event)
        rounds.append((time.process_time() - started) / (CHUNKS * CONNECTIONS) * 1e6)
        await rig.answer(connections, last)
    await rig.finish(ROUNDS * CONNECTIONS)
    return statistics.median(rounds)


def main() -> None:
    names = [name for name in sys.argv[1:] if not name.startswith("-")]
    profile = cProfile.Profile() if "--profile" in sys.argv else None
    for name in names or ["python"]:
        if profile is not None:
            profile.enable()
        exchange = asyncio.run(_rigged(measure_exchange, name))
        chunk = asyncio.run(_rigged(measure_chunk, name))
        if profile is not None:
            profile.disable()
        print(f"{name:<10}{exchange:8.2f} us an exchange {chunk:8.2f} us a chunk")
    if profile is not None:
        pstats.Stats(profile).sort_stats("tottime").print_stats(45)


async def _rigged(measure: Callable[[Rig], Awaitable[float]], scanner: str) -> float:
    return await measure(Rig(scanner))


if __name__ == "__main__":
    main()
