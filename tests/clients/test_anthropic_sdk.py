"""The stock `anthropic` package through the gateway, base URL changed and nothing else."""

import asyncio

import anthropic
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
    chunk,
    chunked_head,
    messages,
)

ASKED = [{"role": "user", "content": "Say hello, 你好!"}]
ORDER = {"model": "claude-scripted", "max_tokens": 64, "messages": ASKED}
TOOLS = [
    {
        "name": "get_weather",
        "description": "Weather in a city.",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }
]
CALL = ToolCall("get_weather", '{"city":"Tromsø"}', id="toolu_scripted_1")
ANSWER = Answer(text="Hello to you.", input_tokens=31, output_tokens=8, cached_tokens=16)
USAGE = {"input_tokens": 15, "output_tokens": 8, "cache_read_tokens": 16, "cache_write_tokens": 0}


async def test_message(gateway: GatewayProcess, upstream: ScriptedUpstream, anthropic_sdk: Sdk, caller: Caller) -> None:
    upstream.answer(messages.response(ANSWER))
    message, headers = await anthropic_sdk.raw(lambda client: client.messages.with_raw_response.create, **ORDER)
    assert message.content[0].text == "Hello to you."
    [request] = upstream.requests
    check_received(request, caller, "anthropic", anthropic_sdk)
    assert (request.method, request.target) == (b"POST", b"/v1/messages")
    assert (
        request.header(b"anthropic-version") == str(anthropic_sdk.client.default_headers["anthropic-version"]).encode()
    )
    assert request.json() == ORDER
    check_usage(
        gateway,
        caller,
        headers["x-beyond-request-id"],
        provider="anthropic",
        model=ANSWER.model,
        requested_model="claude-scripted",
        stream=False,
        outcome="ok",
        **USAGE,
    )


async def test_message_streams_as_the_provider_writes(
    gateway: GatewayProcess, upstream: ScriptedUpstream, anthropic_sdk: Sdk, caller: Caller
) -> None:
    """The provider writes an event only when the SDK has handed out the one before; pings have none to hand out."""
    frames = [frame for frame in messages.frames(ANSWER) if b"event: ping" not in frame]
    gates = [asyncio.Event() for _ in range(len(frames) + 1)]
    head = chunked_head(200, [(b"content-type", b"text/event-stream; charset=utf-8")])
    steps = [step for gate, frame in zip(gates, frames, strict=False) for step in (Until(gate), Send(chunk(frame)))]
    upstream.play(ReadBody(), Send(head), *steps, Send(LAST_CHUNK))
    gates[0].set()
    stream, headers = await anthropic_sdk.raw(
        lambda client: client.messages.with_raw_response.create, **ORDER, stream=True
    )
    events = []
    async with asyncio.timeout(10):
        async for event in anthropic_sdk.each(stream):
            events.append(event)
            gates[len(events)].set()
    assert [event.type for event in events][-2:] == ["message_delta", "message_stop"]
    texts = [event.delta.text for event in events if event.type == "content_block_delta"]
    assert "".join(texts) == "Hello to you."
    check_received(upstream.requests[0], caller, "anthropic", anthropic_sdk)
    check_usage(
        gateway,
        caller,
        headers["x-beyond-request-id"],
        model=ANSWER.model,
        requested_model="claude-scripted",
        stream=True,
        outcome="ok",
        **USAGE,
    )


async def test_the_sdks_stream_helper(upstream: ScriptedUpstream, anthropic_sdk: Sdk) -> None:
    """`messages.stream` puts the whole message together from its events."""
    upstream.answer(messages.stream(Answer(tool_calls=(CALL,))))
    if isinstance(anthropic_sdk.client, anthropic.AsyncAnthropic):
        content, usage = await async_final(anthropic_sdk.client)
    else:
        assert isinstance(anthropic_sdk.client, anthropic.Anthropic)
        content, usage = await asyncio.to_thread(final, anthropic_sdk.client)
    assert (content, usage) == (["text", "tool_use"], 7)


async def async_final(client: anthropic.AsyncAnthropic) -> tuple[list[str], int]:
    async with client.messages.stream(model="m", max_tokens=9, messages=[{"role": "user", "content": "?"}]) as stream:
        message = await stream.get_final_message()
    return [block.type for block in message.content], message.usage.output_tokens


