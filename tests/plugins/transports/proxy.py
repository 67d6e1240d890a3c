"""A proxy on loopback, of either kind: HTTP (absolute form and CONNECT, RFC 9110) or SOCKS5 (RFC 1928, 1929)."""

import asyncio
import contextlib
import socket
from types import TracebackType
from typing import Literal, Self


class Proxy:
    """Takes every request to PROVIDER, whatever host it names. `heads` holds what it was asked, `status` refuses."""

    def __init__(self, kind: Literal["http", "socks5"], provider: str, status: bytes = b"200 OK") -> None:
        self.kind = kind
        self.heads: list[bytes] = []
        self._provider = provider
        self._status = status
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.authority = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                first = await (self._http(reader, writer) if self.kind == "http" else self._socks(reader, writer))
                if first is not None:
                    await self._join(reader, writer, first)
        finally:
            writer.transport.abort()
            self._tasks.discard(task)

    async def _http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes | None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        if not head.startswith(b"CONNECT "):
            return head
        writer.write(b"HTTP/1.1 %b\r\n\r\n" % self._status)
        await writer.drain()
        return b"" if self._status.startswith(b"200") else None

    async def _socks(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes | None:
        _, count = await reader.readexactly(2)
        methods = await reader.readexactly(count)
        if 2 in methods:
            writer.write(b"\x05\x02")
            _, size = await reader.readexactly(2)
            user = await reader.readexactly(size)
            secret = await reader.readexactly((await reader.readexactly(1))[0])
            self.heads.append(user + b":" + secret)
            writer.write(b"\x01\x00")
        else:
            writer.write(b"\x05\x00")
        _, _, _, kind = await reader.readexactly(4)
        if kind == 3:
            host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        else:
            host = socket.inet_ntoa(await reader.readexactly(4))
        port = int.from_bytes(await reader.readexactly(2), "big")
        self.heads.append(f"{host}:{port}".encode())
        writer.write(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x01")
        await writer.drain()
        return b""

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, first: bytes) -> None:
        host, _, port = self._provider.rpartition(":")
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        far_writer.write(first)
        try:
            await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
        finally:
            far_writer.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.transport.abort()
