"""Usage sinks: where usage events go.

One event for each managed request, when it has ended, whatever its end was. This seam fails open: what a sink
raises is counted (`ai_usage_write_errors_total`) and logged, and neither the request nor another sink notices.

    from beyond_ai import Component, hookimpl

    class Ledger:
        def __init__(self): self.total = 0
        async def start(self): pass
        def emit(self, event): self.total += event.output_tokens
        async def aclose(self): print(self.total)

    @hookimpl
    def beyond_usage_sinks():
        yield Component(name="ledger", summary="adds up output tokens", create=lambda context: Ledger())
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Protocol, runtime_checkable

from beyond_ai.spec.component import Component
from beyond_ai.spec.markers import hookspec
from beyond_ai.spec.provider import Dialect


class Outcome(Enum):
    """How a request ended."""

    OK = "ok"
    """the client got the whole answer, or left after its terminal event"""
    UPSTREAM_ERROR = "upstream_error"
    """the provider answered with a status of 400 or above, or could not be reached"""
    CLIENT_CANCELLED = "client_cancelled"
    """the client left before the end"""
    CUT_SHORT = "cut_short"
    """the answer began and broke off, on the provider's side or by a limit of ours"""


@dataclass(slots=True, kw_only=True)
class UsageEvent:
    """What one managed request used. Token counts are the provider's own; each wire keeps its meaning of input.

    Attributes:
        time: when the request ended, UTC.
        request_id: also in the response header `x-beyond-request-id` and in the logs.
        tenant_id, vpc_id, key_id: from the credential; unsigned 64-bit, `key_id` None where it has none.
        provider: the provider's name.
        model: as the provider answered it, else as requested; empty when neither was readable.
        requested_model: as the client sent it; empty when not readable.
        stream: whether the answer was an event stream (by its content type).
        input_tokens: prompt tokens. On the OpenAI wires cached tokens are included, on Anthropic's they are not.
        output_tokens: generated tokens, reasoning included.
        cache_read_tokens, cache_write_tokens: prompt tokens read from or written to the provider's cache.
        reasoning_tokens: tokens of hidden reasoning; None when the provider did not say, which is not zero.
        latency_ms: from the request's head to the end of the answer, milliseconds.
        outcome: how it ended.
        upstream_status: the provider's HTTP status; None when there was none.
        usage_wire: whose usage object was read; None when none was found.
    """

    time: datetime
    request_id: str
    tenant_id: int
    vpc_id: int
    key_id: int | None
    provider: str
    model: str
    requested_model: str
    stream: bool
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int | None = None
    latency_ms: int = 0
    outcome: Outcome = Outcome.OK
    upstream_status: int | None = None
    usage_wire: Dialect | None = None


@runtime_checkable
class UsageSink(Protocol):
    """Takes usage events."""

    async def start(self) -> None:
        """Open what is needed. Called once in the event loop before the first event; an error sets the sink aside."""
        ...

    def emit(self, event: UsageEvent) -> None:
        """Take EVENT. Called in the event loop's thread between two requests: must return at once and never block."""
        ...

    async def aclose(self) -> None:
        """Write out what is held and close. Called once, after the last event; given ten seconds."""
        ...


class SinkHooks:
    """The hook of the group `beyond_ai.sinks`."""

    @hookspec
    def beyond_usage_sinks(self) -> Iterable[Component[UsageSink]]:  # type: ignore[empty-body]
        """Yield the sinks that this plugin adds. All sinks named in the configuration's `sinks` get every event."""
