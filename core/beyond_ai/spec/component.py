"""What the object-making seams yield: a name, a line about it, and how to make it when the gateway starts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from pydantic import BaseModel

T = TypeVar("T")
M = TypeVar("M", bound="BaseModel")


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamSettings:
    """How the gateway talks to providers; times in seconds. See `config.example.toml` for each default's reason."""

    connect_timeout: float = 10.0
    read_timeout: float = 600.0
    write_timeout: float = 60.0
    idle_timeout: float = 90.0
    verify_cert: bool = True
    http2: bool = True
    keepalive_idle: int = 15
    keepalive_interval: int = 5
    keepalive_count: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class NatsSettings:
    """Where the control plane's NATS is, and how to log in.

    `url` may hold a user and password, and several servers between commas; `creds` is a .creds file in base64, and
    secret, `creds_file` the path of one. `bucket` is the key-value bucket that holds the sets.
    """

    url: str = field(default="nats://localhost:4222", repr=False)
    creds: str | None = field(default=None, repr=False)
    creds_file: Path | None = None
    bucket: str = "ai-gateway"


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a component is given when it is created.

    `config` is the plugin's own table, `[plugins.<name>]`, already checked against the model that it declared.
    `signing_keys` maps a key id to a raw 32-byte Ed25519 public key. `count(name, label)` adds one to a counter
    that the metrics page shows as `ai_plugin_events_total{event=name,label=label}`; it may be called from any thread.
    `snapshot_path` is the file in which a deny store keeps the set over a restart; None where there is none to keep.
    `warn(text)` shows a line to the user of an agent's run; from the event loop's thread only. The gateway shows none.
    """

    config: "BaseModel | None" = None
    signing_keys: Mapping[int, bytes] = field(default_factory=dict)
    upstream: UpstreamSettings = UpstreamSettings()
    nats: NatsSettings = NatsSettings()
    snapshot_path: Path | None = None
    count: Callable[[str, str], None] = lambda _name, _label: None
    warn: Callable[[str], None] = lambda _text: None

    def settings(self, model: type[M]) -> M:
        """The plugin's own table as an instance of MODEL, the model named in its `Component`."""
        if not isinstance(self.config, model):
            raise TypeError(f"this component declared no config model {model.__name__}")
        return self.config


@dataclass(frozen=True, slots=True, kw_only=True)
class Component(Generic[T]):
    """A part that is made once, when the gateway starts.

    `create` is called with a `Context`, outside the event loop's hot path but in its thread, and must not block
    for long. What it raises sets the plugin aside (a fail-open kind) or stops the start (auth), with the reason.
    """

    name: str
    summary: str
    create: Callable[[Context], T]
    config: "type[BaseModel] | None" = None