def final(client: anthropic.Anthropic) -> tuple[list[str], int]:
    with client.messages.stream(model="m", max_tokens=9, messages=[{"role": "user", "content": "?"}]) as stream:
        message = stream.get_final_message()
    return [block.type for block in message.content], message.usage.output_tokens


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
async def test_tools(upstream: ScriptedUpstream, anthropic_sdk: Sdk, caller: Caller, streamed: bool) -> None:
    answer = Answer(text="", tool_calls=(CALL,))
    upstream.answer(messages.stream(answer) if streamed else messages.response(answer))
    result = await anthropic_sdk.call(lambda client: client.messages.create, **ORDER, tools=TOOLS, stream=streamed)
    if streamed:
        events = await anthropic_sdk.collect(result)
        [block] = [event.content_block for event in events if event.type == "content_block_start"]
        parts = [event.delta.partial_json for event in events if event.type == "content_block_delta"]
        name, arguments = block.name, orjson.loads("".join(parts))
    else:
        [block] = result.content
        name, arguments = block.name, block.input
    assert (name, arguments) == ("get_weather", {"city": "Tromsø"})
    [request] = upstream.requests
    check_received(request, caller, "anthropic", anthropic_sdk)
    body = request.json()
    assert isinstance(body, dict)
    assert body["tools"] == TOOLS


async def test_betas_on_a_pool_key_are_those_that_cost_nothing_more(
    upstream: ScriptedUpstream, anthropic_sdk: Sdk, caller: Caller
) -> None:
    betas = ["context-1m-2025-08-07", "interleaved-thinking-2025-05-14", "prompt-caching-2024-07-31"]
    upstream.answer(messages.response(ANSWER))
    await anthropic_sdk.call(
        lambda client: client.beta.messages.create, **ORDER, betas=betas, extra_query={"beta": "true"}
    )
    [request] = upstream.requests
    assert request.target == b"/v1/messages?beta=true"
    sent = (request.header(b"anthropic-beta") or b"").decode().replace(" ", "").split(",")
    assert sent == (betas[1:] if caller.managed else betas)


PROVIDER_ERRORS = {
    400: (anthropic.BadRequestError, "invalid_request_error"),
    401: (anthropic.AuthenticationError, "authentication_error"),
    403: (anthropic.PermissionDeniedError, "permission_error"),
    404: (anthropic.NotFoundError, "not_found_error"),
    413: (anthropic.APIStatusError, "request_too_large"),
    429: (anthropic.RateLimitError, "rate_limit_error"),
    500: (anthropic.InternalServerError, "api_error"),
    529: (anthropic.InternalServerError, "overloaded_error"),
}


@pytest.mark.parametrize("status", PROVIDER_ERRORS)
async def test_a_providers_error_is_the_sdks_own(
    gateway: GatewayProcess, upstream: ScriptedUpstream, anthropic_sdk: Sdk, caller: Caller, status: int
) -> None:
    expected, kind = PROVIDER_ERRORS[status]
    headers = [(b"retry-after-ms", b"1"), (b"request-id", b"req_of_the_provider")]
    upstream.default = (ReadBody(), Send(messages.error(status, "said the provider", kind=kind, headers=headers)))
    with pytest.raises(expected) as caught:
        await anthropic_sdk.call(lambda client: client.messages.create, **ORDER)
    error = caught.value
    assert error.status_code == status
    assert error.body == {
        "type": "error",
        "error": {"type": kind, "message": "said the provider"},
        "request_id": "req_scripted",
    }
    assert error.request_id == "req_of_the_provider"
    assert "x-beyond-error-source" not in error.response.headers
    assert len(upstream.requests) == (3 if status == 429 or status >= 500 else 1)
    check_usage(
        gateway,
        caller,
        error.response.headers["x-beyond-request-id"],
        outcome="upstream_error",
        upstream_status=status,
        output_tokens=0,
    )


async def test_a_retry_after_an_overload(upstream: ScriptedUpstream, anthropic_sdk: Sdk) -> None:
    upstream.answer(messages.error(529, "busy", kind="overloaded_error", headers=[(b"retry-after-ms", b"1")]))
    upstream.answer(messages.response(ANSWER))
    message = await anthropic_sdk.call(lambda client: client.messages.create, **ORDER)
    assert message.content[0].text == "Hello to you."
    assert len(upstream.requests) == 2


