"""The `otel` observer against a real OTLP/HTTP receiver, from the real gateway: a span for each request."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from tests.gateway_process import BYO, VIRTUAL_KEY, gateway_config

from beyond_ai import Component, Context, Dialect, Observer, Outcome, RequestRecord, Unavailable
from beyond_ai.testing import GatewayProcess, ThreadedUpstream, response
from beyond_ai_plugins.observers import otel

pytest.importorskip("opentelemetry.sdk.trace", reason="needs the extra otel")
pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="needs the extra otel")

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from beyond_ai_plugins.observers.otel import spans

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
SAMPLED = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "vendor=1"}
Attributes = dict[str, object]


class Collector:
    """Takes spans on loopback, as a collector does; a stuck one takes the request and never answers."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.changed = threading.Condition()
        self.stuck = threading.Event()
        self.freed = threading.Event()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with collector.changed:
                    collector.bodies.append(body)
                    collector.headers.append({**dict(self.headers), "path": self.path})
                    collector.changed.notify_all()
                if collector.stuck.is_set():
                    collector.freed.wait(60)
                    return
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def requests(self) -> list[ExportTraceServiceRequest]:
        return [ExportTraceServiceRequest.FromString(body) for body in self.bodies]

    def spans(self) -> list[Span]:
        return [
            span
            for request in self.requests()
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def wait(self, enough: Callable[[], bool], within: float = 10.0) -> None:
        with self.changed:
            assert self.changed.wait_for(enough, within), self.spans()

    def span(self, request_id: str) -> Span:
        """The one span of a request."""

        def found() -> list[Span]:
            return [
                span for span in self.spans() if attributes(span.attributes).get("beyond_ai.request_id") == request_id
            ]

        self.wait(lambda: bool(found()))
        [span] = found()
        return span


def attributes(pairs: Iterable[KeyValue]) -> Attributes:
    found: Attributes = {}
    for pair in pairs:
        kind = pair.value.WhichOneof("value")
        assert kind is not None
        found[pair.key] = getattr(pair.value, kind)
    return found


@contextmanager
def collecting() -> Iterator[Collector]:
    collector = Collector()
    thread = threading.Thread(target=collector.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield collector
    finally:
        collector.freed.set()
        collector.server.shutdown()
        thread.join()
        collector.server.server_close()


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as running:
        yield running


@pytest.fixture(scope="module")
def provider() -> Iterator[ThreadedUpstream]:
    with ThreadedUpstream() as running:
        yield running


@pytest.fixture(scope="module")
def traced(
    collector: Collector, provider: ThreadedUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    config = f'observers = ["otel"]\n{gateway_config(provider.authority, "127.0.0.1:9")}'
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_EXPORTER_OTLP_HEADERS": "x-fake-login=fake",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
        "OTEL_BSP_SCHEDULE_DELAY": "50",
    }
    with GatewayProcess(config, folder=tmp_path_factory.mktemp("otel"), environment=environment) as process:
        yield process


CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "words of a message"}]}
JSON = (b"content-type", b"application/json")
OK = response(
    200,
    [JSON],
    b'{"model":"gpt-4o-2024","choices":[{"message":{"role":"assistant","content":"words of an answer"}}],"usage":{'
    b'"prompt_tokens":7,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":3}}}',
)
"""What the conventions call `gen_ai.input.messages` and the like appears nowhere."""


def test_a_managed_request(traced: GatewayProcess, collector: Collector, provider: ThreadedUpstream) -> None:
    provider.answer(OK)
    before = time.time_ns()
    answer = httpx.post(
        f"{traced.url}/v1/chat/completions?x=fake-in-the-query",
        json=CHAT,
        headers={"Authorization": f"Bearer {VIRTUAL_KEY}", **SAMPLED},
    )
    span = collector.span(answer.headers["x-beyond-request-id"])
    assert before - 1_000_000 <= span.start_time_unix_nano <= span.end_time_unix_nano <= time.time_ns()
    assert (span.name, span.kind) == ("chat gpt-4o", Span.SPAN_KIND_CLIENT)
    assert (span.trace_id.hex(), span.parent_span_id.hex(), span.trace_state) == (TRACE, PARENT, "vendor=1")
    assert len(span.span_id) == 8
    assert attributes(span.attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.response.model": "gpt-4o-2024",
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 3,
        "gen_ai.usage.cache_creation.input_tokens": 0,
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "server.address": "127.0.0.1",
        "server.port": int(provider.authority.rpartition(":")[2]),
        "beyond_ai.request_id": answer.headers["x-beyond-request-id"],
        "beyond_ai.managed": True,
        "beyond_ai.outcome": "ok",
    }
    assert provider.requests[-1].header(b"traceparent") == SAMPLED["traceparent"].encode()
    assert provider.requests[-1].header(b"tracestate") == b"vendor=1"
    assert provider.requests[-1].header(b"baggage") is None


