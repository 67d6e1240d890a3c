"""Streams without end through a gateway whose workers are killed, whose configuration is reloaded, whose NATS bounces.

    pytest -m long tests/soak                                # ten minutes
    SOAK_SECONDS=60 pytest -m long tests/soak                # as CI runs it

Every 20 seconds a worker is killed, the configuration is reloaded and NATS killed and started again. What may be lost
is what the killed worker was streaming, and nothing else; nothing is done twice.
"""

import asyncio
import contextlib
import itertools
import os
import random
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest
from tests.gateway_process import VIRTUAL_KEY, gateway_config, resident_of, workers_of
from tests.nats_server import NatsServer, until

from beyond_ai.testing import GatewayProcess

SECONDS: Final = float(os.environ.get("SOAK_SECONDS", "600"))
ROUND: Final = 20.0
STREAMS: Final = 500
WORKERS: Final = 2
CHUNKS: Final = 6
PACE: Final = 0.5
"""Seconds between two chunks of an answer."""
AFTERMATH: Final = 3.0
"""Seconds after a kill in which what it broke is noticed."""
LINE: Final = b'data: {"type":"response.output_text.delta","delta":"one two three"}\n\n'
LAST: Final = b'data: {"type":"response.completed","response":{"usage":{"input_tokens":3,"output_tokens":9}}}\n\n'
BODY: Final = b'{"model":"gpt-4o","stream":true,"user":"%010d"}'
MEBIBYTE: Final = 1 << 20

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(sys.platform != "linux", reason="workers are found in /proc"),
]


class Provider:
    """Streams, and counts which requests it was asked."""

    def __init__(self) -> None:
        self.asked: Counter[int] = Counter()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                asked = await reader.readexactly(len(BODY % 0))
                self.asked[int(asked.rpartition(b":")[2][1:-2])] += 1
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
                )
                for text in [LINE] * CHUNKS + [LAST]:
                    writer.write(b"%x\r\n%b\r\n" % (len(text), text))
                    await writer.drain()
                    await asyncio.sleep(PACE)
                writer.write(b"0\r\n\r\n")
        writer.close()


@dataclass(slots=True)
class Loss:
    """A request without a whole answer; `worker` is the prefix of its id, where one came."""

    number: int
    worker: bytes
    at: float
    error: str


