"""Listening sockets, and the event loop they are served in."""

import asyncio
import socket
from collections.abc import Callable
from typing import Final

from beyond_ai.config.values import Address
from beyond_ai.errors import BeyondError

BACKLOG: Final = 4096


def bind(address: Address) -> socket.socket:
    """A listening socket on ADDRESS. Raises BeyondError."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind((address.host, address.port))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise BeyondError(
            f"cannot listen on {address}: {error.strerror}",
            "is another gateway running? choose another address, --listen HOST:PORT or --metrics-listen HOST:PORT",
        ) from None
    sock.setblocking(False)
    return sock


def url_of(sock: socket.socket) -> str:
    """The URL of a listening socket."""
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def fast_loop() -> Callable[[], asyncio.AbstractEventLoop]:
    """What makes the event loop that client connections are served in: uvloop's where it is installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop
