"""The stock `openai` package through the gateway, base URL changed and nothing else."""

import asyncio
import contextlib

import openai
import orjson
import pytest
from tests.clients.provider_side import check_received
from tests.clients.stock import Sdk
from tests.gateway_process import MANAGED, Caller, check_usage

from beyond_ai.testing import (
    LAST_CHUNK,
    Answer,
    GatewayProcess,
    ReadBody,
    Reset,
    ScriptedUpstream,
    Send,
    ToolCall,
    Until,
    chat,
    chunk,
    chunked_head,
    responses,
)

ASKED = [{"role": "user", "content": "Say hello, 你好!"}]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Weather in a city.",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
]
CALL = ToolCall("get_weather", '{"city":"Tromsø"}')
ANSWER = Answer(text="Hello to you.", input_tokens=31, output_tokens=8, cached_tokens=16, reasoning_tokens=3)
USAGE = {"input_tokens": 31, "output_tokens": 8, "cache_read_tokens": 16, "cache_write_tokens": 0}
AT_ONCE = [(b"retry-after-ms", b"1")]


async def test_chat(gateway: GatewayProcess, upstream: ScriptedUpstream, openai_sdk: Sdk, caller: Caller) -> None:
    upstream.answer(chat.response(ANSWER))
    completion, headers = await openai_sdk.raw(
        lambda client: client.chat.completions.with_raw_response.create, model="gpt-4o", messages=ASKED
    )
    assert completion.choices[0].message.content == "Hello to you."
    assert completion.usage.total_tokens == 39
    [request] = upstream.requests
    check_received(request, caller, "openai", openai_sdk)
    assert (request.method, request.target) == (b"POST", b"/v1/chat/completions")
    assert request.json() == {"model": "gpt-4o", "messages": ASKED}
    check_usage(
        gateway,
        caller,
        headers["x-beyond-request-id"],
        provider="openai",
        model=ANSWER.model,
        requested_model="gpt-4o",
        stream=False,
        reasoning_tokens=3,
        outcome="ok",
        **USAGE,
    )


async def test_chat_streams_as_the_provider_writes(
    gateway: GatewayProcess, upstream: ScriptedUpstream, openai_sdk: Sdk, caller: Caller
) -> None:
    """The provider writes a frame only when the SDK has handed out the one before."""
    frames = chat.frames(ANSWER)
    gates = [asyncio.Event() for _ in frames]
    head = chunked_head(200, [(b"content-type", b"text/event-stream")])
    steps = [step for gate, frame in zip(gates, frames, strict=True) for step in (Until(gate), Send(chunk(frame)))]
    upstream.play(ReadBody(), Send(head), *steps, Send(LAST_CHUNK))
    gates[0].set()
    stream, headers = await openai_sdk.raw(
        lambda client: client.chat.completions.with_raw_response.create,
        model="gpt-4o",
        messages=ASKED,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = []
    async with asyncio.timeout(10):
        async for event in openai_sdk.each(stream):
            chunks.append(event)
            gates[len(chunks)].set()
    assert len(chunks) == len(frames) - 1, "all but [DONE]"
    assert "".join(event.choices[0].delta.content or "" for event in chunks if event.choices) == "Hello to you."
    assert chunks[-1].usage.completion_tokens == 8
    [request] = upstream.requests
    check_received(request, caller, "openai", openai_sdk)
    check_usage(
        gateway,
        caller,
        headers["x-beyond-request-id"],
        provider="openai",
        model=ANSWER.model,
        requested_model="gpt-4o",
        stream=True,
        reasoning_tokens=3,
        outcome="ok",
        **USAGE,
    )


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
async def test_tools(upstream: ScriptedUpstream, openai_sdk: Sdk, caller: Caller, streamed: bool) -> None:
    answer = Answer(tool_calls=(CALL,))
    upstream.answer(chat.stream(answer) if streamed else chat.response(answer))
    result = await openai_sdk.call(
        lambda client: client.chat.completions.create, model="gpt-4o", messages=ASKED, tools=TOOLS, stream=streamed
    )
    if streamed:
        deltas = [event.choices[0].delta for event in await openai_sdk.collect(result) if event.choices]
        calls = [delta.tool_calls[0].function for delta in deltas if delta.tool_calls]
        name, arguments = calls[0].name, "".join(call.arguments for call in calls)
    else:
        [call] = result.choices[0].message.tool_calls
        name, arguments = call.function.name, call.function.arguments
    assert (name, arguments) == ("get_weather", CALL.arguments)
    [request] = upstream.requests
    check_received(request, caller, "openai", openai_sdk)
    body = request.json()
    assert isinstance(body, dict)
    assert body["tools"] == TOOLS


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("called", [None, CALL], ids=["text", "tool"])
async def test_responses(
    gateway: GatewayProcess,
    upstream: ScriptedUpstream,
    openai_sdk: Sdk,
    caller: Caller,
    streamed: bool,
    called: ToolCall | None,
) -> None:
    answer = Answer(text="" if called else "Hello.", tool_calls=(called,) if called else (), reasoning_tokens=2)
    upstream.answer(responses.stream(answer) if streamed else responses.response(answer))
    result, headers = await openai_sdk.raw(
        lambda client: client.responses.with_raw_response.create, model="gpt-5", input="Hi", stream=streamed
    )
    if streamed:
        events = await openai_sdk.collect(result)
        assert events[-1].type == "response.completed"
        result = events[-1].response
    assert result.output_text == ("" if called else "Hello.")
    assert not called or result.output[0].arguments == CALL.arguments
    [request] = upstream.requests
    check_received(request, caller, "openai", openai_sdk)
    assert (request.target, request.json()) == (b"/v1/responses", {"model": "gpt-5", "input": "Hi", "stream": streamed})
    check_usage(
        gateway,
        caller,
        headers["x-beyond-request-id"],
        model=answer.model,
        requested_model="gpt-5",
        stream=streamed,
        input_tokens=21,
        output_tokens=7,
        reasoning_tokens=2,
    )


async def test_another_provider_by_its_path(
    gateway: GatewayProcess, upstream: ScriptedUpstream, groq_sdk: Sdk, caller: Caller
) -> None:
    upstream.answer(chat.response(ANSWER))
    _, headers = await groq_sdk.raw(
        lambda client: client.chat.completions.with_raw_response.create, model="llama", messages=ASKED
    )
    [request] = upstream.requests
    check_received(request, caller, "groq", groq_sdk)
    assert request.target == b"/openai/v1/chat/completions"
    assert headers["x-beyond-provider"] == "groq"
    check_usage(gateway, caller, headers["x-beyond-request-id"], provider="groq", requested_model="llama", **USAGE)


async def test_an_organization_does_not_travel_on_a_pool_key(
    gateway: GatewayProcess, upstream: ScriptedUpstream, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OPENAI_ORG_ID in a user's environment would bill another project, or be a 401."""
    monkeypatch.setenv("OPENAI_ORG_ID", "org-fake")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-fake")
    upstream.answer(chat.response(ANSWER))
    async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=caller.openai_key) as client:
        await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "?"}])
    [request] = upstream.requests
    expected = (None, None) if caller.managed else (b"org-fake", b"proj-fake")
    assert (request.header(b"openai-organization"), request.header(b"openai-project")) == expected


PROVIDER_ERRORS = {
    400: (openai.BadRequestError, "invalid_request_error", "context_length_exceeded"),
    401: (openai.AuthenticationError, "invalid_request_error", "invalid_api_key"),
    403: (openai.PermissionDeniedError, "permission_error", None),
    404: (openai.NotFoundError, "invalid_request_error", "model_not_found"),
    422: (openai.UnprocessableEntityError, "invalid_request_error", None),
    429: (openai.RateLimitError, "tokens", "rate_limit_exceeded"),
    500: (openai.InternalServerError, "server_error", None),
    503: (openai.InternalServerError, "server_error", "overloaded"),
}


@pytest.mark.parametrize("status", PROVIDER_ERRORS)
async def test_a_providers_error_is_the_sdks_own(
    gateway: GatewayProcess, upstream: ScriptedUpstream, openai_sdk: Sdk, caller: Caller, status: int
) -> None:
    """Message, type and code as the provider wrote them, after the retries that the SDK makes by itself."""
    expected, kind, code = PROVIDER_ERRORS[status]
    headers = [*AT_ONCE, (b"x-request-id", b"req_of_the_provider")]
    upstream.default = (
        ReadBody(),
        Send(chat.error(status, "said the provider", kind=kind, code=code, headers=headers)),
    )
    with pytest.raises(expected) as caught:
        await openai_sdk.call(lambda client: client.chat.completions.create, model="gpt-4o", messages=ASKED)
    error = caught.value
    assert error.body == {"message": "said the provider", "type": kind, "param": None, "code": code}
    assert error.request_id == "req_of_the_provider"
    assert "x-beyond-error-source" not in error.response.headers
    assert len(upstream.requests) == (3 if status == 429 or status >= 500 else 1)
    check_usage(
        gateway,
        caller,
        error.response.headers["x-beyond-request-id"],
        outcome="upstream_error",
        upstream_status=status,
        input_tokens=0,
        output_tokens=0,
    )


async def test_a_retry_after_the_providers_word(
    gateway: GatewayProcess, upstream: ScriptedUpstream, openai_sdk: Sdk, caller: Caller
) -> None:
    """429 with a short `retry-after-ms`, then an answer: one call for the user, two usage events for the operator."""
    upstream.answer(chat.error(429, "slow down", kind="tokens", headers=AT_ONCE))
    upstream.answer(chat.response(ANSWER))
    since = len(gateway.usage)
    completion = await openai_sdk.call(lambda client: client.chat.completions.create, model="m", messages=ASKED)
    assert completion.choices[0].message.content == "Hello to you."
    assert [bytes(request.body) for request in upstream.requests] == [bytes(upstream.requests[0].body)] * 2
    if caller.managed:
        events = await gateway.usage_events(2, since=since)
        assert [(event["outcome"], event["output_tokens"]) for event in events] == [("upstream_error", 0), ("ok", 8)]
    else:
        assert [request.header(b"x-stainless-retry-count") for request in upstream.requests] == [b"0", b"1"]


@pytest.mark.parametrize(
    ("status", "word", "tries"), [(500, b"false", 1), (400, b"true", 3)], ids=["not again", "again"]
)
async def test_x_should_retry_is_obeyed(
    upstream: ScriptedUpstream, openai_sdk: Sdk, status: int, word: bytes, tries: int
) -> None:
    headers = [*AT_ONCE, (b"x-should-retry", word)]
    upstream.default = (ReadBody(), Send(chat.error(status, "as told", headers=headers)))
    with pytest.raises(openai.APIStatusError):
        await openai_sdk.call(lambda client: client.chat.completions.create, model="m", messages=ASKED)
    assert len(upstream.requests) == tries


async def test_an_error_inside_a_stream_is_raised(upstream: ScriptedUpstream, openai_sdk: Sdk) -> None:
    frames = chat.frames(ANSWER)[:3]
    broken = b'data: {"error":{"message":"the model fell over","type":"server_error","code":null}}\n\n'
    upstream.play(
        ReadBody(),
        Send(chunked_head(200, [(b"content-type", b"text/event-stream")]) + b"".join(map(chunk, [*frames, broken]))),
        Send(LAST_CHUNK),
    )
    stream = await openai_sdk.call(
        lambda client: client.chat.completions.create, model="m", messages=ASKED, stream=True
    )
    with pytest.raises(openai.APIError, match="the model fell over"):
        await openai_sdk.collect(stream)


async def test_a_provider_that_dies_in_a_stream_is_an_error(
    gateway: GatewayProcess, upstream: ScriptedUpstream, openai_sdk: Sdk, caller: Caller
) -> None:
    """A stream that was cut must not look finished."""
    head = chunked_head(200, [(b"content-type", b"text/event-stream")])
    upstream.play(ReadBody(), Send(head + chunk(chat.frames(ANSWER)[0])), Reset())
    stream, headers = await openai_sdk.raw(
        lambda client: client.chat.completions.with_raw_response.create, model="m", messages=ASKED, stream=True
    )
    with pytest.raises(Exception, match=r"(?i)peer closed|incomplete|disconnected|reset|connection") as caught:
        await openai_sdk.collect(stream)
    assert not isinstance(caught.value, AssertionError)
    check_usage(gateway, caller, headers["x-beyond-request-id"], outcome="cut_short", stream=True)


