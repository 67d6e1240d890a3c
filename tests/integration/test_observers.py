"""Observers hear of every request that the gateway answers, once, whatever becomes of it; they cannot disturb one."""

import asyncio
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from tests.fidelity.matrix import EVENTS, JSON
from tests.gateway_process import BYO, POOL_KEYS, VIRTUAL_KEY, gateway_config
from tests.integration.exchanges import HOST, OWN_KEY, get, id_of, logged, metrics, post

from beyond_ai.testing import (
    Close,
    GatewayProcess,
    ReadBody,
    ScriptedUpstream,
    Send,
    Until,
    WireClient,
    WireResponse,
    request,
    response,
    response_head,
)

PLUGIN = """
import dataclasses, json
from pathlib import Path
from beyond_ai import Component, hookimpl

class Notes:
    async def start(self): self.file = Path("FOLDER/records").open("w")
    def observe(self, record):
        line = json.dumps(dataclasses.asdict(record), default=lambda value: value.value)
        self.file.write(line + "\\n")
        self.file.flush()
    async def aclose(self):
        self.file.write('{"closed":true}\\n')
        self.file.close()

class Failing:
    async def start(self):
        if NAME == "stuck":
            raise OSError("no route")
    def observe(self, record): raise OSError("disk full")
    async def aclose(self): raise OSError("disk gone")

def create(context):
    if NAME == "hopeless":
        raise OSError("no licence")
    return Notes() if NAME == "notes" else Failing()

@hookimpl
def beyond_observers():
    yield Component(name=NAME, summary="a test's", create=create)
"""
NAMES = ("leaky", "hopeless", "stuck", "notes")
MANAGED_KEY = (b"Authorization", b"Bearer " + VIRTUAL_KEY.encode())
TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
CHAT_ANSWER = (
    b'{"model":"gpt-4o-2024","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":5,"total_tokens":12,'
    b'"prompt_tokens_details":{"cached_tokens":3}}}'
)

Record = dict[str, object]


class Bench:
    """The gateway, and what its observer was told."""

    def __init__(self, gateway: GatewayProcess, folder: Path) -> None:
        self.gateway = gateway
        self.file = folder / "records"

    def records(self) -> list[Record]:
        return [orjson.loads(line) for line in self.file.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]

    async def ask(self, asked: bytes) -> tuple[WireResponse, Record]:
        """Send ASKED; its answer and the record of it."""
        async with WireClient(self.gateway.host, self.gateway.port) as client:
            answer = await client.exchange(asked)
        return answer, await self.record(id_of(answer))

    async def record(self, request_id: str) -> Record:
        """The one record of a request, once it is there and its successor is as well."""
        deadline = time.monotonic() + 5
        while not (found := [record for record in self.records() if record.get("request_id") == request_id]):
            assert time.monotonic() < deadline, self.records()
            await asyncio.sleep(0.01)
        [record] = found
        return record


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("observers")


@pytest.fixture(scope="module")
def observed(folder: Path, upstream_listener: socket.socket) -> Iterator[GatewayProcess]:
    authority = f"127.0.0.1:{upstream_listener.getsockname()[1]}"
    metadata = folder / "watchers-1.0.dist-info"
    metadata.mkdir()
    for name in NAMES:
        source = PLUGIN.replace("FOLDER", str(folder)).replace("NAME", repr(name))
        (folder / f"watcher_{name}.py").write_text(source)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: watchers\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[beyond_ai.observers]\n" + "".join(f"{name} = watcher_{name}\n" for name in NAMES)
    )
    config = f"observers = {list(NAMES)}\n{gateway_config(authority, '127.0.0.1:9')}"
    with GatewayProcess(config, folder=folder, environment={"PYTHONPATH": str(folder)}) as process:
        yield process
    *records, last = [orjson.loads(line) for line in (folder / "records").read_bytes().splitlines()]
    assert last == {"closed": True}
    assert len({record["request_id"] for record in records}) == len(records), "two records of one request"
    text = (folder / "records").read_text()
    for secret in (VIRTUAL_KEY, BYO.openai_key, "fake-in-the-query", "content of a message", *POOL_KEYS.values()):
        assert secret not in text
    assert "observer leaky could not be closed: OSError: disk gone" in process.stderr


