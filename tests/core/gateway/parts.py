"""Parts that the tests of the gateway's rooms put together: real providers, plain upstreams, parsed requests."""

from collections.abc import Iterable, Sequence
from functools import cache

from beyond_ai.gateway import rate_limit
from beyond_ai.gateway.admission import Admission
from beyond_ai.gateway.rate_limit import RateLimiter, RateLimits
from beyond_ai.gateway.request import Request
from beyond_ai.gateway.route import Router, Upstream
from beyond_ai.gateway.shared_rows import SharedRows
from beyond_ai.registry import PluginPolicy, load
from beyond_ai.spec.auth import AuthScheme
from beyond_ai.spec.deny import DenySet
from beyond_ai.spec.provider import Provider, split_authority
from beyond_ai.spec.transport import Transport, UpstreamEvents, UpstreamExchange, UpstreamRequest


class NoTransport:
    """Stands where a transport is needed and nothing may be opened."""

    def open(self, request: UpstreamRequest, events: UpstreamEvents) -> UpstreamExchange:
        raise AssertionError(f"nothing may be opened here: {request}")

    async def aclose(self) -> None:
        pass


@cache
def known_providers() -> tuple[Provider, ...]:
    """The providers that we ship, but for the embedded one."""
    offered = load(("provider",), PluginPolicy(third_party=False)).providers().values()
    return tuple(provider for provider in offered if not provider.embedded)


def upstream_of(provider: Provider, pool_key: str | None = None, transport: Transport | None = None) -> Upstream:
    """PROVIDER as the gateway would reach it, with POOL_KEY where there is one."""
    host, port = split_authority(provider.authority)
    return Upstream(
        provider=provider,
        name=provider.name,
        host=host,
        port=port,
        host_header=host.encode(),
        transport=transport or NoTransport(),
        pool_headers=None if pool_key is None else [provider.key_scheme.header(pool_key)],
        response_header=b"x-beyond-provider: %b\r\n" % provider.name.encode(),
    )


def router_of(providers: Iterable[Provider], *, pool_keys: Iterable[str] = ()) -> Router:
    """A router over PROVIDERS; those in POOL_KEYS have one, `pool-NAME`."""
    keyed = set(pool_keys)
    return Router({p.name: upstream_of(p, f"pool-{p.name}" if p.name in keyed else None) for p in providers})


def admission_of(
    router: Router,
    schemes: Sequence[AuthScheme],
    *,
    upstream_tls: bool = True,
    limits: RateLimits | None = None,
    denied: DenySet | None = None,
) -> Admission:
    """The checks over ROUTER and SCHEMES, without ceilings and with nobody denied unless told."""
    rows = SharedRows.create(1, {rate_limit.SECTION: rate_limit.WORDS})
    limiter = RateLimiter(limits or RateLimits(credential=0, byo=0), rows)
    denied = DenySet() if denied is None else denied
    return Admission(router, schemes, upstream_tls=upstream_tls, limiter=limiter, denied=denied)


def asked(*headers: tuple[bytes, bytes], method: bytes = b"POST", target: bytes = b"/v1/chat/completions") -> Request:
    """A request as it is when its head was parsed."""
    request = Request()
    request.method, request.target = method, target
    for name, value in headers:
        request.add_header(name, value)
    return request
