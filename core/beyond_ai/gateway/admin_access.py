"""Who may see more of the admin listener than health and metrics.

Without a token: whoever asks from this machine, by a name of it. The name is looked at because a page in the operator's
browser can ask from this machine too, under a host name of its own that it has had resolve to loopback (DNS rebinding).
With a token: whoever sends it, and nobody else, since behind a proxy on this machine every request comes from it.
"""

import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Final

_AUTHORITY: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^:\[\]]+))(?::[0-9]*)?")
"""`host`, `host:port`, `[v6]` or `[v6]:port` (RFC 9110, section 7.2)."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why not, and what to do."""

    status: int
    message: str


WRONG_TOKEN: Final = Refusal(401, "send the gateway's admin_token as `Authorization: Bearer TOKEN`")
NOT_LOOPBACK: Final = Refusal(
    403,
    "without an admin_token this is shown on the gateway's own machine only: ask there, or set admin_token "
    "(AI_ADMIN_TOKEN) and send it as `Authorization: Bearer TOKEN`",
)
NOT_ITS_NAME: Final = Refusal(
    403,
    "without an admin_token this is shown under a name of loopback only: ask http://localhost or http://127.0.0.1, or "
    "set admin_token (AI_ADMIN_TOKEN) and send it as `Authorization: Bearer TOKEN`",
)


class Access:
    """The rule, for a gateway whose admin token is TOKEN; None where it has none."""

    def __init__(self, token: str | None) -> None:
        self._token = None if token is None else token.encode("ascii")

    def refusal(self, peer: str | None, hosts: Sequence[str], credential: str | None) -> Refusal | None:
        """Why a request is refused; None when it is not.

        PEER is the address that it comes from, HOSTS its `Host` headers, CREDENTIAL what stands behind `Bearer`.
        """
        if self._token is not None:
            sent = (credential or "").encode("utf-8", "surrogateescape")
            return None if hmac.compare_digest(sent, self._token) else WRONG_TOKEN
        if peer is None or not is_loopback(peer):
            return NOT_LOOPBACK
        return None if len(hosts) == 1 and _names_loopback(hosts[0]) else NOT_ITS_NAME


def is_loopback(address: str) -> bool:
    """Whether ADDRESS, without brackets, is this machine's own: 127.0.0.0/8, also as an IPv6 socket sees it, or ::1."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        return parsed.ipv4_mapped.is_loopback
    return parsed.is_loopback


def _names_loopback(authority: str) -> bool:
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        return False
    host = match[1] or match[2]
    return host.lower() == "localhost" or is_loopback(host)