async def test_x_should_retry_false_is_obeyed(upstream: ScriptedUpstream, anthropic_sdk: Sdk) -> None:
    headers = [(b"x-should-retry", b"false")]
    upstream.default = (ReadBody(), Send(messages.error(500, "no use", kind="api_error", headers=headers)))
    with pytest.raises(anthropic.InternalServerError):
        await anthropic_sdk.call(lambda client: client.messages.create, **ORDER)
    assert len(upstream.requests) == 1


async def test_an_error_inside_a_stream_is_raised(upstream: ScriptedUpstream, anthropic_sdk: Sdk) -> None:
    start = messages.frames(ANSWER)[0]
    broken = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"fell over"}}\n\n'
    upstream.answer(
        chunked_head(200, [(b"content-type", b"text/event-stream")]) + chunk(start), chunk(broken) + LAST_CHUNK
    )
    stream = await anthropic_sdk.call(lambda client: client.messages.create, **ORDER, stream=True)
    with pytest.raises(anthropic.APIStatusError, match="fell over"):
        await anthropic_sdk.collect(stream)


async def test_a_provider_that_dies_in_a_stream_is_an_error(
    gateway: GatewayProcess, upstream: ScriptedUpstream, anthropic_sdk: Sdk, caller: Caller
) -> None:
    head = chunked_head(200, [(b"content-type", b"text/event-stream")])
    upstream.play(ReadBody(), Send(head + chunk(messages.frames(ANSWER)[0])), Reset())
    stream, headers = await anthropic_sdk.raw(
        lambda client: client.messages.with_raw_response.create, **ORDER, stream=True
    )
    with pytest.raises(Exception, match=r"(?i)peer closed|incomplete|disconnected|reset|connection") as caught:
        await anthropic_sdk.collect(stream)
    assert not isinstance(caught.value, AssertionError)
    check_usage(gateway, caller, headers["x-beyond-request-id"], outcome="cut_short", input_tokens=15)


async def test_the_sdks_timeout_ends_the_providers_work(upstream: ScriptedUpstream, anthropic_sdk: Sdk) -> None:
    upstream.play(ReadBody(), Until(asyncio.Event()))
    with pytest.raises(anthropic.APITimeoutError):
        await anthropic_sdk.call(
            lambda client: client.with_options(timeout=0.2, max_retries=0).messages.create, **ORDER
        )
    connection = await upstream.wait_closed()
    assert connection.requests[0].aborted


GATEWAY_ERRORS = {
    "no such provider": ("/nobody", MANAGED.anthropic_key, anthropic.NotFoundError, "unknown provider"),
    "forged key": ("", MANAGED.anthropic_key[:-2] + "AQ", anthropic.AuthenticationError, "invalid API key"),
    "forged key, named": (
        "/anthropic",
        MANAGED.anthropic_key[:-2] + "AQ",
        anthropic.AuthenticationError,
        "invalid API key",
    ),
    "no pool key": ("/xai", MANAGED.anthropic_key, anthropic.InternalServerError, "no provider key available"),
    "unreachable": ("/mistral", MANAGED.anthropic_key, anthropic.InternalServerError, None),
}


@pytest.mark.parametrize("case", GATEWAY_ERRORS)
async def test_a_refusal_of_the_gateway_is_the_sdks_own_error(
    gateway: GatewayProcess, upstream: ScriptedUpstream, flavour: str, case: str
) -> None:
    """On a Messages path the body has the wire's outer `type`, whoever the provider is."""
    path, key, expected, message = GATEWAY_ERRORS[case]
    make = anthropic.Anthropic if flavour == "sync" else anthropic.AsyncAnthropic
    sdk = Sdk(make(base_url=gateway.url + path, api_key=key, max_retries=0))
    with pytest.raises(expected) as caught:
        await sdk.call(lambda client: client.messages.create, **ORDER)
    await sdk.aclose()
    error = caught.value
    assert error.response.headers["x-beyond-error-source"] == "gateway"
    assert error.response.headers["x-beyond-request-id"]
    assert isinstance(error.body, dict)
    assert set(error.body["error"]) == {"message", "type"}
    assert message is None or error.body["error"]["message"] == message
    if case != "no such provider":
        assert error.body["type"] == "error"
    assert not upstream.requests