def test_without_a_parent(traced: GatewayProcess, collector: Collector, provider: ThreadedUpstream) -> None:
    """A trace of its own, and the provider gets no header that the client did not send."""
    for headers in ({}, {"traceparent": "00-nonsense-01"}):
        provider.answer(OK)
        answer = httpx.post(
            f"{traced.url}/v1/chat/completions",
            json=CHAT,
            headers={"Authorization": f"Bearer {BYO.openai_key}", **headers},
        )
        span = collector.span(answer.headers["x-beyond-request-id"])
        assert (span.parent_span_id, len(span.trace_id)) == (b"", 16)
        assert span.name == "chat"
        assert attributes(span.attributes)["beyond_ai.managed"] is False
        sent = headers.get("traceparent")
        assert provider.requests[-1].header(b"traceparent") == (sent.encode() if sent else None)


def test_a_client_that_does_not_sample(traced: GatewayProcess, collector: Collector) -> None:
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-00"}
    unsampled = httpx.get(f"{traced.url}/nowhere", headers=headers)
    sampled = httpx.get(f"{traced.url}/nowhere", headers=SAMPLED)
    collector.span(sampled.headers["x-beyond-request-id"])
    ids = {attributes(span.attributes)["beyond_ai.request_id"] for span in collector.spans()}
    assert unsampled.headers["x-beyond-request-id"] not in ids


def test_failures(traced: GatewayProcess, collector: Collector, provider: ThreadedUpstream) -> None:
    key = {"Authorization": f"Bearer {VIRTUAL_KEY}"}
    provider.answer(response(429, [JSON], b'{"error":{"message":"slow down"}}'))
    answers = [
        (httpx.post(f"{traced.url}/v1/chat/completions", json=CHAT, headers=key), "chat", "429", 429),
        (
            httpx.post(f"{traced.url}/mistral/v1/embeddings", json=CHAT, headers=key),
            "embeddings",
            "api_error",
            502,
        ),
        (httpx.post(f"{traced.url}/v1/messages", json=CHAT), "chat", "authentication_error", 401),
        (httpx.get(f"{traced.url}/nowhere"), "GET", "invalid_request_error", 404),
    ]
    for answer, name, error, status in answers:
        span = collector.span(answer.headers["x-beyond-request-id"])
        found = attributes(span.attributes)
        assert (span.name.split()[0], found["error.type"], found["http.response.status_code"]) == (name, error, status)
        assert (span.status.code, span.status.message) == (2, "")
    assert (
        attributes(collector.span(answers[1][0].headers["x-beyond-request-id"]).attributes)["gen_ai.provider.name"]
        == "mistral_ai"
    )


def test_what_the_collector_is_told_beside(traced: GatewayProcess, collector: Collector) -> None:
    httpx.get(f"{traced.url}/nowhere")
    collector.wait(lambda: bool(collector.bodies))
    assert collector.headers[0]["path"] == "/v1/traces"
    assert collector.headers[0]["x-fake-login"] == "fake"
    [resource] = collector.requests()[0].resource_spans
    told = attributes(resource.resource.attributes)
    assert (told["service.name"], told["deployment.environment.name"]) == ("beyond-ai", "test")
    for text in (b"words of", b"fake-in-the-query", VIRTUAL_KEY.encode(), BYO.openai_key.encode()):
        assert not [body for body in collector.bodies if text in body]


def test_spans_that_wait_are_sent_at_the_end(collector: Collector, tmp_path: Path) -> None:
    """The table wins over the environment; nothing would be sent for an hour."""
    config = f"""observers = ["otel"]
{gateway_config("127.0.0.1:9", "127.0.0.1:9")}
[plugins.otel]
endpoint = "{collector.url}/v1/traces"
service_name = "named"
"""
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
        "OTEL_SERVICE_NAME": "other",
        "OTEL_BSP_SCHEDULE_DELAY": "3600000",
    }
    with GatewayProcess(config, folder=tmp_path, environment=environment) as gateway:
        ids = [httpx.get(f"{gateway.url}/nowhere").headers["x-beyond-request-id"] for _ in range(3)]
    assert {collector.span(request_id).name for request_id in ids} == {"GET"}
    [resource] = collector.requests()[-1].resource_spans
    assert attributes(resource.resource.attributes)["service.name"] == "named"