@pytest.fixture
def bench(observed: GatewayProcess, folder: Path) -> Bench:
    return Bench(observed, folder)


def chat(key: tuple[bytes, bytes], *headers: tuple[bytes, bytes]) -> bytes:
    body = b'{"model":"gpt-4o","messages":[{"role":"user","content":"content of a message"}]}'
    target = b"/openai/v1/chat/completions?x=fake-in-the-query"
    return request(b"POST", target, [HOST, JSON, key, *headers], body)


async def test_a_managed_request(bench: Bench, upstream: ScriptedUpstream) -> None:
    before = time.time_ns()
    upstream.answer(response(200, [JSON], CHAT_ANSWER))
    _, record = await bench.ask(
        chat(MANAGED_KEY, (b"traceparent", TRACE), (b"TraceState", b"a=1"), (b"tracestate", b"b=2"))
    )
    started, ended, ttft = (record.pop(name) for name in ("started_ns", "ended_ns", "ttft_ns"))
    assert isinstance(started, int)
    assert isinstance(ended, int)
    assert isinstance(ttft, int)
    assert before - 1_000_000 <= started <= started + ttft <= ended <= time.time_ns()
    assert record.pop("request_id")
    assert record == {
        "method": "POST",
        "path": "/openai/v1/chat/completions",
        "provider": "openai",
        "server_address": "127.0.0.1",
        "server_port": int(upstream.authority.rpartition(":")[2]),
        "endpoint": "chat",
        "managed": True,
        "status": 200,
        "error_type": None,
        "requested_model": "gpt-4o",
        "model": "gpt-4o-2024",
        "stream": False,
        "input_tokens": 7,
        "output_tokens": 5,
        "cache_read_tokens": 3,
        "cache_write_tokens": 0,
        "usage_wire": "openai",
        "usage_estimated": False,
        "outcome": "ok",
        "traceparent": TRACE.decode(),
        "tracestate": "a=1,b=2",
    }


async def test_a_request_on_an_own_key(bench: Bench, upstream: ScriptedUpstream) -> None:
    upstream.answer(response(200, [JSON], CHAT_ANSWER))
    _, record = await bench.ask(chat(OWN_KEY))
    assert (record["managed"], record["requested_model"], record["model"]) == (False, None, "gpt-4o-2024")
    assert (record["input_tokens"], record["outcome"], record["traceparent"]) == (7, "ok", None)


async def test_a_request_that_is_not_metered(bench: Bench, upstream: ScriptedUpstream) -> None:
    upstream.answer(response(200, [JSON], b"{}"))
    _, record = await bench.ask(get(b"/v1/models?x=fake-in-the-query", headers=[OWN_KEY]))
    assert (record["method"], record["path"], record["provider"]) == ("GET", "/v1/models", "openai")
    assert (record["endpoint"], record["status"], record["outcome"]) == (None, 200, "ok")
    assert (record["model"], record["input_tokens"], record["usage_wire"]) == (None, None, None)


async def test_an_error_of_the_providers(bench: Bench, upstream: ScriptedUpstream) -> None:
    upstream.answer(response(429, [JSON], b'{"error":{"message":"slow down"}}'))
    _, record = await bench.ask(chat(MANAGED_KEY))
    assert (record["status"], record["error_type"], record["outcome"]) == (429, None, "upstream_error")
    assert (record["input_tokens"], record["output_tokens"]) == (None, None)


async def test_a_repeated_head(bench: Bench, upstream: ScriptedUpstream) -> None:
    """The second is known by its bytes, and has a record of its own."""
    async with WireClient(bench.gateway.host, bench.gateway.port) as client:
        records = []
        for _ in range(3):
            upstream.answer(response(200, [JSON], CHAT_ANSWER))
            answer = await client.exchange(chat(MANAGED_KEY, (b"traceparent", TRACE)))
            records.append(await bench.record(id_of(answer)))
    assert {record["traceparent"] for record in records} == {TRACE.decode()}
    times = [record[name] for record in records for name in ("started_ns", "ended_ns")]
    assert times == sorted(times, key=str)


