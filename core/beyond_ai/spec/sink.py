"""Usage sinks: where usage events go.

One event for each managed request, when it has ended, whatever its end was. This seam fails open: what a sink
raises is counted (`ai_usage_write_errors_total`) and logged, and neither the request nor another sink notices. What a
sink took and lost is counted there too, if it calls its context's `count(name, "failed")`, or `"dropped"`, for each.

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
from typing import Protocol, runtime_checkable

from beyond_ai.spec.component import Component
from beyond_ai.spec.markers import hookspec
from beyond_ai.spec.usage_event import UsageEvent


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
