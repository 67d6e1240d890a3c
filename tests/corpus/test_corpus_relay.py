"""Every recorded answer, relayed for a virtual key by a running gateway, arrives whole and leaves the right event."""

import json
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

import pytest
from tests.corpus.test_corpus_usage import CORPUS, RECORDINGS, Recording
from tests.gateway_process import MANAGED, PUBLIC_KEY

from beyond_ai.testing import (
    GatewayProcess,
    ScriptedUpstream,
    UsageFields,
    WireClient,
    chunk,
    request,
    response_head,
)

PROVIDERS = sorted({recording.row["provider"] for recording in RECORDINGS})

pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason="the recorded answers are not here")

Cut = Callable[[Recording, bytes], list[bytes]]


def whole(_: Recording, body: bytes) -> list[bytes]:
    return [body]


def sevens(_: Recording, body: bytes) -> list[bytes]:
    return [body[start : start + 7] for start in range(0, len(body), 7)]


def single_bytes(_: Recording, body: bytes) -> list[bytes]:
    return [body[start : start + 1] for start in range(len(body))]


def as_recorded(recording: Recording, body: bytes) -> list[bytes]:
    pieces, start = [], 0
    for size in recording.row.get("transport_chunks") or []:
        pieces.append(body[start : start + size])
        start += size
    return [piece for piece in [*pieces, body[start:]] if piece]


@pytest.fixture(scope="module")
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


@pytest.fixture(scope="module")
def gateway(listener: socket.socket, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    port = listener.getsockname()[1]
    keys = "\n".join(f'{name} = "pool-{name}-fake"' for name in PROVIDERS)
    authorities = "\n".join(f'{name} = "127.0.0.1:{port}"' for name in PROVIDERS)
    config = f"""
listen = "127.0.0.1:0"
metrics_listen = "127.0.0.1:0"
upstream_tls = false
rate_limit_rps = 0
circuit_breaker_threshold = 0
[signing_keys]
1 = "{PUBLIC_KEY}"
[pool_keys]
{keys}
[provider_authorities]
{authorities}
"""
    with GatewayProcess(config, folder=tmp_path_factory.mktemp("corpus")) as process:
        yield process


@pytest.fixture
async def upstream(listener: socket.socket) -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream(listener=listener.dup()) as scripted:
        yield scripted


def content_type(row: Mapping[str, Any]) -> bytes:
    """The content type of an answer; where it was not recorded, that of its kind."""
    kind = "text/event-stream" if row["streaming"] else "application/json"
    return str(row["content_type"] or kind).encode()


def asked(recording: Recording) -> bytes:
    """The request for RECORDING, which asks to be told the usage itself."""
    row = recording.row
    body: dict[str, Any] = {"model": row["request_model"] or "m", "stream": row["streaming"]}
    if row["streaming"] and row["kind"] == "chat/completions":
        body["stream_options"] = {"include_usage": True}
    target = f"/{row['provider']}{row['endpoint']}"
    key = (b"Authorization", b"Bearer " + MANAGED.openai_key.encode())
    return request(b"POST", target.encode(), [(b"Host", b"gateway.test"), key], json.dumps(body).encode())


def counted(event: UsageFields) -> dict[str, object]:
    names = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
    return {name: event[name] for name in names if name in event}


def problem(recording: Recording, event: UsageFields | None) -> str | None:
    """What is wrong with EVENT, if anything is."""
    expected, file = recording.row["expected"], recording.row["file"]
    if not recording.wire.metered:
        return None if event is None else f"{file}: an event for what is free"
    if event is None:
        return f"{file}: no event"
    if expected is not None:
        got = counted(event)
        return None if got == expected and not event["usage_estimated"] else f"{file}: {got}, expected {expected}"
    silent = "usage_wire" not in event and (event["usage_estimated"] or not any(counted(event).values()))
    return None if silent else f"{file}: counts out of nowhere: {event}"


async def relay_all(gateway: GatewayProcess, upstream: ScriptedUpstream, recordings: list[Recording], cut: Cut) -> None:
    problems: list[str] = []
    ids: dict[str, Recording] = {}
    async with WireClient(gateway.host, gateway.port) as client:
        for recording in recordings:
            body, row = recording.body, recording.row
            head = response_head(
                row["status"],
                [(b"content-type", content_type(row)), (b"transfer-encoding", b"chunked")],
            )
            upstream.answer(head + b"".join(map(chunk, cut(recording, body))) + chunk(b""))
            received = await client.exchange(asked(recording), within=60)
            if not received.complete or received.status != row["status"] or bytes(received.body) != body:
                problems.append(f"{row['file']}: not relayed as it was")
            request_id = received.header(b"x-beyond-request-id")
            assert request_id is not None
            ids[request_id.decode()] = recording
    metered = [name for name, recording in ids.items() if recording.wire.metered]
    events = {name: await gateway.usage_event(name) for name in metered}
    written = {str(event["request_id"]) for event in gateway.usage}
    for name, recording in ids.items():
        event = events.get(name) or ({} if name in written else None)
        found = problem(recording, event)
        if found is not None:
            problems.append(found)
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("cut", [whole, sevens, as_recorded, single_bytes])
@pytest.mark.parametrize("provider", PROVIDERS)
async def test_relayed(gateway: GatewayProcess, upstream: ScriptedUpstream, provider: str, cut: Cut) -> None:
    recordings = [recording for recording in RECORDINGS if recording.row["provider"] == provider]
    assert recordings
    await relay_all(gateway, upstream, recordings, cut)
