"""The stock SDKs talk to echo over a real socket: chat, streams, tools, errors, counting."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import httptools
import openai
import pytest
from anthropic.types import MessageParam, ToolParam
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam

from beyond_ai import Headers, UpstreamExchange, UpstreamFailure, UpstreamRequest
from beyond_ai_providers.echo.exchange import EchoTransport
from beyond_ai_providers.echo.transport import EchoSettings

KEY = "sk-fake-for-tests"
SCHEMA: dict[str, object] = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}


class Bridge(asyncio.Protocol):
    """One HTTP/1.1 connection in front of the echo transport, no more than the SDKs need."""

    def __init__(self, transport: EchoTransport, lost: asyncio.Event) -> None:
        self.upstream = transport
        self.lost = lost
        self.exchange: UpstreamExchange | None = None
        self.chunked = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.socket = transport
        self.next_request()

    def next_request(self) -> None:
        self.parser = httptools.HttpRequestParser(self)
        self.headers: Headers = []
        self.target = b""

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.exchange:
            self.exchange.abort()
        self.lost.set()

    def pause_writing(self) -> None:
        if self.exchange:
            self.exchange.pause()

    def resume_writing(self) -> None:
        if self.exchange:
            self.exchange.resume()

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        fields = {name.lower(): value for name, value in self.headers}
        length = fields.get(b"content-length")
        request = UpstreamRequest(
            provider="echo",
            method=self.parser.get_method(),
            target=self.target,
            headers=self.headers,
            host="echo.invalid",
            port=443,
            tls=False,
            content_length=int(length) if length else None,
            chunked=b"transfer-encoding" in fields,
        )
        self.exchange = self.upstream.open(request, self)

    def on_body(self, body: bytes) -> None:
        assert self.exchange
        self.exchange.send(body)

    def on_message_complete(self) -> None:
        assert self.exchange
        self.exchange.send_end()

    def upstream_connect_retry(self) -> None:
        raise AssertionError("echo does not connect")

    def upstream_informational(self, status: int, headers: Headers) -> None:
        raise AssertionError("echo has nothing to announce")

    def upstream_head(self, status: int, reason: bytes, headers: Headers) -> None:
        lines = [b"HTTP/1.1 %d %b" % (status, reason), *(b"%b: %b" % header for header in headers)]
        self.socket.write(b"\r\n".join(lines) + b"\r\n\r\n")
        self.chunked = (b"transfer-encoding", b"chunked") in headers

    def upstream_body(self, data: bytes, framed: bytes = b"") -> None:
        self.socket.write(b"%x\r\n%b\r\n" % (len(data), data) if self.chunked else data)

    def upstream_end(self) -> None:
        if self.chunked:
            self.socket.write(b"0\r\n\r\n")
        self.exchange = None
        self.next_request()

    def upstream_failed(self, failure: UpstreamFailure) -> None:
        self.socket.abort()

    def upstream_pause(self) -> None:
        self.socket.pause_reading()

    def upstream_resume(self) -> None:
        self.socket.resume_reading()


@pytest.fixture
def transport() -> EchoTransport:
    return EchoTransport(EchoSettings(delay_ms=0))


@pytest.fixture
def lost() -> asyncio.Event:
    """Set when a client has closed its connection."""
    return asyncio.Event()


@pytest.fixture
async def url(transport: EchoTransport, lost: asyncio.Event) -> AsyncIterator[str]:
    """Where echo listens."""
    server = await asyncio.get_running_loop().create_server(lambda: Bridge(transport, lost), "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    yield f"http://{host}:{port}"
    server.close()
    await transport.aclose()


@pytest.fixture
async def gpt(url: str) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0, timeout=20) as client:
        yield client


@pytest.fixture
async def claude(url: str) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(base_url=url, api_key=KEY, max_retries=0, timeout=20) as client:
        yield client


async def test_openai_chat_streams_through_the_sdks_accumulator(gpt: openai.AsyncOpenAI) -> None:
    question: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Bonjour, ça va ?"}]
    plain = await gpt.chat.completions.create(model="m", messages=question)
    async with gpt.chat.completions.stream(
        model="m", messages=question, stream_options={"include_usage": True}
    ) as stream:
        deltas = [event.delta async for event in stream if event.type == "content.delta"]
        final = await stream.get_final_completion()
    assert "".join(deltas) == final.choices[0].message.content == "You said: Bonjour, ça va ?"
    assert final.usage == plain.usage
    assert plain.choices[0].message.content == final.choices[0].message.content


async def test_openai_chat_agent_loop_ends_after_one_harmless_call(gpt: openai.AsyncOpenAI) -> None:
    tools: list[ChatCompletionToolParam] = [
        {"type": "function", "function": {"name": name, "parameters": SCHEMA}} for name in ("bash", "ls")
    ]
    messages: list[Any] = [{"role": "user", "content": "look around"}]
    called = []
    message = None
    for _ in range(5):
        async with gpt.chat.completions.stream(model="m", messages=messages, tools=tools) as stream:
            message = (await stream.get_final_completion()).choices[0].message
        if not message.tool_calls:
            break
        [call] = message.tool_calls
        called.append((call.function.name, json.loads(call.function.arguments)))
        messages.append(message.model_dump(exclude_none=True, exclude={"parsed", "refusal"}))
        messages.append({"role": "tool", "tool_call_id": call.id, "content": "README.md"})
    assert called == [("ls", {"path": "."})]
    assert message
    assert message.content == "The tool answered: README.md"


async def test_openai_responses_stream_and_tool(gpt: openai.AsyncOpenAI) -> None:
    async with gpt.responses.stream(model="m", input="hello") as stream:
        kinds = [event.type async for event in stream]
        final = await stream.get_final_response()
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    assert final.output_text == "You said: hello"
    assert final.usage == (await gpt.responses.create(model="m", input="hello")).usage

    tool: Any = {"type": "function", "name": "ls", "parameters": SCHEMA, "strict": False}
    async with gpt.responses.stream(model="m", input="look", tools=[tool]) as stream:
        [call] = (await stream.get_final_response()).output
    assert call.type == "function_call"
    assert json.loads(call.arguments) == {"path": "."}
    answer: Any = [
        {"role": "user", "content": "look"},
        call.model_dump(exclude_none=True, exclude={"parsed_arguments"}),
        {"type": "function_call_output", "call_id": call.call_id, "output": "README.md"},
    ]
    assert (await gpt.responses.create(model="m", input=answer, tools=[tool])).output_text == (
        "The tool answered: README.md"
    )


async def test_anthropic_messages_stream_and_tool(claude: anthropic.AsyncAnthropic) -> None:
    question: list[MessageParam] = [{"role": "user", "content": "hello"}]
    plain = await claude.messages.create(model="m", max_tokens=100, messages=question)
    async with claude.messages.stream(model="m", max_tokens=100, messages=question) as stream:
        assert [text async for text in stream.text_stream] == ["You", " said", ":", " hello"]
        final = await stream.get_final_message()
    assert final.stop_reason == "end_turn"
    assert (final.usage.input_tokens, final.usage.output_tokens) == (
        (plain.usage.input_tokens, plain.usage.output_tokens)
    )
    counted = await claude.messages.count_tokens(model="m", messages=question)
    assert counted.input_tokens == plain.usage.input_tokens

    tools: list[ToolParam] = [{"name": "read_file", "input_schema": SCHEMA}]
    async with claude.messages.stream(model="m", max_tokens=100, messages=question, tools=tools) as stream:
        message = await stream.get_final_message()
    [use] = message.content
    assert use.type == "tool_use"
    assert (message.stop_reason, use.input) == ("tool_use", {"path": "."})
    history: list[MessageParam] = [
        *question,
        {"role": "assistant", "content": [{"type": "tool_use", "id": use.id, "name": use.name, "input": use.input}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": use.id, "content": "README.md"}]},
    ]
    [block] = (await claude.messages.create(model="m", max_tokens=100, messages=history, tools=tools)).content
    assert block.type == "text"
    assert block.text == "The tool answered: README.md"


async def test_sdks_raise_their_own_errors(gpt: openai.AsyncOpenAI, claude: anthropic.AsyncAnthropic) -> None:
    with pytest.raises(openai.BadRequestError, match="messages") as bad:
        await gpt.chat.completions.create(model="m", messages=[])
    assert bad.value.type == "invalid_request_error"
    assert bad.value.request_id
    with pytest.raises(openai.NotFoundError):
        await gpt.images.generate(model="m", prompt="x")
    with pytest.raises(anthropic.BadRequestError, match="messages") as refused:
        await claude.messages.create(model="m", max_tokens=5, messages=[])
    assert refused.value.request_id
    with pytest.raises(anthropic.NotFoundError):
        await claude.messages.batches.list()


async def test_models_embeddings_and_completions(gpt: openai.AsyncOpenAI, claude: anthropic.AsyncAnthropic) -> None:
    assert [model.id async for model in gpt.models.list()] == ["echo"]
    assert [model.id async for model in claude.models.list()] == ["echo"]
    embedded = await gpt.embeddings.create(model="m", input="hello", dimensions=16)
    assert len(embedded.data[0].embedding) == 16
    completed = await gpt.completions.create(model="m", prompt="hello")
    assert completed.choices[0].text == "You said: hello"


async def test_a_client_that_leaves_ends_its_exchange(
    gpt: openai.AsyncOpenAI, transport: EchoTransport, lost: asyncio.Event
) -> None:
    words = " ".join(["word"] * 4000)
    stream = await gpt.chat.completions.create(model="m", messages=[{"role": "user", "content": words}], stream=True)
    async for _ in stream:
        break
    [exchange] = transport.exchanges
    await stream.close()
    async with asyncio.timeout(10):
        await lost.wait()
    assert exchange.over
    assert not transport.exchanges
