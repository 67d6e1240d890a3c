"""The transport against real sockets: what it sends, what it makes of answers, and how it lets go."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from tests.core.agent.dialects.answers import Answer, answer_of
from tests.plugins.transports.certificates import Authority
from tests.plugins.transports.h2_provider import H2Provider, H2Request

from beyond_ai.agent import transport as transport_module
from beyond_ai.agent.failure import FailureCode, ModelFailure
from beyond_ai.agent.model import ModelRequest, StreamEvent, TextDelta
from beyond_ai.agent.transport import HttpModelTransport
from beyond_ai.spec.conversation import JsonObject, Message, Text
from beyond_ai.testing import (
    LAST_CHUNK,
    Close,
    ReadBody,
    Reset,
    ScriptedUpstream,
    Send,
    Step,
    Until,
    chunk,
    chunked_head,
    json_response,
    response,
    sse,
    sse_frame,
)

KEY = "bai_v1.fake-key-for-tests"
HEAD = chunked_head(200, [(b"content-type", b"text/event-stream")])
WORD = chunk(sse_frame({"choices": [{"index": 0, "delta": {"content": "word"}}]}))
STOP = chunk(sse_frame({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}))
DONE = chunk(b"data: [DONE]\n\n")
ANSWER = (ReadBody(), Send(HEAD + WORD + STOP + DONE + LAST_CHUNK))


def request_to(model: str = "m-1", **members: Any) -> ModelRequest:
    said = (Message(role="user", content=(Text(text="hi"),)),)
    return ModelRequest(**{"model": model, "system": "Be brief.", "messages": said, **members})


@pytest.fixture
async def upstream() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream() as running:
        yield running


Make = Callable[..., HttpModelTransport]


@pytest.fixture
async def make(upstream: ScriptedUpstream) -> AsyncIterator[Make]:
    """Makes transports to the upstream, and closes them."""
    made: list[HttpModelTransport] = []

    def to(base_url: str = "", key: str = KEY, **members: Any) -> HttpModelTransport:
        made.append(HttpModelTransport(base_url or f"http://{upstream.authority}", key, **members))
        return made[-1]

    yield to
    for transport in made:
        await transport.aclose()


async def read(transport: HttpModelTransport, request: ModelRequest | None = None) -> Answer:
    return answer_of([event async for event in transport.stream(request or request_to())])


async def failure_of(transport: HttpModelTransport, request: ModelRequest | None = None) -> ModelFailure:
    with pytest.raises(ModelFailure) as failure:
        await read(transport, request)
    return failure.value


@pytest.mark.parametrize(
    ("model", "dialect", "path"),
    [
        ("m-1", None, b"/v1/chat/completions"),
        ("claude-opus-4-8", None, b"/v1/messages"),
        ("gpt-5.4", None, b"/v1/responses"),
        ("claude-opus-4-8", "chat", b"/v1/chat/completions"),
    ],
)
async def test_a_request_goes_out_in_the_models_dialect(
    upstream: ScriptedUpstream, make: Make, model: str, dialect: Any, path: bytes
) -> None:
    upstream.play(ReadBody(), Send(response(500)))
    await failure_of(make(dialect=dialect), request_to(model))
    [request] = upstream.requests
    assert (request.method, request.target) == (b"POST", path)
    assert request.header(b"authorization") == b"Bearer " + KEY.encode()
    assert request.header(b"content-type") == b"application/json"
    assert request.header(b"accept") == b"text/event-stream"
    assert request.header(b"accept-encoding") == b"identity"
    assert (request.header(b"user-agent") or b"").startswith(b"beyond-ai/")
    assert (request.header(b"anthropic-version") is not None) == (path == b"/v1/messages")
    body = request.json()
    assert isinstance(body, dict)
    assert (body["model"], body["stream"]) == (model, True)


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/"])
async def test_the_url_may_end_with_the_version(upstream: ScriptedUpstream, make: Make, suffix: str) -> None:
    upstream.play(*ANSWER)
    await read(make(f"http://{upstream.authority}/groq/openai{suffix}"))
    assert upstream.requests[0].target == b"/groq/openai/v1/chat/completions"


@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_an_answer_is_read_wherever_its_chunks_end(upstream: ScriptedUpstream, make: Make, size: int) -> None:
    word = {"choices": [{"delta": {"content": "wörd\u2028"}}]}
    stop = {"choices": [{"delta": {}, "finish_reason": "stop"}]}
    frame = f"data: {json.dumps(word, ensure_ascii=False)}\n\n".encode()
    body = frame * 3 + sse_frame(stop) + b"data: [DONE]\n\n"
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    upstream.play(ReadBody(), Send(sse(pieces)))
    assert (await read(make())).text == "wörd\u2028" * 3


async def test_one_connection_serves_request_after_request(upstream: ScriptedUpstream, make: Make) -> None:
    transport = make()
    for _ in range(3):
        upstream.play(*ANSWER)
        assert (await read(transport)).text == "word"
    assert len(upstream.connections) == 1


async def test_a_hook_rewrites_the_body(upstream: ScriptedUpstream, make: Make) -> None:
    async def rewrite(payload: JsonObject) -> JsonObject:
        return {**payload, "seed": 7}

    transport = make()
    transport.rewrite_payload = rewrite
    upstream.play(*ANSWER)
    await read(transport)
    body = upstream.requests[0].json()
    assert isinstance(body, dict)
    assert body["seed"] == 7


async def first_word(events: AsyncIterator[StreamEvent]) -> None:
    async for event in events:
        if isinstance(event, TextDelta):
            return


async def test_closing_the_answer_closes_the_connection(upstream: ScriptedUpstream, make: Make) -> None:
    upstream.play(ReadBody(), Send(HEAD + WORD), Until(asyncio.Event()))
    async with aclosing(make().stream(request_to())) as events:
        await first_word(events)
        assert not upstream.connections[0].closed
    await upstream.wait_closed(0)


@pytest.mark.parametrize("script", [(ReadBody(),), (ReadBody(), Send(HEAD)), (ReadBody(), Send(HEAD + WORD))])
async def test_cancelling_closes_the_connection(
    upstream: ScriptedUpstream, make: Make, script: tuple[Step, ...]
) -> None:
    begun = asyncio.Event()
    upstream.play(*script, Until(asyncio.Event()))

    async def ask() -> None:
        begun.set()
        await read(make())

    task = asyncio.create_task(ask())
    await begun.wait()
    await upstream.wait_for_requests(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await upstream.wait_closed(0)


@pytest.mark.parametrize("script", [(ReadBody(),), (ReadBody(), Send(HEAD)), (ReadBody(), Send(HEAD + WORD))])
async def test_a_silent_upstream_is_given_up(upstream: ScriptedUpstream, make: Make, script: tuple[Step, ...]) -> None:
    upstream.play(*script, Until(asyncio.Event()))
    failure = await failure_of(make(idle_seconds=0.1))
    assert (failure.code, failure.retryable) == ("timeout", True)
    assert failure.message == f"{upstream.authority} sent nothing for 0.1 s"
    await upstream.wait_closed(0)


@pytest.mark.parametrize(
    "script",
    [
        (ReadBody(), Reset()),
        (ReadBody(), Close()),
        (ReadBody(), Send(HEAD), Reset()),
        (ReadBody(), Send(HEAD + WORD), Reset()),
        (ReadBody(), Send(HEAD + WORD), Close()),
        (ReadBody(), Send(HEAD + WORD + LAST_CHUNK)),
        (ReadBody(), Send(HEAD + LAST_CHUNK)),
        (ReadBody(), Send(HEAD + chunk(b"data: {\n\n"))),
        (ReadBody(), Send(b"nonsense\r\n\r\n"), Close()),
    ],
)
async def test_what_breaks_off_can_be_tried_again(
    upstream: ScriptedUpstream, make: Make, script: tuple[Step, ...]
) -> None:
    upstream.play(*script)
    failure = await failure_of(make())
    assert (failure.code, failure.retryable) == ("network", True)


@pytest.mark.parametrize("end", [Reset(), Close(), Until(asyncio.Event())])
async def test_an_answer_that_is_complete_needs_no_good_end(
    upstream: ScriptedUpstream, make: Make, end: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport_module, "LAST_WORDS_SECONDS", 0.2)
    upstream.play(ReadBody(), Send(HEAD + WORD + STOP), end)
    answer = await read(make(idle_seconds=30))
    assert (answer.text, answer.stop_reason) == ("word", "end_turn")


async def test_usage_that_comes_late_is_waited_for(upstream: ScriptedUpstream, make: Make) -> None:
    later = asyncio.Event()
    usage = chunk(sse_frame({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 1}}))
    upstream.play(ReadBody(), Send(HEAD + WORD + STOP), Until(later), Send(usage + DONE + LAST_CHUNK))
    async with aclosing(make().stream(request_to())) as events:
        await first_word(events)
        later.set()
        rest = [event async for event in events]
    assert "input_tokens=7" in str(rest)


@pytest.mark.parametrize("tail", [b"", LAST_CHUNK])
async def test_nothing_is_waited_for_after_the_end(upstream: ScriptedUpstream, make: Make, tail: bytes) -> None:
    upstream.play(ReadBody(), Send(HEAD + WORD + STOP + DONE + tail), Until(asyncio.Event()))
    async with asyncio.timeout(5):
        assert (await read(make(idle_seconds=30))).text == "word"


@pytest.mark.parametrize(
    ("answer", "code", "retryable", "wait"),
    [
        (json_response({"error": {"message": "slow"}}, 429, [(b"Retry-After", b"7")]), "rate_limit", True, 7.0),
        (json_response({"error": {"code": "insufficient_quota"}}, 429), "quota", False, None),
        (json_response({"error": {"message": "invalid key"}}, 401), "auth", False, None),
        (json_response({"error": {"type": "overloaded_error"}}, 529), "overloaded", True, None),
        (json_response({"error": {"message": "prompt is too long"}}, 400), "context_overflow", False, None),
        (response(503, [(b"retry-after", b"0")], b"<html><title>no</title></html>"), "overloaded", True, 0.0),
        (response(400), "context_overflow", False, None),
        (response(302, [(b"location", b"http://127.0.0.1:9/")]), "bad_request", False, None),
        (json_response({"error": {"message": "no such model", "code": 404}}), "bad_request", False, None),
        (json_response({"choices": []}), "config", False, None),
        (response(200, [(b"content-type", b"text/html; charset=utf-8")], b"<html>hi</html>"), "config", False, None),
        (sse([sse_frame({"error": {"type": "overloaded_error"}}, "error")]), "overloaded", True, None),
    ],
)
async def test_an_error_is_a_typed_failure(
    upstream: ScriptedUpstream, make: Make, answer: bytes, code: FailureCode, retryable: bool, wait: float | None
) -> None:
    upstream.play(ReadBody(), Send(answer))
    failure = await failure_of(make())
    assert (failure.code, failure.retryable, failure.retry_after) == (code, retryable, wait)


async def test_an_error_without_an_end_is_a_failure_all_the_same(upstream: ScriptedUpstream, make: Make) -> None:
    upstream.play(ReadBody(), Send(chunked_head(429) + chunk(b'{"error": "slow"}')), Reset())
    assert (await failure_of(make())).code == "rate_limit"


async def test_a_key_is_never_shown(upstream: ScriptedUpstream, make: Make) -> None:
    upstream.play(ReadBody(), Send(json_response({"error": {"message": f"the key {KEY} is wrong"}}, 401)))
    failure = await failure_of(make())
    assert failure.message.startswith("the provider answered 401: the key [key] is wrong; set AI_AGENT_KEY")
    assert KEY not in "".join(map(str, (failure, failure.args, failure.__cause__)))


@pytest.mark.parametrize("key", ["", "two words", "line\nbreak", "naïve"])
async def test_a_key_that_is_none_is_not_sent(upstream: ScriptedUpstream, make: Make, key: str) -> None:
    failure = await failure_of(make(key=key))
    assert failure.code == "config"
    assert "AI_AGENT_KEY" in failure.message
    assert not key or key not in failure.message
    assert not upstream.requests


async def test_nobody_listens(make: Make) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        failure = await failure_of(make(f"http://127.0.0.1:{port}"))
    assert (failure.code, failure.retryable) == ("network", True)
    assert failure.message.startswith(f"127.0.0.1:{port} cannot be reached")
    assert "AI_GATEWAY_URL" in failure.message


@pytest.mark.parametrize(
    "url",
    [
        "ftp://127.0.0.1",
        "nonsense",
        "",
        "http://",
        "http://[",
        "http://a b",
        "http://a:b",
        "http://a\nb",
        "http://a?b=c",
        "http://u:secret@a",
    ],
)
async def test_a_url_that_is_none(url: str) -> None:
    failure = await failure_of(HttpModelTransport(url, KEY))
    assert (failure.code, failure.retryable) == ("config", False)
    assert "AI_GATEWAY_URL" in failure.message
    assert "secret" not in failure.message


async def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(
    upstream: ScriptedUpstream, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    upstream.play(*ANSWER)
    assert (await read(make())).text == "word"


async def test_half_a_character_in_a_prompt_is_replaced(upstream: ScriptedUpstream, make: Make) -> None:
    upstream.play(*ANSWER)
    await read(make(), request_to(system="a\ud800b"))
    body = upstream.requests[0].json()
    assert isinstance(body, dict)
    assert body["messages"][0]["content"] == "a?b"


@pytest.mark.parametrize("protocols", [("h2",), ("http/1.1",)])
async def test_tls_speaks_http_2_where_the_other_side_does(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocols: tuple[str, ...]
) -> None:
    authority = Authority(tmp_path)
    authority.trust(monkeypatch)
    tls = authority.context(protocols=protocols)
    if protocols == ("http/1.1",):
        async with ScriptedUpstream(tls=tls) as upstream:
            upstream.play(*ANSWER)
            transport = make(f"https://{upstream.authority}")
            assert (await read(transport)).text == "word"
            await transport.aclose()
        return

    def respond(request: H2Request) -> None:
        request.head(200, [(b"content-type", b"text/event-stream")])
        for value in ({"content": "wo"}, {"content": "rd"}):
            request.data(sse_frame({"choices": [{"delta": value}]}))
        request.data(sse_frame({"choices": [{"delta": {}, "finish_reason": "stop"}]}), end=True)

    async with H2Provider(tls, respond) as provider:
        transport = make(f"https://{provider.authority}")
        assert (await read(transport)).text == "word"
        assert len(provider.requests) == 1
        await transport.aclose()


async def test_a_certificate_that_nobody_vouches_for(make: Make, tmp_path: Path) -> None:
    async with ScriptedUpstream(tls=Authority(tmp_path).context()) as upstream:
        failure = await failure_of(make(f"https://{upstream.authority}"))
        assert failure.code == "network"
        assert "certificate" in failure.message.lower()
