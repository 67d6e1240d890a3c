"""What the store offers: its name, its settings, and how it is made."""

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict, Field

from beyond_ai import Component, Context, DenyStore, hookimpl


class NatsConfig(BaseModel):
    """The table `[plugins.nats]`. Server, login, bucket and snapshot are settings of the gateway itself."""

    model_config = ConfigDict(extra="forbid")

    rescan_secs: float = Field(60.0, gt=0, allow_inf_nan=False)
    """Seconds between two looks at whether entries left without a word; only then is the bucket read again."""
    heartbeat_secs: float = Field(5.0, ge=0.1, le=60)
    """Seconds of silence after which the server has to say that it is there; three of them missed end a connection."""
    retry_secs: float = Field(1.0, gt=0, allow_inf_nan=False)
    """Seconds until a failed connection is tried again; doubles each time."""
    retry_max_secs: float = Field(30.0, gt=0, allow_inf_nan=False)
    """Seconds that it doubles to, and that a connection has to last for the next failure to begin at `retry_secs`."""
    timeout_secs: float = Field(5.0, gt=0, allow_inf_nan=False)
    """Seconds for the server to take a connection, or to answer a request."""


def _create(context: Context) -> DenyStore:
    from beyond_ai_plugins.deny.nats.store import NatsDenyStore  # the client of NATS takes 0.1 s to import

    return NatsDenyStore(context.nats, context.snapshot_path, context.settings(NatsConfig))


@hookimpl
def beyond_deny_stores() -> Iterable[Component[DenyStore]]:
    """Offer the store `nats`."""
    yield Component(
        name="nats", summary="a key-value bucket of NATS JetStream, watched", config=NatsConfig, create=_create
    )
