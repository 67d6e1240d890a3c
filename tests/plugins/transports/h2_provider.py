"""A provider that speaks HTTP/2 over TLS, on the library `h2`."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import h2.config
import h2.connection
import h2.events


@dataclass(eq=False)
class H2Request:
    """A request as it came, and the stream to answer it on."""

    connection: "H2Connection"
    stream: int
    headers: list[tuple[bytes, bytes]]
    body: bytearray = field(default_factory=bytearray)

    def head(self, status: int, headers: list[tuple[bytes, bytes]], *, end: bool = False) -> None:
        self.connection.h2.send_headers(self.stream, [(b":status", b"%d" % status), *headers], end_stream=end)
        self.connection.flush()

    def data(self, data: bytes, *, end: bool = False) -> None:
        """Send DATA, as much as the windows allow; the rest follows when they open."""
        self.connection.pending.append((self.stream, memoryview(data), end))
        self.connection.push()

    def reset(self) -> None:
        self.connection.h2.reset_stream(self.stream)
        self.connection.flush()


class H2Connection(asyncio.Protocol):
    """One connection. `sent` counts the body bytes given to the kernel's side of things."""

    def __init__(self, provider: "H2Provider") -> None:
        self.provider = provider
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding=None))
        self.requests: dict[int, H2Request] = {}
        self.pending: list[tuple[int, memoryview, bool]] = []
        self.sent = 0
        self.writable = True
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.provider.connections.append(self)
        self.h2.initiate_connection()
        self.flush()

    def data_received(self, data: bytes) -> None:
        for event in self.h2.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                assert event.headers is not None
                headers = [(bytes(name), bytes(value)) for name, value in event.headers]
                self.requests[event.stream_id] = H2Request(self, event.stream_id, headers)
            elif isinstance(event, h2.events.DataReceived):
                self.requests[event.stream_id].body += event.data
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                request = self.requests[event.stream_id]
                self.provider.requests.append(request)
                self.provider.respond(request)
        self.push()

    def connection_lost(self, _error: Exception | None) -> None:
        self.lost.set()

    def pause_writing(self) -> None:
        self.writable = False

    def resume_writing(self) -> None:
        self.writable = True
        self.push()

    def push(self) -> None:
        while self.pending and self.writable:
            stream, data, end = self.pending.pop(0)
            size = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size, len(data))
            if data and not size:
                self.pending.insert(0, (stream, data, end))
                break
            self.h2.send_data(stream, bytes(data[:size]), end_stream=end and size == len(data))
            self.sent += size
            if size < len(data):
                self.pending.insert(0, (stream, data[size:], end))
            self.flush()
        self.flush()

    def flush(self) -> None:
        self.transport.write(self.h2.data_to_send())


class H2Provider:
    """Listens on loopback; RESPOND is called with each request when it is complete."""

    def __init__(self, tls: ssl.SSLContext, respond: Callable[[H2Request], None]) -> None:
        self.respond = respond
        self.requests: list[H2Request] = []
        self.connections: list[H2Connection] = []
        self._tls = tls

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: H2Connection(self), "127.0.0.1", 0, ssl=self._tls)
        self.authority = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for connection in self.connections:
            connection.transport.abort()
            await connection.lost.wait()
        await self._server.wait_closed()