@dataclass(slots=True)
class Crowd:
    """The clients."""

    gateway: GatewayProcess
    numbers: "itertools.count[int]" = field(default_factory=itertools.count)
    whole: list[tuple[int, str]] = field(default_factory=list)
    """numbers and ids of requests that were answered"""
    losses: list[Loss] = field(default_factory=list)
    streaming: int = 0
    stop: bool = False

    async def client(self) -> None:
        await asyncio.sleep(random.random() * PACE * CHUNKS)
        while not self.stop:
            reader, writer = await asyncio.open_connection(self.gateway.host, self.gateway.port)
            try:
                while await self._ask(reader, writer) and not self.stop:
                    pass
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request; whether the connection is good for another."""
        number, head = next(self.numbers), b""
        self.streaming += 1
        try:
            writer.write(
                b"POST /openai/v1/responses HTTP/1.1\r\nHost: gateway.test\r\nContent-Type: application/json\r\n"
                b"Authorization: Bearer %b\r\nContent-Length: %d\r\n\r\n"
                % (VIRTUAL_KEY.encode(), len(BODY % 0))
                + BODY % number
            )
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 "), head
            body = await reader.readuntil(b"\r\n0\r\n\r\n")
            assert body.count(b"one two three") == CHUNKS
        except (OSError, asyncio.IncompleteReadError, AssertionError) as error:
            self.losses.append(Loss(number, id_in(head).partition(b"-")[0], time.monotonic(), repr(error)))
            return False
        finally:
            self.streaming -= 1
        self.whole.append((number, id_in(head).decode()))
        return b"\r\nconnection: close\r\n" not in head


def id_in(head: bytes) -> bytes:
    found = re.search(rb"x-beyond-request-id: (\S+)", head)
    return found[1] if found else b""


def files_of(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def slope(samples: list[tuple[float, float]]) -> float:
    """Of the straight line through SAMPLES, by least squares."""
    middle_x, middle_y = (sum(values) / len(samples) for values in zip(*samples, strict=True))
    rise: float = sum((x - middle_x) * (y - middle_y) for x, y in samples)
    run: float = sum((x - middle_x) ** 2 for x, _ in samples)
    return rise / run


async def test_soak(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    provider = Provider()
    server = await asyncio.start_server(provider.serve, "127.0.0.1", 0, backlog=2048)
    authority = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    (folder := tmp_path / "nats").mkdir()
    with NatsServer(folder) as nats:
        config = f'nats_url = "{nats.url}"\nidle_timeout_secs = 1\n' + gateway_config(authority, "127.0.0.1:9").replace(
            "workers = 1", f"workers = {WORKERS}"
        )
        with GatewayProcess(config, folder=tmp_path) as gateway:
            supervisor = gateway.process.pid
            idle = {pid: files_of(pid) for pid in (supervisor, *workers_of(gateway))}
            crowd, kills, samples = Crowd(gateway), [], []
            async with asyncio.TaskGroup() as group:
                for _ in range(STREAMS):
                    group.create_task(crowd.client())
                began = time.monotonic()
                while time.monotonic() - began < SECONDS:
                    kills.append(time.monotonic())
                    os.kill(random.choice(workers_of(gateway)), signal.SIGKILL)
                    await asyncio.sleep(ROUND * 0.35)
                    reloaded = gateway.stderr.count("reloaded: ")
                    gateway.process.send_signal(signal.SIGHUP)
                    await until(lambda before=reloaded: gateway.stderr.count("reloaded: ") > before, 30)  # type: ignore[misc]
                    nats.kill()
                    await asyncio.sleep(ROUND * 0.1)
                    await asyncio.to_thread(nats.start)
                    await asyncio.sleep(max(0.0, kills[-1] + ROUND - time.monotonic()))
                    assert crowd.streaming > STREAMS * 0.9
                    held = [resident_of(pid) for pid in (supervisor, *workers_of(gateway))]
                    samples.append((time.monotonic() / 60, sum(held) / len(held) / MEBIBYTE))
                    record_property("mebibytes", [round(size / MEBIBYTE, 1) for size in held])
                crowd.stop = True
            await until(lambda: len(workers_of(gateway)) == WORKERS, 30)
            most = max(idle[pid] for pid in idle if pid != supervisor)
            await until(lambda: files_of(supervisor) <= idle[supervisor] + 1, 30, "descriptors of the supervisor")
            await until(lambda: all(files_of(pid) <= most + 1 for pid in workers_of(gateway)), 30, "descriptors")
    server.close()
    record_property("requests", len(crowd.whole))
    record_property("lost", len(crowd.losses))
    check_losses(crowd.losses, kills)
    assert len(kills) - 1 <= gateway.stderr.count("by SIGKILL") <= len(kills)
    check_numbers(crowd, provider, gateway)
    warm = [sample for sample in samples if sample[0] - samples[0][0] >= SECONDS / 60 / 4]
    if SECONDS >= 300:  # in a shorter time, what one worker happens to hold decides
        assert slope(warm) < 1.0, samples


def check_losses(losses: list[Loss], kills: list[float]) -> None:
    """All of LOSSES must be of workers that were killed, one worker a kill."""
    for loss in losses:
        assert any(killed <= loss.at < killed + AFTERMATH for killed in kills), loss
    for killed in kills:
        workers = {loss.worker for loss in losses if killed <= loss.at < killed + AFTERMATH} - {b""}
        assert len(workers) <= 1, workers


def check_numbers(crowd: Crowd, provider: Provider, gateway: GatewayProcess) -> None:
    """Nothing was asked twice, and each whole answer was asked and metered once.

    A worker that is killed takes the events of its last milliseconds along.
    """
    assert max(provider.asked.values()) == 1
    assert all(provider.asked[number] for number, _ in crowd.whole)
    metered = Counter(fields["request_id"] for fields in gateway.usage)
    assert max(metered.values()) == 1
    killed = {loss.worker.decode() for loss in crowd.losses}
    missing = [request_id for _, request_id in crowd.whole if not metered[request_id]]
    assert {request_id.partition("-")[0] for request_id in missing} <= killed
    assert len(missing) < len(crowd.whole) / 100
