"""Usage that the gateway asks for on its clients' behalf, and keeps from those that did not ask."""

import asyncio
import gzip
import json

import pytest
from tests.fidelity.matrix import BODY, CHAT, EVENTS, JSON, Lab
from tests.gateway_process import BYO
from tests.integration.exchanges import HOST, id_of, metrics

from beyond_ai.testing import Answer, ReadBody, Send, Until, chat, chunk, chunked_head, messages, request, response

ANSWER = Answer(input_tokens=2000, output_tokens=150, cached_tokens=500, reasoning_tokens=64)
STREAM = b'{"model": "gpt-4o",  "messages":[{"role":"user","content":"Hi"}], "stream" : true}'
ASKS = b',"stream_options":{"include_usage":true}}'
TOLD = b"".join(chat.frames(ANSWER, include_usage=True))
UNTOLD = TOLD.replace(chat.frames(ANSWER)[-2], b"")


def sent(lab: Lab) -> bytes:
    return bytes(lab.upstream.requests[-1].body)


async def test_a_stream_is_made_to_report_and_its_client_does_not_see_it(managed: Lab) -> None:
    asked, received = await managed.relay(managed.ask(body=STREAM), chat.stream(ANSWER))
    assert bytes(asked.body) == STREAM[:-1] + ASKS
    assert asked.header(b"content-length") == b"%d" % len(asked.body)
    assert b'"choices":[]' in TOLD
    assert bytes(received.body) == UNTOLD
    event = await managed.gateway.usage_event(id_of(received))
    assert (event["input_tokens"], event["output_tokens"], event["usage_estimated"]) == (2000, 150, False)


async def test_a_client_that_asks_gets_its_frame_and_its_bytes_are_its_own(managed: Lab) -> None:
    body = STREAM[:-1] + b', "stream_options": {"include_usage": true, "x": 1}}'
    asked, received = await managed.relay(managed.ask(body=body), chat.stream(ANSWER))
    assert bytes(asked.body) == body
    assert bytes(received.body) == TOLD


@pytest.mark.parametrize(
    ("options", "forced"),
    [
        (b'{"include_usage":false}', b'{"include_usage":true}'),
        (b"null", b'{"include_usage":true}'),
        (b'{ "other" : 1 }', b'{"include_usage":true, "other" : 1 }'),
    ],
)
async def test_a_client_that_asks_not_to_be_told(managed: Lab, options: bytes, forced: bytes) -> None:
    head = b'{"stream_options":%b,"stream":true,"model":"gpt-4o"}'
    asked, received = await managed.relay(managed.ask(body=head % options), chat.stream(ANSWER))
    assert json.loads(asked.body) == json.loads(head % forced)
    assert bytes(received.body) == UNTOLD


async def test_what_asks_for_no_stream_goes_up_as_it_is(managed: Lab) -> None:
    asked, received = await managed.relay(managed.ask(), chat.response(ANSWER))
    assert bytes(asked.body) == BODY
    assert (await managed.gateway.usage_event(id_of(received)))["output_tokens"] == 150


async def test_other_keys_other_wires_and_other_providers_are_left_alone(managed: Lab, lab: Lab) -> None:
    asked, received = await lab.relay(
        request(b"POST", CHAT, [HOST, (b"Authorization", b"Bearer " + BYO.openai_key.encode()), JSON], STREAM),
        chat.stream(ANSWER),
    )
    assert bytes(asked.body) == STREAM
    assert bytes(received.body) == TOLD
    for target, answer in (
        (b"/anthropic/v1/messages", messages.stream(ANSWER)),
        (b"/openrouter/api/v1/chat/completions", chat.stream(ANSWER)),
    ):
        asked, received = await managed.relay(managed.ask(body=STREAM, target=target), answer)
        assert bytes(asked.body) == STREAM
        assert received.complete


async def test_a_long_body_goes_up_in_chunks_as_it_comes(managed: Lab) -> None:
    """Longer than what is collected, and its `stream` comes last."""
    body = b'{"messages":"%b","model":"gpt-4o","stream":true}' % (b"word " * 150_000)
    half = asyncio.Event()
    managed.upstream.play(ReadBody(300_000), Send(b""), Until(half), ReadBody(), Send(chat.stream(ANSWER)))
    async with managed.client() as client:
        whole = managed.ask(body=body)
        await client.send(whole[:500_000])
        half.set()
        await client.send(whole[500_000:])
        received = await client.receive()
    assert sent(managed) == body[:-1] + ASKS
    assert managed.upstream.requests[-1].header(b"transfer-encoding") == b"chunked"
    assert bytes(received.body) == UNTOLD


