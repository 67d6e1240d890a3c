"""Usage events of a running gateway: one for each managed request, whatever its end, and none for anybody else."""

import asyncio
import re

import pytest
from tests.fidelity.matrix import CHAT, EVENTS, JSON, MESSAGES, Lab
from tests.integration.exchanges import id_of, metrics, post

from beyond_ai.testing import (
    Answer,
    Close,
    ReadBody,
    Send,
    Until,
    UsageFields,
    chat,
    chunk,
    chunked_head,
    messages,
    request,
    response,
    responses,
)

ANSWER = Answer(input_tokens=2000, output_tokens=150, cached_tokens=500, reasoning_tokens=64)
COMMON = {"message": "usage", "tenant_id": 42, "vpc_id": 7, "model": ANSWER.model, "requested_model": "gpt-4o"}
WIRES = {
    "chat": (CHAT, chat.response(ANSWER), False, "openai", 2000, 64),
    "chat stream": (CHAT, chat.stream(ANSWER), True, "openai", 2000, 64),
    "responses": (b"/openai/v1/responses", responses.response(ANSWER), False, "openai", 2000, 64),
    "responses stream": (b"/openai/v1/responses", responses.stream(ANSWER), True, "openai", 2000, 64),
    "messages": (MESSAGES, messages.response(ANSWER), False, "anthropic", 1500, None),
    "messages stream": (MESSAGES, messages.stream(ANSWER), True, "anthropic", 1500, None),
}


async def event_after(lab: Lab, target: bytes, answer: bytes) -> UsageFields:
    _, received = await lab.relay(lab.ask(target=target), answer)
    return await lab.gateway.usage_event(id_of(received))


@pytest.mark.parametrize("wire", WIRES)
async def test_what_a_whole_answer_used(managed: Lab, wire: str) -> None:
    target, answer, stream, dialect, input_tokens, reasoning = WIRES[wire]
    event = await event_after(managed, target, answer)
    assert COMMON.items() <= event.items()
    assert (event["stream"], event["usage_wire"], event["provider"]) == (
        stream,
        dialect,
        target.split(b"/")[1].decode(),
    )
    assert (event["input_tokens"], event["output_tokens"]) == (input_tokens, 150)
    assert (event["cache_read_tokens"], event["cache_write_tokens"]) == (500, 0)
    assert event.get("reasoning_tokens") == reasoning
    assert (event["outcome"], event["upstream_status"]) == ("ok", 200)
    assert isinstance(event["latency_ms"], int)
    assert isinstance(event["ttft_ms"], int)
    assert 0 <= event["ttft_ms"] <= event["latency_ms"]
    assert event["usage_estimated"] is False


async def test_what_a_provider_reports_in_its_own_way(managed: Lab) -> None:
    """The wire is the path's, the quirk the provider's: here OpenRouter's cost on Anthropic's wire."""
    report = b'{"input_tokens":3,"output_tokens":4,"cost":0.00010130,"server_tool_use":{"web_search_requests":2}}'
    body = b'{"type":"message","model":"anthropic/claude-test","usage":%b}' % report
    event = await event_after(managed, b"/openrouter/api/v1/messages", response(200, [JSON], body))
    assert (event["usage_wire"], event["input_tokens"], event["upstream_cost_usd"]) == ("anthropic", 3, "0.00010130")
    assert event["server_tool_calls"] == 2
    plain = await event_after(managed, MESSAGES, response(200, [JSON], body))
    assert (plain["input_tokens"], plain.get("upstream_cost_usd")) == (3, None)


@pytest.mark.parametrize("wire", ["chat stream", "messages"])
async def test_a_clients_own_key_is_counted_and_leaves_no_event(lab: Lab, wire: str) -> None:
    target, answer, _, _, input_tokens, _ = WIRES[wire]
    before, events = await asyncio.to_thread(metrics, lab.gateway), len(lab.gateway.usage)
    await lab.relay(lab.ask(target=target), answer)
    after = await asyncio.to_thread(metrics, lab.gateway)
    tokens = {kind: f'ai_tokens_total{{kind="{kind}"}}' for kind in ("input", "output", "cache_read")}
    assert {kind: after[name] - before[name] for kind, name in tokens.items()} == {
        "input": input_tokens,
        "output": 150,
        "cache_read": 500,
    }
    assert len(lab.gateway.usage) == events


async def test_an_error_answer(managed: Lab) -> None:
    event = await event_after(managed, CHAT, chat.error(429, "slow down"))
    assert (event["outcome"], event["upstream_status"], event["output_tokens"]) == ("upstream_error", 429, 0)
    assert (event["model"], event["requested_model"]) == ("gpt-4o", "gpt-4o")
    assert "usage_wire" not in event


async def test_a_provider_that_could_not_be_reached(managed: Lab) -> None:
    async with managed.client() as client:
        received = await client.exchange(managed.ask(target=b"/mistral/v1/chat/completions"))
    event = await managed.gateway.usage_event(id_of(received))
    assert (event["outcome"], event["provider"]) == ("upstream_error", "mistral")
    assert "upstream_status" not in event
    assert "ttft_ms" not in event


