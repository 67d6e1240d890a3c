"""Observers: who hears of the end of every request, whatever became of it.

One record for each request that the gateway answered: on a virtual key, on a client's own, and refused. It comes after
the answer has ended, so nothing can be changed by it; what was used is a usage event's business (`spec/sink.py`). This
seam fails open: what an observer raises is logged and counted (`ai_plugin_events_total`), and neither the request nor
another observer notices.

    from beyond_ai import Component, hookimpl

    class Slowest:
        def __init__(self): self.seconds = 0.0
        async def start(self): pass
        def observe(self, record): self.seconds = max(self.seconds, (record.ended_ns - record.started_ns) / 1e9)
        async def aclose(self): print(self.seconds)

    @hookimpl
    def beyond_observers():
        yield Component(name="slowest", summary="remembers the longest request", create=lambda context: Slowest())
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from beyond_ai.spec.component import Component
from beyond_ai.spec.markers import hookspec
from beyond_ai.spec.provider import Dialect
from beyond_ai.spec.usage_event import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRecord:
    """What became of one request. It holds no credential, no query, and nothing of either body but model and counts.

    Attributes:
        request_id: the id in the response header `x-beyond-request-id` and in the logs.
        method: as sent; empty for a request that could not be read.
        path: as sent, without its query.
        provider: the provider's name; None where the path names none.
        server_address: the provider's host; None without a provider.
        server_port: its port.
        endpoint: what the path asks for: `chat`, `completions`, `embeddings`, `responses`, `messages`,
            `responses_count` or `messages_count`; None for anything else.
        managed: whether the credential is a virtual key; None where the request was refused before that was known.
        status: the status that was answered, the provider's or of a refusal; None when the answer never began.
        error_type: the `type` in the body of the gateway's own refusal; None for an answer of the provider's.
        requested_model: as the client sent it; None on a client's own key, whose body nobody reads.
        model: as the provider answered it; None when not known.
        stream: whether the answer was an event stream.
        input_tokens: as in a usage event, as are the other counts; None when no count is known.
        output_tokens: what was generated.
        cache_read_tokens: of the prompt, read from the provider's cache.
        cache_write_tokens: of the prompt, written to the provider's cache.
        usage_wire: whose meaning the counts have: on Anthropic's wire `input_tokens` leaves cached tokens out.
        usage_estimated: whether the counts are an estimate.
        started_ns: when the request's head had come, nanoseconds since 1970.
        ended_ns: when the answer had ended.
        ttft_ns: from `started_ns` to the head of the provider's answer; None when it did not answer.
        outcome: how a relayed request ended; None for one that was refused before.
        traceparent: the client's header of that name (W3C Trace Context), unchecked; None without exactly one.
        tracestate: the client's header of that name.
    """

    request_id: str
    method: str
    path: str
    provider: str | None
    server_address: str | None
    server_port: int | None
    endpoint: str | None
    managed: bool | None
    status: int | None
    error_type: str | None
    started_ns: int
    ended_ns: int
    requested_model: str | None = None
    model: str | None = None
    stream: bool = False
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    usage_wire: Dialect | None = None
    usage_estimated: bool = False
    ttft_ns: int | None = None
    outcome: Outcome | None = None
    traceparent: str | None = None
    tracestate: str | None = None


@runtime_checkable
class Observer(Protocol):
    """Hears of the end of requests."""

    async def start(self) -> None:
        """Open what is needed. Called once in the event loop before the first record; an error sets it aside."""
        ...

    def observe(self, record: RequestRecord) -> None:
        """Take RECORD. Called in the event loop's thread between two requests: must return at once and never block."""
        ...

    async def aclose(self) -> None:
        """Finish and close. Called once, after the last record; given ten seconds."""
        ...


class ObserverHooks:
    """The hook of the group `beyond_ai.observers`."""

    @hookspec
    def beyond_observers(self) -> Iterable[Component[Observer]]:  # type: ignore[empty-body]
        """Yield the observers that this plugin adds. Those in the configuration's `observers` hear of requests."""
