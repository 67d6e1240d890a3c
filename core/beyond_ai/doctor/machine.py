"""What the machine gives: file descriptors, and the addresses to listen on."""

import asyncio
import contextlib
import resource
from collections.abc import Callable
from typing import Final

import httpx

from beyond_ai.config import Address, Settings
from beyond_ai.doctor.finding import Finding, fail, ok
from beyond_ai.errors import BeyondError
from beyond_ai.gateway.sockets import bind

FILES: Final = 4096
"""Open files that a gateway should be allowed: two for each request under way, the client's and the provider's."""
BIND_WAIT: Final = 3.0
"""Seconds for the name in an address, where it is one."""
ANSWER_WAIT: Final = 2.0
"""Seconds that whoever holds an address has to say whether it is a gateway."""


def check_open_files() -> Finding:
    """The limit that this process has, which is a gateway's own when it is started the same way."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return ok("open files", "no limit")
    room = f"{soft}: about {max(0, soft - 64) // 2} requests at a time"
    if soft >= FILES:
        return ok("open files", room)
    raised = "" if hard == resource.RLIM_INFINITY or hard >= FILES else f" (its hard limit, {hard}, is root's to raise)"
    return fail(
        "open files",
        room,
        f"ulimit -n 65536 before it starts{raised}; LimitNOFILE=65536 in a systemd unit, --ulimit nofile=65536 for a "
        "container",
    )


async def check_listeners(settings: Settings) -> list[Finding]:
    """Both addresses, as the gateway would take them."""
    found = await asyncio.gather(
        _check_listener("listen", settings.listen, "/", _is_front),
        _check_listener("metrics_listen", settings.metrics_listen, "/livez", _is_admin),
    )
    return list(found)


async def _check_listener(name: str, address: Address, path: str, is_gateway: Callable[[object], bool]) -> Finding:
    try:
        async with asyncio.timeout(BIND_WAIT):
            (await asyncio.to_thread(bind, address)).close()
    except TimeoutError:
        return fail(
            name, f"{address}: the name was not looked up within {BIND_WAIT:g} s", "set an address in its place"
        )
    except BeyondError as error:
        if "in use" in error.message and await _answers(address, path, is_gateway):
            return ok(name, f"{address}: in use by a gateway that runs already")
        return fail(name, error.message, f"free it, or set {name} to another address")
    return ok(name, f"{address}: free")


async def _answers(address: Address, path: str, is_gateway: Callable[[object], bool]) -> bool:
    """Whether a gateway answers at ADDRESS."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address.host, address.host)  # noqa: S104 - what it listens on
    url = f"http://{Address(host, address.port)}{path}"
    with contextlib.suppress(httpx.HTTPError, ValueError):
        async with httpx.AsyncClient(trust_env=False, timeout=ANSWER_WAIT) as client:
            return is_gateway((await client.get(url)).json())
    return False


def _is_front(answer: object) -> bool:
    return isinstance(answer, dict) and answer.get("name") == "beyond-ai"


def _is_admin(answer: object) -> bool:
    return isinstance(answer, dict) and "status" in answer and "version" in answer
