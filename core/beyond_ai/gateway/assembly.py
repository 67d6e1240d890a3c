"""From settings and plugins to a `Gateway`: everything that is decided once, when the program starts."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from beyond_ai.config import Settings
from beyond_ai.config.resolution import unresolved
from beyond_ai.errors import BeyondError, ConfigError, PluginError
from beyond_ai.gateway.admission import Admission
from beyond_ai.gateway.body_budget import BodyBudget
from beyond_ai.gateway.breaker import CircuitBreaker, circuit_breakers
from beyond_ai.gateway.drain import DrainLimits, Drains
from beyond_ai.gateway.gateway import Clock, Gateway
from beyond_ai.gateway.in_flight import TenantsInFlight
from beyond_ai.gateway.limits import breaker_policy
from beyond_ai.gateway.metering import Ledger
from beyond_ai.gateway.metrics import Metrics
from beyond_ai.gateway.observers import Observers
from beyond_ai.gateway.rate_limit import RateLimiter, RateLimits
from beyond_ai.gateway.request_id import RequestIds
from beyond_ai.gateway.route import Router, Upstream, configured_providers
from beyond_ai.gateway.sections import own_rows
from beyond_ai.gateway.shared_rows import SharedRows
from beyond_ai.registry import Registry, State, load
from beyond_ai.registry.scanners import choose_scanner
from beyond_ai.spec.auth import AuthScheme, DevAuthScheme, DevCredential
from beyond_ai.spec.component import Context
from beyond_ai.spec.deny import DenySet, DenyStore
from beyond_ai.spec.observer import Observer
from beyond_ai.spec.provider import Provider, split_authority
from beyond_ai.spec.scanner import Scanner, ScannerFactory
from beyond_ai.spec.sink import UsageSink
from beyond_ai.spec.transport import Headers, Transport

_log = logging.getLogger(__name__)

KINDS = ("provider", "auth", "scanner", "sink", "transport", "deny_store", "observer")
"""The kinds of plugin that the gateway loads; it never imports a tool."""


@dataclass(slots=True, kw_only=True)
class Assembly:
    """A gateway that is ready to serve, and what has a life of its own beside it."""

    settings: Settings
    registry: Registry
    gateway: Gateway
    rows: SharedRows
    upstreams: Mapping[str, Upstream]
    sinks: Mapping[str, UsageSink]
    observers: Observers
    transports: Mapping[str, Transport]
    denied: DenySet
    deny_store: DenyStore | None
    scanner: str
    dev_credential: DevCredential | None
    embedded: tuple[str, ...]
    """providers that the embedded upstream answers for, in `--dev`"""


def assemble(
    settings: Settings, *, dev: bool = False, rows_for: Callable[[Sequence[str]], SharedRows] = own_rows
) -> Assembly:
    """Build the gateway that SETTINGS ask for. Raises ConfigError or PluginError; nothing is open yet then.

    With DEV, providers without a pool key are answered by the embedded upstream, and a credential is made. ROWS_FOR
    is asked for the shared memory, with the names of the providers.
    """
    registry = load(KINDS, settings.plugin_policy())
    _require_auth(registry)
    problems = unresolved(settings, registry)
    if problems:
        raise ConfigError("\n".join(problems), "`beyond-ai plugins list` shows what is installed, and in which state")
    providers = configured_providers(
        registry.providers().values(),
        settings.provider_authorities,
        settings.provider_dialects,
        settings.provider_auth_schemes,
    )
    metrics = Metrics(sorted(providers))
    builder = _Builder(
        settings,
        registry,
        Context(
            signing_keys=settings.signing_keys,
            upstream=settings.upstream(),
            nats=settings.nats(),
            snapshot_path=settings.snapshot_path,
            count=metrics.count_plugin_event,
        ),
    )
    schemes = builder.auth_schemes()
    credential = _dev_credential(schemes) if dev else None
    names = sorted(providers)
    rows = rows_for(names)
    upstreams, embedded = builder.upstreams(providers, _breakers(settings, rows, names), dev=dev)
    scanner, factory = builder.scanner()
    sinks = builder.sinks()
    metrics.sinks = frozenset(sinks)
    observers = Observers(builder.observers(), metrics.count_plugin_event)
    denied = DenySet()
    metrics.denied = denied
    metrics.deny_store = store = None if dev else builder.deny_store()
    if not settings.signing_keys and not dev:
        _log.warning("no signing keys: managed keys are refused, clients' own keys pass through")
    gateway = Gateway(
        admission=Admission(
            Router(upstreams),
            schemes,
            upstream_tls=settings.upstream_tls,
            limiter=RateLimiter(RateLimits(credential=settings.rate_limit_rps, byo=settings.byo_rate_limit_rps), rows),
            denied=denied,
            tenants=TenantsInFlight(settings.tenant_max_in_flight, rows) if settings.tenant_max_in_flight else None,
        ),
        ledger=Ledger(metrics, [(name, sink.emit) for name, sink in sinks.items()], observers or None),
        metrics=metrics,
        new_scanner=factory,
        client_write_timeout=settings.client_write_timeout_secs,
        drains=Drains(
            DrainLimits(
                settings.drain_timeout_secs,
                settings.drain_max_bytes,
                -(-settings.drain_max_streams // rows.rows),  # each worker's part
            ),
            metrics,
        ),
        body_budget=BodyBudget(settings.max_buffered_body_bytes, rows),
        request_ids=RequestIds(),
        clock=Clock(),
    )
    return Assembly(
        settings=settings,
        registry=registry,
        gateway=gateway,
        rows=rows,
        upstreams=upstreams,
        sinks=sinks,
        observers=observers,
        transports=builder.transports,
        denied=denied,
        deny_store=store,
        scanner=scanner,
        dev_credential=credential,
        embedded=embedded,
    )


class _Builder:
    """Creates components, each with its own context and table."""

    def __init__(self, settings: Settings, registry: Registry, context: Context) -> None:
        self._settings = settings
        self._registry = registry
        self._context = context
        self.transports: dict[str, Transport] = {}

    def _table(self, kind: str, name: str) -> Mapping[str, object] | None:
        return self._settings.plugin_table(self._registry.origin(kind, name).name)

    def auth_schemes(self) -> list[AuthScheme]:
        """All auth schemes, in order. This seam fails closed: one that cannot be created stops the start."""
        names = self._registry.auth_schemes()
        return [self._registry.create("auth", name, self._context, self._table("auth", name)) for name in names]

    def scanner(self) -> tuple[str, Callable[[], Scanner]]:
        """The scanner to use: the configured one, or the best of those that can be created."""

        def create(name: str) -> ScannerFactory:
            return self._registry.create("scanner", name, self._context, self._table("scanner", name))

        def failed(name: str, error: PluginError) -> None:
            self._set_aside("scanner", name, error)

        name, factory = choose_scanner(self._registry, self._settings.scanner, create, failed)
        return name, factory.scanner

    def sinks(self) -> dict[str, UsageSink]:
        """The configured sinks. This seam fails open: one that cannot be created is set aside."""
        made: dict[str, UsageSink] = {}
        for name in self._settings.sinks:
            try:
                made[name] = self._registry.create("sink", name, self._context, self._table("sink", name))
            except PluginError as error:
                self._set_aside("sink", name, error)
        return made

    def observers(self) -> dict[str, Observer]:
        """The configured observers. This seam fails open: one that cannot be created is set aside."""
        made: dict[str, Observer] = {}
        for name in self._settings.observers:
            try:
                made[name] = self._registry.create("observer", name, self._context, self._table("observer", name))
            except PluginError as error:
                self._set_aside("observer", name, error)
        return made

    def deny_store(self) -> DenyStore | None:
        """The configured deny store. This seam fails open: one that cannot be created is set aside."""
        name = self._settings.deny_store
        if not name:
            return None
        try:
            return self._registry.create("deny_store", name, self._context, self._table("deny_store", name))
        except PluginError as error:
            self._set_aside("deny_store", name, error)
            return None

    def transport(self, name: str) -> Transport:
        """The transport NAME, created once."""
        if name not in self.transports:
            known = self._registry.transports()
            if name not in known:
                raise ConfigError(f"transport {name!r} is not installed", f"installed: {', '.join(known)}")
            self.transports[name] = self._registry.create(
                "transport", name, self._context, self._table("transport", name)
            )
        return self.transports[name]

    def upstreams(
        self, providers: Mapping[str, Provider], breakers: Mapping[str, CircuitBreaker], *, dev: bool
    ) -> tuple[dict[str, Upstream], tuple[str, ...]]:
        """Each provider as it is reached, and, in DEV, the names of those that the embedded upstream answers for."""
        embedded = next((provider for provider in providers.values() if provider.embedded), None)
        if dev and embedded is None:
            raise BeyondError("--dev needs an embedded upstream, and no plugin offers one", "enable the plugin `echo`")
        upstreams: dict[str, Upstream] = {}
        answered_for: list[str] = []
        for name, provider in providers.items():
            if provider.embedded and not dev:
                continue
            pool_key = self._pool_key(name)
            transport = provider.transport
            if dev and embedded is not None and pool_key is None and not provider.embedded:
                transport = embedded.transport
                answered_for.append(name)
                provider = replace(  # noqa: PLW2901 - what is known of the provider does not hold for its stand-in
                    provider, stream_usage=embedded.stream_usage, usage=embedded.usage, keeps_generating=False
                )
            upstreams[name] = self._upstream(provider, transport, pool_key, needs_key=not (dev and pool_key is None))
            upstreams[name].breaker = breakers.get(name)
        return upstreams, tuple(answered_for)

    def _pool_key(self, name: str) -> str | None:
        keys = self._settings.pool_keys.get(name)
        return keys[0].get_secret_value() if keys else None

    def _upstream(
        self, provider: Provider, transport: str | None, pool_key: str | None, *, needs_key: bool
    ) -> Upstream:
        host, port = split_authority(provider.authority)
        headers: Headers | None = None
        if pool_key is not None or not needs_key or not provider.needs_key:
            headers = [] if pool_key is None else [provider.key_scheme.header(pool_key)]
            headers += [(key.encode("ascii"), value.encode("ascii")) for key, value in provider.pool_headers]
        return Upstream(
            provider=provider,
            name=provider.name,
            host=host,
            port=port,
            host_header=(f"[{host}]" if ":" in host else host).encode("ascii"),
            transport=self.transport(transport or self._settings.transport),
            pool_headers=headers,
            response_header=b"x-beyond-provider: %b\r\n" % provider.name.encode("ascii"),
            secret=None if pool_key is None else pool_key.encode("ascii"),
        )

    def _set_aside(self, kind: str, name: str, error: PluginError) -> None:
        _log.error("%s", error.message)
        self._registry.fail(kind, name, error.message)


def _require_auth(registry: Registry) -> None:
    """Refuse to start without an auth plugin that should be there: its credentials would pass for clients' own keys."""
    for plugin in registry.plugins:
        if plugin.kind.name != "auth":
            continue
        if plugin.state in (State.FAILED, State.UNAVAILABLE):
            raise plugin.error(plugin.reason)
        if plugin.state is State.DISABLED:
            _log.warning(
                "auth plugin %s is disabled: its credentials go to providers as clients' own keys", plugin.name
            )


def _breakers(settings: Settings, rows: SharedRows, names: Sequence[str]) -> Mapping[str, CircuitBreaker]:
    """The circuit breaker of each provider; none where they are switched off."""
    return circuit_breakers(breaker_policy(settings), rows, names) if settings.circuit_breaker_threshold else {}


def _dev_credential(schemes: list[AuthScheme]) -> DevCredential:
    for scheme in schemes:
        if isinstance(scheme, DevAuthScheme):
            return scheme.dev_credential()
    raise BeyondError("--dev needs an auth scheme that can make a credential", "enable the plugin `bai`")