async def test_a_client_that_left_and_a_provider_that_died(managed: Lab) -> None:
    started = chunked_head(200, [EVENTS]) + chunk(messages.frames(ANSWER)[0])
    for leaves, outcome in ((True, "client_cancelled"), (False, "cut_short")):
        gate = asyncio.Event()
        managed.upstream.play(ReadBody(), Send(started), Until(gate), Close())
        async with managed.client() as client:
            await client.send(managed.ask(target=MESSAGES))
            received = await client.receive(10)
            if not leaves:
                gate.set()
                await client.receive()
        event = await managed.gateway.usage_event(id_of(received))
        assert (event["outcome"], event["input_tokens"], event["upstream_status"]) == (outcome, 1500, 200)


async def test_a_client_that_leaves_after_the_last_event_has_had_it_all(managed: Lab) -> None:
    frames = b"".join(map(chunk, chat.frames(ANSWER)))
    managed.upstream.play(ReadBody(), Send(chunked_head(200, [EVENTS]) + frames), Until(asyncio.Event()))
    async with managed.client() as client:
        await client.send(managed.ask())
        received = await client.receive(sum(map(len, chat.frames(ANSWER))))
    event = await managed.gateway.usage_event(id_of(received))
    assert (event["outcome"], event["output_tokens"]) == ("ok", 150)


@pytest.mark.parametrize("path", [b"/anthropic/v1/messages/count_tokens", b"/openai/v1/responses/input_tokens"])
async def test_what_is_free_leaves_no_event(managed: Lab, path: bytes) -> None:
    _, received = await managed.relay(managed.ask(target=path), response(200, [JSON], b'{"input_tokens":7}'))
    later = await event_after(managed, CHAT, chat.response(ANSWER))
    ids = [fields["request_id"] for fields in managed.gateway.usage]
    assert later["request_id"] in ids
    assert id_of(received) not in ids


async def test_refused_requests_leave_no_event(managed: Lab) -> None:
    async with managed.client() as client:
        refused = id_of(await client.exchange(managed.ask(target=b"/openai/v1/files")))
    await event_after(managed, CHAT, chat.response(ANSWER))
    assert refused not in [fields["request_id"] for fields in managed.gateway.usage]


async def test_an_answer_without_usage_is_counted(managed: Lab) -> None:
    before = await asyncio.to_thread(metrics, managed.gateway)
    event = await event_after(managed, CHAT, response(200, [JSON], b'{"choices":[]}'))
    after = await asyncio.to_thread(metrics, managed.gateway)
    assert (event["input_tokens"], event["output_tokens"], event["outcome"]) == (0, 0, "ok")
    assert after["ai_usage_parse_errors_total"] == before["ai_usage_parse_errors_total"] + 1


async def test_the_line_on_stdout(managed: Lab) -> None:
    event = await event_after(managed, CHAT, chat.response(ANSWER))
    [line] = [line for line in managed.gateway.stdout.splitlines() if f'"{event["request_id"]}"' in line]
    assert re.fullmatch(
        r'\{"timestamp":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z","level":"INFO",'
        r'"fields":\{"message":"usage",.*\},"target":"ai\.usage"\}',
        line,
    )


async def test_pipelined_requests_are_metered_one_by_one(managed: Lab) -> None:
    for tokens in (1, 2, 3):
        managed.upstream.answer(chat.response(Answer(output_tokens=tokens)))
    async with managed.client() as client:
        await client.send(managed.ask() * 3)
        ids = [id_of(await client.receive()) for _ in range(3)]
    events = [await managed.gateway.usage_event(one) for one in ids]
    assert [event["output_tokens"] for event in events] == [1, 2, 3]


async def test_the_models_name_is_found_in_any_pieces(managed: Lab) -> None:
    managed.upstream.answer(chat.error(400, "no"))
    head = request(b"POST", CHAT, [(b"Host", b"x"), managed.key, (b"Transfer-Encoding", b"chunked")])
    body = b'{"messages":[{"model":"decoy"}],"model":"wanted"}'
    async with managed.client() as client:
        await client.send(head + b"".join(chunk(body[i : i + 1]) for i in range(len(body))) + b"0\r\n\r\n")
        received = await client.receive()
    assert (await managed.gateway.usage_event(id_of(received)))["requested_model"] == "wanted"


async def test_keys_and_bodies_are_in_no_output(managed: Lab) -> None:
    await managed.relay(managed.ask(target=CHAT), chat.response(ANSWER))
    async with managed.client() as client:
        await client.exchange(post(CHAT + b"?key=sk-secret-in-query", key=None).replace(b"POST", b"GET", 1))
    output = managed.gateway.stdout + managed.gateway.stderr
    for secret in (managed.caller.openai_key, "sk-pool-openai-fake", "sk-secret-in-query", ANSWER.text):
        assert secret not in output


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
async def test_a_client_that_leaves_once_the_provider_has_its_request(managed: Lab, provider: str) -> None:
    """Nothing was answered, and it was worked on all the same: the prompt is estimated."""
    target = CHAT if provider == "openai" else MESSAGES
    body = b'{"model":"gpt-4o","messages":[{"role":"user","content":"one two three four "}]}'
    managed.upstream.play(ReadBody(), Until(asyncio.Event()))
    count, gateway = len(managed.upstream.requests), managed.gateway
    async with managed.client() as client:
        await client.send(managed.ask(target=target, body=body))
        await managed.upstream.wait_for_requests(count + 1)
        await managed.upstream.until(lambda: bytes(managed.upstream.requests[-1].body) == body)
    expected = {"provider": provider, "outcome": "client_cancelled", "usage_estimated": True, "input_tokens": 4}
    await asyncio.to_thread(
        gateway.wait_until,
        lambda: any(expected.items() <= event.items() and "upstream_status" not in event for event in gateway.usage),
    )
