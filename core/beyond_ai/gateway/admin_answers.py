"""The shapes of the admin listener's answers: what its OpenAPI schema says."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from beyond_ai.gateway.admin_view import BreakerStatus, Unready


class Health(BaseModel):
    """All is well."""

    status: Literal["ok"] = "ok"
    version: str = Field(description="of beyond-ai")


class NotReady(BaseModel):
    """Send no traffic here for now."""

    status: Literal["not_ready"] = "not_ready"
    reason: Unready = Field(
        description="draining: it is stopping; no_pool_keys: it has signing keys, and no provider that virtual keys "
        "could be served from; circuit_open: every such provider is failing"
    )


class Refused(BaseModel):
    """The request is not answered."""

    status: str = Field(description="not_found, method_not_allowed, unauthorized or forbidden")
    version: str = Field(description="of beyond-ai")
    message: str | None = Field(None, description="what to do, where there is something")


PluginState = Literal["loaded", "disabled", "unavailable", "failed"]
"""The values of `registry.State`, which the supervisor, who answers, need not import: it loads no plugin."""


class PluginRow(BaseModel):
    """One plugin, as `beyond-ai plugins list --json` prints it, in the running gateway."""

    kind: str = Field(description="what it extends: provider, auth, scanner, sink, transport, deny_store")
    name: str = Field(description="its entry point's name")
    provides: list[str] = Field(description="what it offers, in use or not")
    active: list[str] = Field(description="what of it serves, where one of a kind does and was chosen")
    distribution: str = Field(description="who brought it")
    version: str = Field(description="of that distribution")
    built_in: bool = Field(description="whether that is beyond-ai itself")
    state: PluginState = Field(description="what became of it")
    reason: str = Field(description="why it is not in use; empty when it is")
    load_ms: float = Field(description="milliseconds that loading took")
    target: str = Field(description="its entry point's value")


class ProviderRow(BaseModel):
    """One provider, as the running gateway reaches it."""

    model_config = ConfigDict(from_attributes=True)

    name: str = Field(description="the first path segment that selects it")
    authority: str = Field(description="host:port that it is reached at")
    dialect: str = Field(description="its wire, where the path does not tell: openai or anthropic")
    transport: str = Field(description="the plugin that goes there")
    breaker: BreakerStatus = Field(
        description="its circuit breaker: open refuses requests, half_open lets one try, off is not configured"
    )
    pool_key: bool = Field(description="whether there is a pool key for it")
