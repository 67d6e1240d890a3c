"""Spans by OpenTelemetry's semantic conventions for generative AI, made after the fact from a request's record.

https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/. The names stand here as text: the package of
conventions has them in a module that may change at any time. No content of a message is among them.
"""

import asyncio
from threading import Thread
from typing import Final

from opentelemetry.context import Context as TraceParent
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from beyond_ai import Dialect, Outcome, RequestRecord

CLOSE_SECONDS: Final = 3.0
"""How long closing waits for a collector before it gives up on the spans that it has not taken."""
SERVICE_NAME: Final = "beyond-ai"

OPERATIONS: Final = {
    "chat": "chat",
    "messages": "chat",
    "responses": "chat",
    "completions": "text_completion",
    "embeddings": "embeddings",
}
"""`gen_ai.operation.name` by endpoint; counting tokens is none."""
PROVIDERS: Final = {"mistral": "mistral_ai", "xai": "x_ai"}
"""`gen_ai.provider.name` where the convention has another name than the path."""
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY")

Attributes = dict[str, str | int | bool]


class OtelObserver:
    """Makes the spans; OpenTelemetry's own thread sends them, and drops them when too many wait."""

    def __init__(self, endpoint: str | None, service_name: str | None) -> None:
        """Both win over the environment's, where given."""
        self._endpoint = endpoint
        self._service_name = service_name
        self._propagator = TraceContextTextMapPropagator()
        self._provider: TracerProvider | None = None
        self._tracer: Tracer | None = None

    async def start(self) -> None:
        """Start OpenTelemetry as the environment configures it. Raises ValueError for what it does not understand."""
        provider = TracerProvider(resource=_resource(self._service_name), shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=self._endpoint)))
        self._provider = provider
        self._tracer = provider.get_tracer("beyond_ai")

    def observe(self, record: RequestRecord) -> None:
        """Queue the span of RECORD: a child of the client's, if it sent one."""
        assert self._tracer is not None
        carrier = {"traceparent": record.traceparent or "", "tracestate": record.tracestate or ""}
        error = _error_type(record)
        attributes = _attributes(record)
        if error is not None:
            attributes["error.type"] = error
        span = self._tracer.start_span(
            _name(record),
            context=self._propagator.extract(carrier, TraceParent()),
            kind=SpanKind.CLIENT,
            attributes=attributes,
            start_time=record.started_ns,
        )
        if error is not None:
            span.set_status(Status(StatusCode.ERROR))
        span.end(end_time=record.ended_ns)

    async def aclose(self) -> None:
        """Send what is queued, for at most `CLOSE_SECONDS`."""
        if self._provider is None:
            return
        # Not a task of the loop's own threads: the loop would wait for it at its end, however long it takes.
        closing = Thread(target=self._provider.shutdown, name="otel-close", daemon=True)
        closing.start()
        await asyncio.to_thread(closing.join, CLOSE_SECONDS)


def _resource(service_name: str | None) -> Resource:
    resource = Resource.create()
    if service_name is None and str(resource.attributes.get("service.name")).startswith("unknown_service"):
        service_name = SERVICE_NAME
    return resource if service_name is None else resource.merge(Resource({"service.name": service_name}))


def _operation(record: RequestRecord) -> str | None:
    return OPERATIONS.get(record.endpoint or "") if record.method == "POST" else None


def _name(record: RequestRecord) -> str:
    """The span's name, which must stay one of few: a request that generates nothing is called by its method."""
    operation = _operation(record)
    if operation is None:
        return record.method if record.method in METHODS else "HTTP"
    return f"{operation} {record.requested_model}" if record.requested_model else operation


def _error_type(record: RequestRecord) -> str | None:
    """What went wrong: the gateway's word for it, the provider's status, or how the answer ended; None if nothing."""
    if record.error_type is not None:
        return record.error_type
    if record.status is not None and record.status >= 400:
        return str(record.status)
    if record.outcome is Outcome.UPSTREAM_ERROR or record.outcome is Outcome.CUT_SHORT:
        return str(record.outcome.value)
    return None


def _attributes(record: RequestRecord) -> Attributes:
    known: dict[str, str | int | bool | None] = {
        "gen_ai.operation.name": _operation(record),
        "gen_ai.provider.name": PROVIDERS.get(record.provider or "", record.provider),
        "gen_ai.request.model": record.requested_model,
        "gen_ai.request.stream": record.stream or None,
        "gen_ai.response.model": record.model,
        "gen_ai.usage.input_tokens": _input_tokens(record),
        "gen_ai.usage.output_tokens": record.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": record.cache_read_tokens,
        "gen_ai.usage.cache_creation.input_tokens": record.cache_write_tokens,
        "http.request.method": record.method if record.method in METHODS else "_OTHER",
        "http.response.status_code": record.status,
        "server.address": record.server_address,
        "server.port": record.server_port,
        "beyond_ai.request_id": record.request_id,
        "beyond_ai.managed": record.managed,
        "beyond_ai.outcome": None if record.outcome is None else record.outcome.value,
        "beyond_ai.usage_estimated": record.usage_estimated or None,
    }
    return {name: value for name, value in known.items() if value is not None}


def _input_tokens(record: RequestRecord) -> int | None:
    """The whole prompt, as the convention has it: on Anthropic's wire the cached parts are counted beside the rest."""
    tokens = record.input_tokens
    if tokens is not None and record.usage_wire is Dialect.ANTHROPIC:
        tokens += (record.cache_read_tokens or 0) + (record.cache_write_tokens or 0)
    return tokens
