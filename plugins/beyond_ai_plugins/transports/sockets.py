"""What every transport sets on its sockets: trust in providers' certificates, and TCP's own check of a silent peer."""

import os
import socket
import ssl
from typing import Final

import certifi

from beyond_ai import UpstreamSettings

_MAX_INT: Final = 2**31 - 1
"""What a socket option holds."""


def tls_context(*, verify: bool) -> ssl.SSLContext:
    """A client's context that trusts the system's roots, or certifi's where the system has none.

    Without VERIFY it trusts any certificate.
    """
    context = ssl.create_default_context()
    paths = ssl.get_default_verify_paths()
    if not paths.cafile and not (paths.capath and os.listdir(paths.capath)):
        context.load_verify_locations(certifi.where())
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def tcp_options(settings: UpstreamSettings) -> list[tuple[int, int, int]]:
    """Socket options, as `setsockopt` takes them: no delay, and keepalive that finds a dead peer early."""
    idle, interval, count = settings.keepalive_idle, settings.keepalive_interval, settings.keepalive_count
    wanted = {
        "TCP_NODELAY": 1,
        "TCP_KEEPIDLE": idle,
        "TCP_KEEPALIVE": idle,  # the same by macOS's name
        "TCP_KEEPINTVL": interval,
        "TCP_KEEPCNT": count,
        "TCP_USER_TIMEOUT": min(1000 * (idle + interval * count), _MAX_INT),
    }
    options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    for name, value in wanted.items():
        option = getattr(socket, name, None)
        if option is not None:
            options.append((socket.IPPROTO_TCP, option, value))
    return options
