"""A gigabyte through the gateway, each way: it holds no more than it did before."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.gateway_process import MANAGED, gateway_config, resident

from beyond_ai.testing import GatewayProcess, chat, chunk, chunked_head
from beyond_ai.testing.answer import Answer

GROWTH = 2 << 20
"""Bytes of resident memory."""
GIGABYTE = 1 << 30
WARM_UP = 96 << 20
UPLOAD = 90 << 20
"""Bytes of one request body; the gateway takes 100 MiB."""
ANSWER = Answer(input_tokens=2000, output_tokens=150)
FRAMES = chunk(chat.frames(ANSWER)[1] * 512)
LAST = b"".join(map(chunk, chat.frames(ANSWER)[-3:])) + chunk(b"")
TEXT = b'some words of a prompt, and a quote \\" ' * 1600


class Provider:
    """Reads a request to its end, counting, then streams as many bytes as `answers` says. Raw, so that it is fast."""

    def __init__(self) -> None:
        self.received = 0
        self.answers = 0
        self.authority = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
        tail = b""
        while not (size and self.received >= size) and not tail.endswith(b"\r\n0\r\n\r\n"):
            data = await reader.read(1 << 20)
            if not data:
                return
            self.received += len(data)
            tail = (tail + data)[-16:]
        writer.write(chunked_head(200, [(b"content-type", b"text/event-stream")]))
        for _ in range(self.answers // len(FRAMES)):
            writer.write(FRAMES)
            await writer.drain()
        writer.write(LAST)
        await writer.drain()
        writer.close()


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    made = Provider()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, limit=1 << 20)
    made.authority = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield made


async def stream(gateway: GatewayProcess, size: int) -> int:
    """Send a request of SIZE bytes for a stream and read the answer; how many bytes came back."""
    reader, writer = await asyncio.open_connection(gateway.host, gateway.port, limit=1 << 20)
    start, end = b'{"messages":[{"role":"user","content":"', b'"}],"model":"gpt-4o","stream":true}'
    count = max(0, size - len(start) - len(end)) // len(TEXT)
    length = len(start) + len(end) + count * len(TEXT)
    key = MANAGED.openai_key.encode()
    writer.write(
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: gateway.test\r\nAuthorization: Bearer %b\r\nConnection: close\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (key, length, start)
    )
    for _ in range(count):
        writer.write(TEXT)
        await writer.drain()
    writer.write(end)
    received = 0
    while data := await reader.read(1 << 20):
        received += len(data)
    writer.close()
    return received


@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from /proc")
async def test_memory_does_not_grow_with_what_passes(provider: Provider, tmp_path: Path) -> None:
    with GatewayProcess(gateway_config(provider.authority, "127.0.0.1:1"), folder=tmp_path) as gateway:

        async def upload(total: int) -> None:
            provider.answers = 0
            for _ in range(max(1, total // UPLOAD)):
                provider.received = 0
                await stream(gateway, UPLOAD)
                assert provider.received >= UPLOAD - 2 * len(TEXT)

        async def download(total: int) -> None:
            provider.received, provider.answers = 0, total
            assert await stream(gateway, 0) >= total - len(FRAMES)

        await upload(WARM_UP)
        await download(WARM_UP)
        before = resident(gateway)
        await upload(GIGABYTE)
        await download(GIGABYTE)
        events = await gateway.usage_events(4 + GIGABYTE // UPLOAD - 1)
        assert {event["output_tokens"] for event in events} == {150}
        grown = resident(gateway) - before
        assert grown < GROWTH, grown
