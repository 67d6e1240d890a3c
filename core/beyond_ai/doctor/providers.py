"""Every provider, asked as the gateway asks it: by the transport in use, with its proxies and its trust in roots.

The question is `HEAD /` without a key; any answer will do. Beside it the name is looked up, and the certificate's last
day, which a transport does not tell, read off a connection of its own.

Who does not answer is a failure where the configuration means to use it, by a pool key or an authority. Of the others
clients may bring keys or not, and a closed firewall may be meant: they are a note, unless nobody answers at all.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Final

import certifi

from beyond_ai.doctor.configuration import Examined
from beyond_ai.doctor.finding import Finding, Health, fail, note, ok
from beyond_ai.errors import BeyondError
from beyond_ai.registry.plugin import one_line
from beyond_ai.spec.provider import Provider, split_authority
from beyond_ai.spec.transport import Headers, Transport, UpstreamFailure, UpstreamRequest
from beyond_ai.version import VERSION

LOOKUP_TIMEOUT: Final = 3.0
"""Seconds for a name."""
ANSWER_TIMEOUT: Final = 5.0
"""Seconds for an answer, and for everything else about a provider."""
CLOSE_TIMEOUT: Final = 1.0
"""Seconds for a transport to let go of what is open; nothing is lost with it."""
EXPIRES_SOON: Final = 14
"""Days that a certificate should last."""
OFFLINE: Final = "is this machine online, may it connect outside, and does its way out lead through a proxy?"


class _Ear:
    """Hears the head of an answer."""

    def __init__(self) -> None:
        self.heard: asyncio.Future[Headers] = asyncio.get_running_loop().create_future()

    def upstream_head(self, status: int, reason: bytes, headers: Headers) -> None:  # noqa: ARG002 - any will do
        if not self.heard.done():
            self.heard.set_result(headers)

    def upstream_failed(self, failure: UpstreamFailure) -> None:
        if not self.heard.done():
            self.heard.set_exception(ConnectionError(failure.message))

    def upstream_connect_retry(self) -> None: ...

    def upstream_informational(self, status: int, headers: Headers) -> None: ...

    def upstream_body(self, data: bytes, framed: bytes = b"") -> None: ...

    def upstream_end(self) -> None: ...

    def upstream_pause(self) -> None: ...

    def upstream_resume(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Reached:
    """What came of one provider: REASON is why it does not answer, SKEW how far this clock is ahead of its own."""

    reason: str = ""
    skew: float | None = None
    seconds: float = 0.0
    days: int | None = None
    """that its certificate lasts; None where that was not seen"""


async def check_providers(examined: Examined) -> tuple[list[Finding], list[float]]:
    """A line for each provider, and by how many seconds this clock is ahead of those of the ones that told theirs."""
    settings = examined.settings
    if settings is None:
        return [note("providers", "not checked: the configuration cannot be read")], []
    providers = [provider for provider in examined.providers.values() if not provider.embedded]
    transports, findings = _transports(examined, {provider.transport or settings.transport for provider in providers})
    asked = [provider for provider in providers if (provider.transport or settings.transport) in transports]
    results = await asyncio.gather(
        *(
            _reach(provider, transports[provider.transport or settings.transport], tls=settings.upstream_tls)
            for provider in asked
        )
    )
    for transport in transports.values():
        with suppress(Exception):
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await transport.aclose()
    meant = {*settings.pool_keys, *settings.provider_authorities}
    findings += [
        _said(provider, result, meant=provider.name in meant) for provider, result in zip(asked, results, strict=True)
    ]
    if results and all(result.reason for result in results) and Health.FAIL not in {each.health for each in findings}:
        findings.append(fail("providers", f"none of {len(results)} answers", OFFLINE))
    return findings, [result.skew for result in results if result.skew is not None]


def _transports(examined: Examined, names: set[str]) -> tuple[Mapping[str, Transport], list[Finding]]:
    context = replace(
        examined.context,
        upstream=replace(examined.context.upstream, connect_timeout=ANSWER_TIMEOUT, read_timeout=ANSWER_TIMEOUT),
    )
    made: dict[str, Transport] = {}
    findings: list[Finding] = []
    for name in sorted(names & set(examined.registry.transports())):
        try:
            made[name] = examined.registry.create("transport", name, context, examined.table("transport", name))
        except BeyondError as error:
            findings.append(fail(f"transport {name}", error.message, error.hint or "no gateway starts without it"))
    return made, findings


def _said(provider: Provider, result: Reached, *, meant: bool) -> Finding:
    name = f"provider {provider.name}"
    if result.reason:
        message = f"{provider.authority}: {result.reason}"
        if meant:
            return fail(name, message, f"{OFFLINE} provider_authorities.{provider.name} moves it")
        return note(name, f"{message}; it has no pool key: only clients' own keys would miss it")
    answers = f"{provider.authority}: answers in {result.seconds:.2f} s"
    if result.days is None:
        return ok(name, answers)
    lasting = f"{answers}, certificate for {result.days} more days"
    return ok(name, lasting) if result.days >= EXPIRES_SOON else note(name, f"{lasting}: it should be renewed")


async def _reach(provider: Provider, transport: Transport, *, tls: bool) -> Reached:
    host, port = split_authority(provider.authority)
    started = time.monotonic()
    look = asyncio.create_task(_look(host, port, tls=tls))
    try:
        headers = await _answer(transport, provider.name, host, port, tls=tls)
    except Exception as error:  # noqa: BLE001 - a transport may be a stranger's
        reason = f"no answer in {ANSWER_TIMEOUT:g} s" if isinstance(error, TimeoutError) else _plain(error)
        return Reached(reason=(await look).reason or reason)
    seconds = time.monotonic() - started
    return replace(await look, reason="", seconds=seconds, skew=_skew(headers))


async def _answer(transport: Transport, name: str, host: str, port: int, *, tls: bool) -> Headers:
    """The headers of whatever the provider answers. Raises ConnectionError and TimeoutError."""
    ear = _Ear()
    headers = [
        (b"Host", (f"[{host}]" if ":" in host else host).encode("ascii")),
        (b"User-Agent", f"beyond-ai/{VERSION} doctor".encode("ascii")),
    ]
    request = UpstreamRequest(name, b"HEAD", b"/", headers, host, port, tls, None, False)
    exchange = transport.open(request, ear)
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT):
            return await ear.heard
    finally:
        exchange.abort()


async def _look(host: str, port: int, *, tls: bool) -> Reached:
    """Whether the name is known, and how long its certificate lasts; what else fails is the transport's to say."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(LOOKUP_TIMEOUT):
            await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except TimeoutError:
        return Reached(reason=f"the name {host} was not looked up within {LOOKUP_TIMEOUT:g} s")
    except OSError as error:
        return Reached(reason=f"the name {host} is not found: {error.strerror or error}")
    if not tls:
        return Reached()
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(ANSWER_TIMEOUT - LOOKUP_TIMEOUT):
            _, writer = await asyncio.open_connection(host, port, ssl=_trusting())
        certificate = writer.get_extra_info("peercert")
        writer.transport.abort()
        ends = ssl.cert_time_to_seconds(certificate["notAfter"])
        return Reached(days=int((ends - time.time()) // 86400))
    return Reached()


def _trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


def _skew(headers: Headers) -> float | None:
    for name, value in headers:
        if name.lower() == b"date":
            with suppress(ValueError):
                # a date is cut to whole seconds: on average half of one has passed
                return time.time() - parsedate_to_datetime(value.decode("latin-1")).timestamp() - 0.5
    return None


def _plain(error: Exception) -> str:
    return str(error) if isinstance(error, ConnectionError) else one_line(error)