def test_a_collector_that_is_stuck_holds_up_no_end(tmp_path: Path) -> None:
    with collecting() as stuck:
        stuck.stuck.set()
        config = f'observers = ["otel"]\n{gateway_config("127.0.0.1:9", "127.0.0.1:9")}'
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": stuck.url, "OTEL_BSP_SCHEDULE_DELAY": "10"}
        with GatewayProcess(config, folder=tmp_path, environment=environment) as gateway:
            httpx.get(f"{gateway.url}/nowhere")
            stuck.wait(lambda: bool(stuck.bodies))
            assert httpx.get(f"{gateway.url}/nowhere").status_code == 404
            gateway.stop(within=spans.CLOSE_SECONDS + 5)


def record(**known: object) -> RequestRecord:
    given: dict[str, object] = {
        "request_id": "1f-0",
        "method": "POST",
        "path": "/v1/messages",
        "provider": "anthropic",
        "server_address": "api.anthropic.com",
        "server_port": 443,
        "endpoint": "messages",
        "managed": True,
        "status": 200,
        "error_type": None,
        "started_ns": 1,
        "ended_ns": 2,
        "outcome": Outcome.OK,
        **known,
    }
    return RequestRecord(**given)  # type: ignore[arg-type]


def test_input_is_the_whole_prompt_on_every_wire() -> None:
    counts = {"input_tokens": 5, "cache_read_tokens": 30, "cache_write_tokens": 200}
    anthropic = spans._attributes(record(usage_wire=Dialect.ANTHROPIC, **counts))
    openai = spans._attributes(record(usage_wire=Dialect.OPENAI, **counts))
    assert (anthropic["gen_ai.usage.input_tokens"], openai["gen_ai.usage.input_tokens"]) == (235, 5)
    assert "gen_ai.usage.input_tokens" not in spans._attributes(record())


@pytest.mark.parametrize(
    ("known", "name", "error"),
    [
        ({}, "chat", None),
        ({"endpoint": "responses", "requested_model": "m"}, "chat m", None),
        ({"endpoint": "completions"}, "text_completion", None),
        ({"endpoint": "messages_count", "requested_model": "m"}, "POST", None),
        ({"endpoint": None, "method": "PROPFIND"}, "HTTP", None),
        ({"method": "GET"}, "GET", None),
        ({"status": 500, "outcome": Outcome.UPSTREAM_ERROR}, "chat", "500"),
        ({"outcome": Outcome.UPSTREAM_ERROR}, "chat", "upstream_error"),
        ({"outcome": Outcome.CUT_SHORT}, "chat", "cut_short"),
        ({"outcome": Outcome.CLIENT_CANCELLED}, "chat", None),
        ({"status": 429, "error_type": "rate_limit_error", "outcome": None}, "chat", "rate_limit_error"),
    ],
)
def test_name_and_error(known: dict[str, object], name: str, error: str | None) -> None:
    assert (spans._name(record(**known)), spans._error_type(record(**known))) == (name, error)


def test_the_names_are_the_conventions_own() -> None:
    genai = pytest.importorskip("opentelemetry.semconv._incubating.attributes.gen_ai_attributes")
    stable = [
        pytest.importorskip(f"opentelemetry.semconv.attributes.{area}_attributes")
        for area in ("error", "http", "server")
    ]
    names = {value for module in (genai, *stable) for name, value in vars(module).items() if name.isupper()}
    made = spans._attributes(
        record(
            requested_model="m",
            model="m",
            stream=True,
            usage_estimated=True,
            input_tokens=1,
            output_tokens=1,
            cache_read_tokens=1,
            cache_write_tokens=1,
        )
    )
    assert {name for name in made if not name.startswith("beyond_ai.")} <= names
    assert set(spans.OPERATIONS.values()) <= {value.value for value in genai.GenAiOperationNameValues}
    assert set(spans.PROVIDERS.values()) <= {value.value for value in genai.GenAiProviderNameValues}


def offered() -> list[Component[Observer]]:
    return list(otel.beyond_observers())


def test_without_the_extra_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otel, "NEEDED", ("nowhere_at_all.sdk.trace",))
    with pytest.raises(Unavailable, match=r"pip install 'beyond-ai\[otel\]'"):
        offered()


@pytest.mark.parametrize("endpoint", ["collector:4318", "http://user:fake@c.test/v1/traces", "http://c.test/?key=fake"])
def test_an_endpoint_that_is_none_or_holds_a_login_is_refused(endpoint: str) -> None:
    with pytest.raises(ValueError, match="endpoint"):
        otel.OtelConfig(endpoint=endpoint)


async def test_it_is_an_observer_and_closes_without_a_start() -> None:
    [component] = offered()
    made = component.create(Context(config=otel.OtelConfig()))
    assert isinstance(made, Observer)
    await made.aclose()