async def test_the_sdks_timeout_ends_the_providers_work(
    upstream: ScriptedUpstream, openai_sdk: Sdk, caller: Caller
) -> None:
    never = asyncio.Event()
    upstream.play(ReadBody(), Until(never))
    with pytest.raises(openai.APITimeoutError):
        await openai_sdk.call(
            lambda client: client.with_options(timeout=0.2, max_retries=0).chat.completions.create,
            model="m",
            messages=ASKED,
        )
    connection = await upstream.wait_closed()
    assert connection.requests[0].aborted


async def test_leaving_a_stream_lets_the_provider_go(
    gateway: GatewayProcess, upstream: ScriptedUpstream, openai_sdk: Sdk, caller: Caller
) -> None:
    never = asyncio.Event()
    head = chunked_head(200, [(b"content-type", b"text/event-stream")])
    upstream.play(ReadBody(), Send(head + chunk(chat.frames(ANSWER)[0])), Until(never))
    stream, headers = await openai_sdk.raw(
        lambda client: client.chat.completions.with_raw_response.create, model="m", messages=ASKED, stream=True
    )
    events = openai_sdk.each(stream)
    await anext(events)
    with contextlib.suppress(openai.APIError):
        await openai_sdk.call(lambda _client: stream.close)
    await events.aclose()
    connection = await upstream.wait_closed()
    assert connection.requests[0].aborted
    check_usage(gateway, caller, headers["x-beyond-request-id"], outcome="client_cancelled", stream=True)


GATEWAY_ERRORS = {
    "no such provider": ("/nobody/v1", MANAGED.openai_key, openai.NotFoundError, "unknown provider"),
    "forged key": ("/v1", MANAGED.openai_key[:-2] + "AQ", openai.AuthenticationError, "invalid API key"),
    "unknown kid": ("/v1", MANAGED.openai_key.replace("v1.1", "v1.9"), openai.AuthenticationError, "invalid API key"),
    "no pool key": ("/xai/v1", MANAGED.openai_key, openai.InternalServerError, "no provider key available"),
    "unreachable": ("/mistral/v1", MANAGED.openai_key, openai.InternalServerError, None),
    "unreachable byo": ("/mistral/v1", "sk-fake", openai.InternalServerError, None),
}


@pytest.mark.parametrize("case", GATEWAY_ERRORS)
async def test_a_refusal_of_the_gateway_is_the_sdks_own_error(
    gateway: GatewayProcess, upstream: ScriptedUpstream, flavour: str, case: str
) -> None:
    path, key, expected, message = GATEWAY_ERRORS[case]
    make = openai.OpenAI if flavour == "sync" else openai.AsyncOpenAI
    sdk = Sdk(make(base_url=gateway.url + path, api_key=key, max_retries=0))
    with pytest.raises(expected) as caught:
        await sdk.call(lambda client: client.chat.completions.create, model="m", messages=ASKED)
    await sdk.aclose()
    error = caught.value
    assert error.response.headers["x-beyond-error-source"] == "gateway"
    assert error.response.headers["x-beyond-request-id"]
    assert isinstance(error.body, dict)
    assert set(error.body) == {"message", "type"}
    assert message is None or error.body["message"] == message
    assert orjson.loads(error.response.content) == {"error": error.body}
    assert not upstream.requests


async def test_a_body_over_the_cap_is_a_413(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    """The declared length is enough to refuse it, and the SDK sees the answer though it is still sending."""
    huge = "x" * 104_857_601
    async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=MANAGED.openai_key, max_retries=0) as client:
        with pytest.raises(openai.APIStatusError) as caught:
            await client.chat.completions.create(model="m", messages=[{"role": "user", "content": huge}])
    assert caught.value.status_code == 413
    assert caught.value.response.headers["x-beyond-error-source"] == "gateway"
    assert not upstream.requests
