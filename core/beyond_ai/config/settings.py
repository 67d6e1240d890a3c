"""Every field with its default and its reason. `config.example.toml` is checked against this by a test."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_serializer, field_validator, model_validator
from pydantic_core import PydanticCustomError

from beyond_ai.config.values import (
    Address,
    Authority,
    Count,
    DialectName,
    KeepaliveCount,
    KeepaliveSeconds,
    KeyId,
    KeySchemeName,
    Limit,
    Listen,
    Names,
    Number,
    PoolKeys,
    ProviderName,
    PublicKey,
    Seconds,
    SecondsOrNone,
    Secret,
    Token,
    Workers,
    masked,
    without_password,
)
from beyond_ai.plugin_policy import RESERVED, PluginPolicy
from beyond_ai.prices import ModelPrice
from beyond_ai.spec.component import NatsSettings, UpstreamSettings


class Settings(BaseModel):
    """What a gateway starts with. Times are in seconds. Its text forms never show a secret.

    Made from arguments alone; `load_settings` reads the file and the environment.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, hide_input_in_errors=True)

    listen: Listen = Field(Address("0.0.0.0", 8080), description="client listener, plain HTTP; TLS ends in front of it")  # noqa: S104
    metrics_listen: Listen = Field(
        Address("0.0.0.0", 9090),  # noqa: S104
        description="admin listener: health, metrics, plugins, providers; keep it off the internet",
    )
    admin_token: Token | None = Field(
        None,
        description="token that all of it but health and metrics asks for, then from everyone; unset: shown on this "
        "machine only; secret",
    )
    workers: Workers = Field(0, description="processes that serve clients; 0 is one for each usable core")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="least severe log line that is written; env AI_LOG sets it too"
    )
    log_format: Literal["auto", "json", "human"] = Field(
        "auto",
        description="form of the log on stderr: json, human, or auto, which is human on a terminal and else json",
    )
    transport: str = Field("http1", description="plugin that talks to providers; httpx for HTTP/2 and proxies")
    scanner: str = Field(
        "auto", description="plugin that reads `model` out of bodies; auto takes the fastest installed"
    )
    sinks: Names = Field(("stdout",), description="plugins that each get every usage event; env: commas between names")
    observers: Names = Field((), description="plugins that each hear of every request's end; otel for OpenTelemetry")
    no_plugins: bool = Field(False, description="true starts with our own plugins alone, to find out who is to blame")
    plugins_strict: bool = Field(
        False, description="true refuses to start where a broken plugin would be set aside; for CI and plugin authors"
    )
    plugins_load_timeout_secs: Seconds = Field(
        5, description="seconds for a plugin's import, and for its hook; one that takes longer is set aside"
    )

    deny_store: str = Field(
        "nats", description="plugin that brings the deny-set; empty, in the file, for none: nobody is denied"
    )
    nats_url: str = Field("nats://localhost:4222", description="server of the watched sets (deny-set)")
    nats_creds: Secret | None = Field(None, description="NATS credentials, base64 of a .creds file; secret")
    nats_creds_file: Path | None = Field(None, description="path of a .creds file, in place of nats_creds")
    config_bucket: str = Field("ai-gateway", description="key-value bucket on NATS that holds the sets", min_length=1)
    snapshot_path: Path | None = Field(
        None, description="file that keeps the deny-set over a restart; leave unset on hosts without a lasting disk"
    )
    require_signing_keys: bool = Field(
        False, description="true refuses to start without signing keys, where every managed key would be a 401"
    )

    connect_timeout_secs: Seconds = Field(10, description="seconds to reach a provider, TLS included; 0 is refused")
    read_timeout_secs: Seconds = Field(
        600, description="seconds of silence before a provider is given up; a thinking model is silent for minutes"
    )
    write_timeout_secs: Seconds = Field(
        60, description="seconds for a provider to take the next bytes of a request; 0 is refused"
    )
    idle_timeout_secs: SecondsOrNone = Field(
        90, description="seconds that an unused provider connection is kept for the next request; 0 keeps none"
    )
    client_write_timeout_secs: Seconds = Field(
        60,
        description="seconds for a client to take the next bytes; one that stops reading holds a connection",
    )
    shutdown_grace_period_secs: SecondsOrNone = Field(
        600, description="seconds for running requests to end after SIGTERM; keep below the orchestrator's stop timeout"
    )
    shutdown_runtime_timeout_secs: SecondsOrNone = Field(
        10, description="seconds for workers to close everything after that; one that has not left then is killed"
    )
    drain_timeout_secs: SecondsOrNone = Field(
        120,
        description="seconds to read on, for its usage, an answer whose client left and whose provider bills it "
        "all the same; 0: estimate",
    )
    drain_max_bytes: Count = Field(16 * 1024 * 1024, description="bytes to read on of one such answer")
    drain_max_streams: Count = Field(256, description="such answers that are read on at a time")
    tcp_keepalive_idle_secs: KeepaliveSeconds = Field(
        15, description="seconds of silence before TCP asks whether a provider is still there"
    )
    tcp_keepalive_interval_secs: KeepaliveSeconds = Field(5, description="seconds between two of those probes")
    tcp_keepalive_count: KeepaliveCount = Field(3, description="probes without an answer before the connection is dead")

    upstream_tls: bool = Field(True, description="false talks plain HTTP to every provider; for tests only")
    upstream_http2: bool = Field(True, description="offer HTTP/2 where the transport can; http1 cannot")
    upstream_verify_cert: bool = Field(True, description="false trusts any certificate; for tests only")

    rate_limit_rps: Limit = Field(100, description="requests a second for each credential; 0 is no limit")
    byo_rate_limit_rps: Limit = Field(
        1000, description="requests a second for all clients with their own keys together; 0 is no limit"
    )
    circuit_breaker_threshold: Annotated[int, Number] = Field(
        20, description="failures of a provider in one window that stop requests to it; 0 never stops", ge=0, le=16383
    )
    circuit_breaker_window_secs: SecondsOrNone = Field(10, description="seconds that the window lasts")
    circuit_breaker_reset_secs: SecondsOrNone = Field(
        30, description="seconds until one request may try the provider again"
    )
    tenant_max_in_flight: Limit = Field(0, description="requests of one tenant at a time; 0 is no limit")
    max_buffered_body_bytes: Count = Field(
        512 * 1024 * 1024, description="bytes of request bodies that the whole gateway may hold in memory at a time"
    )

    signing_keys: dict[KeyId, PublicKey] = Field(
        {},
        description="key id = Ed25519 public key, base64; managed keys must verify with one; env AI_SIGNING_KEY_<KID>",
    )
    pool_keys: dict[ProviderName, PoolKeys] = Field(
        {}, description="provider = key or list of keys, put in for managed keys; secret; env AI_POOL_KEY_<NAME>"
    )
    provider_authorities: dict[ProviderName, Authority] = Field(
        {}, description="provider = host:port; moves a known provider or adds a new one"
    )
    provider_dialects: dict[ProviderName, DialectName] = Field(
        {}, description="wire of an added provider: openai (default) or anthropic"
    )
    provider_auth_schemes: dict[ProviderName, KeySchemeName] = Field(
        {}, description="how an added provider wants its key: bearer (default), x-api-key or api-key"
    )
    agent_prices: dict[str, ModelPrice] = Field(
        {}, description="model = US dollars a million tokens; `beyond-ai agent` shows money for these models only"
    )
    plugins: dict[str, object] = Field(
        {}, description="disabled, allow and prefer for all plugins; [plugins.<name>] is one plugin's own table"
    )

    @field_validator("log_level", mode="before")
    @classmethod
    def _log_level(cls, value: object) -> object:
        level = value.strip().lower() if isinstance(value, str) else value
        return "warning" if level == "warn" else level

    @field_validator("plugins")
    @classmethod
    def _plugins(cls, value: dict[str, object]) -> dict[str, object]:
        try:
            PluginPolicy.from_table(value)
        except ValueError as error:
            raise PydanticCustomError("below", "{problems}", {"problems": str(error)}) from None
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problems: list[str] = []
        if self.require_signing_keys and not self.signing_keys:
            problems.append("signing_keys: is empty, and require_signing_keys is true")
        if self.nats_creds is not None and self.nats_creds_file is not None:
            problems.append("nats_creds_file: nats_creds is set too; keep one of them")
        if self.circuit_breaker_threshold:
            problems += [
                f"{name}: must be greater than 0 while circuit_breaker_threshold is not 0"
                for name in ("circuit_breaker_window_secs", "circuit_breaker_reset_secs")
                if not getattr(self, name)
            ]
        if problems:
            raise PydanticCustomError("below", "{problems}", {"problems": "\n".join(problems)})
        return self

    @field_serializer("plugins", when_used="json")
    def _shown_plugins(self, value: dict[str, object]) -> dict[str, object]:
        return {key: item if key in RESERVED else masked(item) for key, item in value.items()}

    @field_serializer("nats_url", when_used="json")
    def _shown_nats_url(self, value: str) -> str:
        return without_password(value)

    def shown(self) -> dict[str, object]:
        """Every field as JSON values, secrets as `***`."""
        return self.model_dump(mode="json")

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{key}={value!r}' for key, value in self.shown().items())})"

    __str__ = __repr__

    def upstream(self) -> UpstreamSettings:
        """What transports need of these settings."""
        return UpstreamSettings(
            connect_timeout=self.connect_timeout_secs,
            read_timeout=self.read_timeout_secs,
            write_timeout=self.write_timeout_secs,
            idle_timeout=self.idle_timeout_secs,
            verify_cert=self.upstream_verify_cert,
            http2=self.upstream_http2,
            keepalive_idle=self.tcp_keepalive_idle_secs,
            keepalive_interval=self.tcp_keepalive_interval_secs,
            keepalive_count=self.tcp_keepalive_count,
        )

    def nats(self) -> NatsSettings:
        """What a client of the control plane's NATS needs of these settings."""
        creds = self.nats_creds
        return NatsSettings(
            url=self.nats_url,
            creds=None if creds is None else creds.get_secret_value(),
            creds_file=self.nats_creds_file,
            bucket=self.config_bucket,
        )

    def plugin_policy(self) -> PluginPolicy:
        """Which plugins may be used."""
        return PluginPolicy.from_table(
            self.plugins,
            third_party=not self.no_plugins,
            strict=self.plugins_strict,
            load_timeout=self.plugins_load_timeout_secs,
        )

    def plugin_table(self, name: str) -> dict[str, object] | None:
        """The table `[plugins.<name>]` of the plugin whose entry point is called NAME; None when there is none."""
        table = self.plugins.get(name)
        return dict(table) if name not in RESERVED and isinstance(table, Mapping) else None
