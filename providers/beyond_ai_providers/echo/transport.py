"""The plugin of the transport behind the echo provider. What answers is imported where it is used, as with `--dev`."""

from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict, Field

from beyond_ai import Component, Context, Transport, hookimpl


class EchoSettings(BaseModel):
    """`[plugins.echo]`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    delay_ms: float = Field(default=10, ge=0, le=60_000)
    """Milliseconds between two events of a stream."""
    max_output_tokens: int = Field(default=4096, ge=1)
    """Where an answer is cut if the request sets no lower limit."""


@hookimpl
def beyond_transports() -> Iterator[Component[Transport]]:
    """The transport `echo`."""
    yield Component(
        name="echo",
        summary="answers within the process, for the provider echo",
        create=create,
        config=EchoSettings,
    )


def create(context: Context) -> Transport:
    """The transport with the settings of CONTEXT; defaults where the table is absent."""
    from beyond_ai_providers.echo.exchange import EchoTransport

    return EchoTransport(EchoSettings() if context.config is None else context.settings(EchoSettings))