REFUSED = {
    "no key": (post(b"/openai/v1/chat/completions", key=None), 401, "authentication_error", "openai", None),
    "forged": (
        post(b"/groq/openai/v1/chat/completions", key=(b"x-api-key", VIRTUAL_KEY[:-4].encode() + b"AAAA")),
        *(401, "authentication_error", "groq", True),
    ),
    "no pool key": (post(b"/xai/v1/chat/completions", key=MANAGED_KEY), 503, "api_error", "xai", True),
    "not an endpoint": (post(b"/openai/v1/files", key=MANAGED_KEY), 404, "invalid_request_error", "openai", True),
    "nobody's": (post(b"/nowhere/v1/x?a=fake-in-the-query"), 404, "invalid_request_error", None, None),
    "upgrade": (
        get(b"/openai/v1/x", headers=[OWN_KEY, (b"Connection", b"upgrade"), (b"Upgrade", b"websocket")]),
        *(400, "invalid_request_error", "openai", None),
    ),
    "too large": (
        request(b"POST", b"/openai/v1/chat/completions", [HOST, OWN_KEY, (b"Content-Length", b"104857601")]),
        *(413, "invalid_request_error", "openai", None),
    ),
    "unreadable": (b"NO HTTP\r\n\r\n", 400, "invalid_request_error", None, None),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_a_refused_request(bench: Bench, name: str) -> None:
    asked, status, kind, provider, managed = REFUSED[name]
    answer, record = await bench.ask(asked)
    assert (answer.status, record["status"], record["error_type"]) == (status, status, kind)
    assert (record["provider"], record["managed"], record["outcome"]) == (provider, managed, None)
    assert "?" not in str(record["path"])


@pytest.mark.parametrize("key", [MANAGED_KEY, OWN_KEY], ids=["managed", "byo"])
async def test_a_provider_that_fails(bench: Bench, upstream: ScriptedUpstream, key: tuple[bytes, bytes]) -> None:
    answer, record = await bench.ask(post(b"/mistral/v1/chat/completions", key=key))
    assert (answer.status, record["status"], record["error_type"]) == (502, 502, "api_error")
    assert (record["managed"], record["outcome"]) == (key is MANAGED_KEY, "upstream_error")
    upstream.play(ReadBody(), Close())
    answer, record = await bench.ask(post(b"/openai/v1/responses", key=key))
    assert (answer.status, record["status"], record["error_type"]) == (502, 502, "api_error")
    upstream.play(ReadBody(), Send(response_head(200, [EVENTS, (b"content-length", b"9")]) + b"da"), Close())
    answer, record = await bench.ask(post(b"/openai/v1/responses", key=key))
    assert answer.broken
    assert (record["status"], record["error_type"], record["outcome"]) == (200, None, "cut_short")
    assert (record["stream"], record["endpoint"]) == (True, "responses")


async def test_a_client_that_leaves(bench: Bench, upstream: ScriptedUpstream) -> None:
    gone = asyncio.Event()
    upstream.play(
        ReadBody(), Send(response_head(200, [EVENTS, (b"content-length", b"99")]) + b"data: {}\n\n"), Until(gone)
    )
    async with WireClient(bench.gateway.host, bench.gateway.port) as client:
        await client.send(post(b"/openai/v1/responses", key=OWN_KEY))
        request_id = id_of(await client.receive(8))
    record = await bench.record(request_id)
    gone.set()
    assert (record["status"], record["outcome"], record["error_type"]) == (200, "client_cancelled", None)


async def test_others_that_fail_change_nothing(bench: Bench, upstream: ScriptedUpstream) -> None:
    upstream.answer(response(200, [JSON], CHAT_ANSWER))
    answer, record = await bench.ask(chat(MANAGED_KEY))
    assert answer.status == 200
    request_id = str(record["request_id"])
    await asyncio.to_thread(bench.gateway.wait_until, lambda: bool(logged(bench.gateway, request_id)))
    assert [entry["message"] for entry in logged(bench.gateway, request_id)] == ["observer leaky: OSError: disk full"]
    assert metrics(bench.gateway)['ai_plugin_events_total{event="leaky",label="failed"}'] >= 1
    started = [str(entry["message"]) for entry in bench.gateway.log if "request_id" not in entry]
    assert "observer stuck could not start: OSError: no route" in started
    assert any("OSError: no licence" in message for message in started)
