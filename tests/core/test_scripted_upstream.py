"""The test server itself, proven with raw sockets: it plays what it is told, and records what it gets."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator

import anthropic
import openai
import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

from beyond_ai.testing import (
    LAST_CHUNK,
    Answer,
    Close,
    HalfClose,
    Pause,
    ReadBody,
    Reset,
    ResumeReading,
    ScriptedUpstream,
    Send,
    StopReading,
    Tell,
    ThreadedUpstream,
    ToolCall,
    Until,
    WireClient,
    chat,
    chunk,
    chunked,
    chunked_head,
    close_delimited,
    in_turn,
    messages,
    request,
    response,
    response_head,
    responses,
)

HOST = (b"host", b"upstream.test")
GET = request(b"GET", b"/v1/models?x=%2F", [HOST, (b"X-Odd-Case", b"1"), (b"x-odd-case", b"2")])


def tls_contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context for 127.0.0.1, and a client's that trusts it."""
    authority = trustme.CA()
    server, trusting = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(trusting)
    return server, trusting


@pytest.fixture
async def upstream() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream() as running:
        yield running


@pytest.fixture
async def client(upstream: ScriptedUpstream) -> AsyncIterator[WireClient]:
    async with WireClient(upstream.host, upstream.port) as connected:
        yield connected


async def test_a_request_is_recorded_as_it_came(upstream: ScriptedUpstream, client: WireClient) -> None:
    upstream.answer(response(200, [(b"x-one", b"1")], b"{}"))
    await client.exchange(GET)
    [seen] = upstream.requests
    assert seen.head == GET
    assert (seen.method, seen.target, seen.connection) == (b"GET", b"/v1/models?x=%2F", 0)
    assert seen.headers == [HOST, (b"X-Odd-Case", b"1"), (b"x-odd-case", b"2")]
    assert seen.values(b"x-odd-case") == [b"1", b"2"]
    with pytest.raises(ValueError, match="came 2 times"):
        seen.header(b"x-odd-case")
    assert seen.complete
    assert (await upstream.wait_answered()).answered
    assert upstream.received == GET


async def test_bytes_go_out_exactly_as_given(upstream: ScriptedUpstream, client: WireClient) -> None:
    odd = b"HTTP/1.1 299 Fine, more or less\r\nX-Spelled:   oddly  \r\nContent-Length: 3\r\n\r\n\xff\x00\n"
    upstream.answer(odd[:20], odd[20:])
    answer = await client.exchange(GET)
    assert bytes(client.received) == odd
    assert (answer.status, answer.reason, bytes(answer.body)) == (299, b"Fine, more or less", b"\xff\x00\n")


async def test_connection_is_kept_and_scripts_are_taken_in_order(
    upstream: ScriptedUpstream, client: WireClient
) -> None:
    upstream.answer(response(200, [], b"first"))
    upstream.answer(chunked(200, [], [b"sec", b"ond"]))
    assert (await client.exchange(GET)).body == b"first"
    assert (await client.exchange(GET)).body == b"second"
    assert (await client.exchange(GET)).status == 501
    assert [seen.connection for seen in upstream.requests] == [0, 0, 0]


async def test_a_default_answers_when_nothing_is_queued(upstream: ScriptedUpstream, client: WireClient) -> None:
    upstream.default = in_turn([response(200, [], b"a"), response(200, [], b"b")])
    assert [(await client.exchange(GET)).body for _ in range(3)] == [b"a", b"b", b"b"]


async def test_script_waits_for_part_of_the_body_and_tells(upstream: ScriptedUpstream, client: WireClient) -> None:
    half = asyncio.Event()
    upstream.play(ReadBody(3), Tell(half), ReadBody(), Send(response(200, [], b"done")))
    post = request(b"POST", b"/", [HOST, (b"transfer-encoding", b"chunked")])
    await client.send(post + chunk(b"abc"))
    await asyncio.wait_for(half.wait(), 5)
    [seen] = upstream.requests
    assert (bytes(seen.body), seen.complete) == (b"abc", False)
    await client.send(chunk(b"def") + LAST_CHUNK)
    assert (await client.receive()).body == b"done"
    assert (bytes(seen.body), seen.complete) == (b"abcdef", True)


