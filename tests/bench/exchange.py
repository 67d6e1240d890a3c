"""What the Python of one small exchange costs, sockets and kernel left out: `python tests/bench/exchange.py [SCANNER]`.

A managed 2 KB Chat request and its 0.6 KB answer, on kept connections, through the real rooms from the client's
`data_received` to the usage event. Prints the median of rounds, in microseconds of CPU; with `--profile` also where
they go.
"""

import asyncio
import cProfile
import json
import pstats
import statistics
import sys
import time
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


async def measure(scanner: str, profile: cProfile.Profile | None) -> float:
    settings = Settings(
        sinks=(),
        signing_keys={"1": PUBLIC_KEY},
        pool_keys={"openai": "sk-pool-fake"},
        upstream_tls=False,
        rate_limit_rps=0,
        byo_rate_limit_rps=0,
        scanner=scanner,
    )
    assembly = assemble(settings)
    transport = assembly.transports["http1"]
    assert isinstance(transport, pool.Http1Transport)
    config, state = Config(lambda: None, log_config=None), ServerState()
    clients: list[ClientConnection] = []
    for _ in range(CONNECTIONS):
        client = ClientConnection(assembly.gateway, config=config, server_state=state, app_state={})
        client.connection_made(cast("asyncio.Transport", Wire()))
        clients.append(client)
        upstream = Connection(transport, ("api.openai.com", 443, False))
        upstream.connection_made(cast("asyncio.Transport", Wire()))
        transport.release(upstream)
    rounds = []
    for number in range(ROUNDS):
        if profile is not None and number == ROUNDS // 5:
            profile.enable()
        started = time.process_time()
        for _ in range(TURNS):
            for client in clients:
                client.data_received(REQUEST)
            await asyncio.sleep(0)
            for exchange in list(transport._busy):
                assert exchange._connection is not None
                exchange._connection.data_received(ANSWER)
            await asyncio.sleep(0)
        rounds.append((time.process_time() - started) / (TURNS * CONNECTIONS) * 1e6)
    if profile is not None:
        profile.disable()
    total = ROUNDS * TURNS * CONNECTIONS
    assembly.gateway.ledger.drain()
    assert assembly.gateway.metrics.tokens["output"] == 10 * total
    assert all(cast("Wire", client.transport).written for client in clients)
    await transport.aclose()
    return statistics.median(rounds)


def main() -> None:
    names = [name for name in sys.argv[1:] if not name.startswith("-")]
    profile = cProfile.Profile() if "--profile" in sys.argv else None
    for name in names or ["python"]:
        print(f"{name:<10}{asyncio.run(measure(name, profile)):8.2f} us")
    if profile is not None:
        pstats.Stats(profile).sort_stats("tottime").print_stats(45)


if __name__ == "__main__":
    main()
