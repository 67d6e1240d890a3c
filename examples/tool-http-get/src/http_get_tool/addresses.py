"""Which addresses may be connected to, and connections that keep to it.

A model may have been told by a page to look at what only this machine can reach (server-side request forgery). So a
name is resolved once, every address that it has is checked, and the connection goes to a checked address: between check
and use nobody can change the answer (DNS rebinding).
"""

import asyncio
import socket
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Final

import httpcore

Address = IPv4Address | IPv6Address

_PLATFORMS: Final = (IPv4Network("168.63.129.16/32"), IPv4Network("192.0.0.0/24"))
"""Where clouds have services of their own at addresses that Python may call public: Azure's, Oracle's."""
_UNICAST: Final = IPv6Network("2000::/3")
"""All that is public of IPv6."""
_NAT64: Final = IPv6Network("64:ff9b::/96")


class Refused(Exception):  # noqa: N818 - named for what has happened
    """The address must not be connected to."""


class AddressPolicy:
    """Public addresses, and those in ALLOWED: addresses or networks, as `127.0.0.1` or `10.1.0.0/16`."""

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self._allowed = [ip_network(text) for text in allowed]

    def check(self, host: str, text: str) -> None:
        """Raise Refused unless TEXT, an address of HOST, may be connected to."""
        address = ip_address(text.partition("%")[0])
        forms = _forms(address)
        if any(form in network for form in (address, *forms) for network in self._allowed):
            return
        for form in forms:
            if not _is_public(form):
                where = host if host == text else f"{host} is {text}, which"
                raise Refused(f"{where} is {_kind(form)}: only public addresses may be asked")


def _forms(address: Address) -> Sequence[Address]:
    """What ADDRESS leads to: itself, and IPv4 addresses that it holds; these alone where it is but a form of one."""
    if isinstance(address, IPv4Address):
        return (address,)
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    if address in _NAT64:
        return (IPv4Address(int(address) & 0xFFFF_FFFF),)
    return tuple(filter(None, (address, address.sixtofour, *(address.teredo or ()))))


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address):
        return address in _UNICAST and address.is_global
    return address.is_global and not address.is_multicast and not any(address in network for network in _PLATFORMS)


def _kind(address: Address) -> str:
    for is_it, kind in (
        (address.is_unspecified, "no address"),
        (address.is_loopback, "this machine"),
        (address.is_link_local, "link-local, where clouds keep credentials"),
        (address.is_multicast, "multicast"),
        (address.is_private, "private"),
    ):
        if is_it:
            return kind
    return "not public"


class CheckedConnections(httpcore.AsyncNetworkBackend):
    """Opens connections for httpcore: to checked addresses only. TLS still asks for the name."""

    def __init__(self, policy: AddressPolicy) -> None:
        self._policy = policy
        self._backend = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature is httpcore's
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address of HOST that answers, if all of them may be asked."""
        addresses = await resolved(host, port)
        for address in addresses:
            self._policy.check(host, address)
        failure: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in addresses:
            try:
                return await self._backend.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure


async def resolved(host: str, port: int) -> Sequence[str]:
    """The addresses of HOST, which may be one itself in any form that the system takes (`127.1`, `0x7f000001`)."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise httpcore.ConnectError(f"{host} is not found: {error}") from None
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))