async def test_until_holds_the_next_bytes_back(upstream: ScriptedUpstream, client: WireClient) -> None:
    gate = asyncio.Event()
    upstream.play(Send(chunked_head() + chunk(b"one")), Until(gate), Pause(0.001), Send(chunk(b"two") + LAST_CHUNK))
    await client.send(GET)
    answer = await client.receive(3)
    assert (bytes(answer.body), answer.complete) == (b"one", False)
    assert not upstream.requests[0].answered
    gate.set()
    assert (await client.receive()).body == b"onetwo"


async def test_interim_responses_and_head_only_answers(upstream: ScriptedUpstream, client: WireClient) -> None:
    upstream.answer(response_head(100) + response_head(103, [(b"link", b"<x>")]) + response(200, [], b"ok"))
    answer = await client.exchange(GET)
    assert (answer.interim, answer.status, bytes(answer.body)) == ([100, 103], 200, b"ok")
    assert b"link" not in answer.names
    upstream.answer(response_head(200, [(b"content-length", b"99")]))
    answer = await client.exchange(request(b"HEAD", b"/", [HOST]))
    assert (answer.complete, bytes(answer.body)) == (True, b"")
    upstream.answer(response_head(204))
    assert (await client.exchange(GET)).complete


async def test_close_ends_a_body_without_framing(upstream: ScriptedUpstream, client: WireClient) -> None:
    upstream.play(ReadBody(), Send(close_delimited(200, [], b"until the end")), Close())
    answer = await client.exchange(GET)
    assert (answer.complete, answer.broken, bytes(answer.body)) == (True, False, b"until the end")
    assert (await upstream.wait_closed()).closed_at is None, "the script closed it, not the client"


async def test_close_in_the_middle_breaks_the_answer(upstream: ScriptedUpstream, client: WireClient) -> None:
    upstream.play(Send(chunked_head() + chunk(b"part")), Close())
    answer = await client.exchange(GET)
    assert (answer.complete, answer.broken, bytes(answer.body)) == (False, True, b"part")


@pytest.mark.parametrize("tls", [False, True], ids=["tcp", "tls"])
async def test_reset_is_a_reset(tls: bool) -> None:
    server, trusting = tls_contexts()
    async with ScriptedUpstream(tls=server if tls else None) as upstream:
        reader, writer = await asyncio.open_connection(upstream.host, upstream.port, ssl=trusting if tls else None)
        gate = asyncio.Event()
        upstream.play(Send(chunked_head()), Until(gate), Reset())
        writer.write(GET)
        assert await reader.readuntil(b"\r\n\r\n") == chunked_head()
        gate.set()
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()


async def test_half_close_ends_our_side_only(upstream: ScriptedUpstream) -> None:
    reader, writer = await asyncio.open_connection(upstream.host, upstream.port)
    upstream.play(Send(response(200, [], b"early")), HalfClose(), ReadBody())
    writer.write(request(b"POST", b"/", [HOST, (b"content-length", b"4")]))
    assert (await reader.read()).endswith(b"early")
    writer.write(b"late")
    assert bytes((await upstream.wait_answered()).body) == b"late"
    writer.close()
    await writer.wait_closed()


