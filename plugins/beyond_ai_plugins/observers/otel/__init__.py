"""The `otel` observer: a span for each request, to an OpenTelemetry collector by OTLP over HTTP.

Needs the extra `otel`. Everything is configured as OpenTelemetry has it, by `OTEL_*` variables: where to, with which
headers, what is sampled, how many spans wait (https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/).
The table `[plugins.otel]` wins over them.
"""

from collections.abc import Iterable
from importlib.util import find_spec

from pydantic import BaseModel, ConfigDict, Field

from beyond_ai import Component, Context, Observer, Unavailable, hookimpl

NEEDED = ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http")


class OtelConfig(BaseModel):
    """The table `[plugins.otel]`."""

    model_config = ConfigDict(extra="forbid")

    endpoint: str | None = Field(default=None, pattern=r"^https?://[^\s?#@]+$")
    """URL that takes spans, such as `http://collector:4318/v1/traces`; a login goes into OTEL_EXPORTER_OTLP_HEADERS."""
    service_name: str | None = Field(default=None, min_length=1)
    """`service.name` of the spans; `beyond-ai` if no variable says otherwise."""


def _create(context: Context) -> Observer:
    from beyond_ai_plugins.observers.otel.spans import OtelObserver  # takes 0.3 s to import

    config = context.settings(OtelConfig)
    return OtelObserver(config.endpoint, config.service_name)


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


@hookimpl
def beyond_observers() -> Iterable[Component[Observer]]:
    """Offer OpenTelemetry. Raises Unavailable where the extra is not installed."""
    if not all(map(_installed, NEEDED)):
        raise Unavailable("OpenTelemetry is not installed: pip install 'beyond-ai[otel]'")
    yield Component(
        name="otel", summary="a span for each request, by OTLP over HTTP", create=_create, config=OtelConfig
    )