async def test_a_chunked_body(managed: Lab) -> None:
    head = request(b"POST", CHAT, [HOST, managed.key, JSON, (b"Transfer-Encoding", b"chunked")], None)
    body = b"".join(chunk(STREAM[start : start + 7]) for start in range(0, len(STREAM), 7)) + chunk(b"")
    asked, received = await managed.relay(head + body, chat.stream(ANSWER))
    assert bytes(asked.body) == STREAM[:-1] + ASKS
    assert bytes(received.body) == UNTOLD


async def test_a_client_that_waits_to_be_told_to_go_on(managed: Lab) -> None:
    """The body is read before there is a provider that could tell it."""
    managed.upstream.play(ReadBody(), Send(chat.stream(ANSWER)))
    whole = managed.ask([(b"Expect", b"100-continue")], STREAM)
    async with managed.client() as client:
        await client.send(whole[: -len(STREAM)])
        told = await client.receive_interim()
        await client.send(STREAM)
        received = await client.receive()
    assert told.interim == [100]
    assert managed.upstream.requests[-1].header(b"expect") is None
    assert bytes(received.body) == UNTOLD


async def test_a_refused_stream_is_passed_on_whole(managed: Lab) -> None:
    error = chat.error(400, "no such model")
    _, received = await managed.relay(managed.ask(body=STREAM), error)
    assert error.endswith(bytes(received.body))
    event = await managed.gateway.usage_event(id_of(received))
    assert (event["usage_estimated"], event["input_tokens"]) == (False, 0)


async def test_a_compressed_stream_is_metered_and_not_touched(managed: Lab) -> None:
    body = gzip.compress(TOLD)
    encoding = (b"content-encoding", b"gzip")
    _, received = await managed.relay(managed.ask(body=STREAM), response(200, [EVENTS, encoding], body))
    assert bytes(received.body) == body
    event = await managed.gateway.usage_event(id_of(received))
    assert (event["input_tokens"], event["output_tokens"], event["model"]) == (2000, 150, ANSWER.model)


async def test_a_compressed_answer_on_a_clients_own_key_is_counted_and_leaves_no_event(lab: Lab) -> None:
    tokens = 'ai_tokens_total{kind="output"}'
    before, events = (await asyncio.to_thread(metrics, lab.gateway))[tokens], len(lab.gateway.usage)
    body = gzip.compress(TOLD)
    own = request(b"POST", CHAT, [HOST, (b"Authorization", b"Bearer " + BYO.openai_key.encode()), JSON], STREAM)
    _, received = await lab.relay(own, response(200, [EVENTS, (b"content-encoding", b"gzip")], body))
    assert bytes(received.body) == body
    assert (await asyncio.to_thread(metrics, lab.gateway))[tokens] == before + 150
    assert len(lab.gateway.usage) == events


async def test_an_encoding_that_changes_nothing(managed: Lab) -> None:
    answer = response(200, [EVENTS, (b"content-encoding", b"identity")], TOLD)
    _, received = await managed.relay(managed.ask(body=STREAM), answer)
    assert bytes(received.body) == UNTOLD


@pytest.mark.parametrize("last", [b"null", b'{"include_usage":false}', b'{"include_usage":true}'])
async def test_of_many_options_the_last_one_asks(managed: Lab, last: bytes) -> None:
    body = STREAM[:-1] + b',"stream_options":{"include_usage":true}' * 30 + b',"stream_options":%b}' % last
    asked, received = await managed.relay(managed.ask(body=body), chat.stream(ANSWER))
    assert json.loads(asked.body)["stream_options"] == {"include_usage": True}
    assert (await managed.gateway.usage_event(id_of(received)))["output_tokens"] == 150


@pytest.mark.parametrize("size", [1, 7, 100])
async def test_chunk_borders_do_not_matter(managed: Lab, size: int) -> None:
    pieces = b"".join(chunk(TOLD[start : start + size]) for start in range(0, len(TOLD), size)) + chunk(b"")
    _, received = await managed.relay(managed.ask(body=STREAM), chunked_head(200, [EVENTS]) + pieces)
    assert bytes(received.body) == UNTOLD