async def test_stopped_reading_stalls_the_client(upstream: ScriptedUpstream) -> None:
    """A client that writes without end is stopped by full buffers, and goes on when reading does."""
    stopped, go = asyncio.Event(), asyncio.Event()
    upstream.play(StopReading(), Tell(stopped), Until(go), ResumeReading(), ReadBody(), Send(response()))
    size = 64 << 20
    loop = asyncio.get_running_loop()
    with socket.create_connection((upstream.host, upstream.port)) as client:
        client.setblocking(False)
        await loop.sock_sendall(client, request(b"POST", b"/", [HOST, (b"content-length", b"%d" % size)]))
        await asyncio.wait_for(stopped.wait(), 5)
        stalled = 0
        block = b"x" * (1 << 20)
        try:
            while stalled < size:
                stalled += client.send(block)
        except BlockingIOError:
            pass
        assert 0 < stalled < size
        go.set()
        await loop.sock_sendall(client, bytes(size - stalled))
        assert (await loop.sock_recv(client, 1 << 16)).startswith(b"HTTP/1.1 200")
    assert len(upstream.requests[0].body) == size


async def test_sent_counts_what_the_kernel_took(upstream: ScriptedUpstream, client: WireClient) -> None:
    size = 64 << 20
    upstream.play(Send(response(200, [], bytes(size))))
    await client.send(GET)
    answer = await client.receive(1)
    assert 0 < upstream.connections[0].sent < size, "nobody reads, so the rest waits here"
    await client.receive(within=20)
    assert len(answer.body) == size
    assert upstream.connections[0].sent == size + len(answer.head)


async def test_the_clients_hang_up_ends_the_script(upstream: ScriptedUpstream, client: WireClient) -> None:
    never = asyncio.Event()
    upstream.play(Send(chunked_head() + chunk(b"one")), Until(never), Send(LAST_CHUNK))
    await client.send(GET)
    await client.receive(3)
    await client.aclose()
    connection = await upstream.wait_closed()
    assert connection.closed_at is not None
    assert (upstream.requests[0].aborted, upstream.requests[0].answered) == (True, False)


async def test_waiting_is_bounded_and_says_what_came(upstream: ScriptedUpstream, client: WireClient) -> None:
    with pytest.raises(TimeoutError, match=r"1 requests were expected, 0 came after 0\.01 s"):
        await upstream.wait_for_requests(1, within=0.01)
    with pytest.raises(TimeoutError, match="connection -1 of 1 is still open"):
        await upstream.wait_closed(within=0.01)
    upstream.play(Send(chunked_head()), Until(asyncio.Event()))
    await client.send(GET)
    with pytest.raises(TimeoutError, match="status 200, 0 bytes of body"):
        await client.receive(within=0.05)


@pytest.mark.parametrize(
    "junk",
    [b"not http at all\r\n\r\n", GET + GET, request(b"POST", b"/", [HOST], b"ab") + b"cd"],
    ids=["no HTTP", "pipelined", "too long"],
)
async def test_what_is_not_http_fails_the_upstream(junk: bytes) -> None:
    async def send() -> None:
        async with ScriptedUpstream() as upstream, WireClient(upstream.host, upstream.port) as client:
            await client.send(junk)
            await client.wait_closed()

    with pytest.raises(AssertionError, match="saw what should not be"):
        await send()


async def test_a_script_that_cannot_be_played_fails_the_upstream() -> None:
    server, trusting = tls_contexts()

    async def play() -> None:
        async with ScriptedUpstream(tls=server) as upstream:
            upstream.play(HalfClose())
            reader, writer = await asyncio.open_connection(upstream.host, upstream.port, ssl=trusting)
            writer.write(GET)
            with pytest.raises(ConnectionResetError):
                await reader.read()
            writer.close()

    with pytest.raises(AssertionError, match="its script cannot be played: NotImplementedError"):
        await play()


async def test_two_upstreams_follow_one_another_on_one_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        for _ in range(2):
            async with ScriptedUpstream(listener=listener.dup()) as upstream:
                assert upstream.port == listener.getsockname()[1]
                upstream.answer(response(200, [], b"here"))
                async with WireClient(upstream.host, upstream.port) as client:
                    assert (await client.exchange(GET)).body == b"here"
                    closing = asyncio.create_task(upstream.aclose())
                    assert await client.wait_closed() == b"", "a kept connection ends with FIN"
                    await client.aclose()
                    await closing


@given(
    body=st.binary(max_size=400),
    cuts=st.lists(st.integers(min_value=1, max_value=40), max_size=12),
    framed=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_any_cutting_of_the_bytes_gives_the_same_message(body: bytes, cuts: list[int], framed: bool) -> None:
    """A request and a response cut anywhere arrive as the same head and body."""
    headers = [HOST] if framed else [HOST, (b"transfer-encoding", b"chunked")]
    post = request(b"POST", b"/v1", headers, body if framed else None)
    head = post[: post.index(b"\r\n\r\n") + 4]
    if not framed:
        post += (chunk(body) if body else b"") + LAST_CHUNK
    answer = chunked(200, [], [body]) if body else response()

    async def exchange() -> None:
        async with ScriptedUpstream() as upstream, WireClient(upstream.host, upstream.port) as client:
            upstream.answer(*pieces(answer, cuts))
            for piece in pieces(post, cuts):
                await client.send(piece)
                await asyncio.sleep(0)
            got = await client.receive()
            assert (bytes(got.body), got.complete) == (body, True)
            [seen] = upstream.requests
            assert (bytes(seen.body), seen.complete, seen.head) == (body, True, head)

    asyncio.run(exchange())


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """DATA cut into pieces of the sizes CUTS, the rest in one."""
    parts = []
    for size in cuts:
        parts.append(data[:size])
        data = data[size:]
    return [part for part in [*parts, data] if part]


TOOL = ToolCall("get_weather", '{"city": "Oslo"}')


def test_threaded_upstream_serves_the_stock_openai_sdk() -> None:
    """The ready-made answers are what the SDKs read; here without a gateway between."""
    with ThreadedUpstream() as upstream:
        client = openai.OpenAI(base_url=f"http://{upstream.authority}/v1", api_key="sk-fake", max_retries=0)
        with client:
            upstream.answer(chat.response(Answer(tool_calls=(TOOL,), cached_tokens=5)))
            completion = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "?"}])
            assert completion.choices[0].message.tool_calls is not None
            assert completion.usage is not None
            assert completion.usage.prompt_tokens_details is not None
            assert completion.usage.prompt_tokens_details.cached_tokens == 5
            gate = asyncio.Event()
            frames = [chunk(frame) for frame in responses.frames(Answer(text="a b"))]
            upstream.play(
                ReadBody(),
                Send(chunked_head(200, [(b"content-type", b"text/event-stream")]) + frames[0]),
                Until(gate),
                Send(b"".join(frames[1:]) + LAST_CHUNK),
            )
            events = iter(client.responses.create(model="m", input="?", stream=True))
            assert next(events).type == "response.created"
            upstream.set(gate)
            assert [event.type for event in events][-1] == "response.completed"
        assert upstream.wait_answered().json() == {"model": "m", "input": "?", "stream": True}
        assert len(upstream.wait_for_requests(2)) == 2
        assert upstream.wait_closed(0).closed_at is not None
        assert len(upstream.connections) == 1
        assert b"Bearer sk-fake" in upstream.received


def test_threaded_upstream_serves_the_stock_anthropic_sdk() -> None:
    answer = Answer(tool_calls=(TOOL,), input_tokens=30, cached_tokens=10)
    with ThreadedUpstream() as upstream:
        client = anthropic.Anthropic(base_url=f"http://{upstream.authority}", api_key="sk-ant-fake", max_retries=0)
        with client:
            upstream.answer(messages.stream(answer))
            with client.messages.stream(model="m", max_tokens=9, messages=[{"role": "user", "content": "?"}]) as stream:
                streamed = stream.get_final_message()
            upstream.answer(messages.response(answer))
            whole = client.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "?"}])
    assert [block.type for block in streamed.content] == [block.type for block in whole.content] == ["text", "tool_use"]
    for usage in (streamed.usage, whole.usage):
        assert (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens) == (20, 10, 7)
