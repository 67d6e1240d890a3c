"""What an event says of an answer's end: whose fault it was, and whether its counts are an estimate."""

import asyncio

import pytest
from tests.core.gateway.parts import known_providers, router_of

from beyond_ai import Identity, Outcome, UsageEvent
from beyond_ai.gateway.metering import Ledger, Meter
from beyond_ai.gateway.metrics import Metrics
from beyond_ai_plugins.scanners.python.machine import PythonScanner

BODY = b'{"model":"m","messages":[{"role":"user","content":"one two three four "}]}'
START = b'data: {"type":"message_start","message":{"model":"m","usage":{"input_tokens":9,"output_tokens":1}}}\n\n'
TEXT = b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"one two three "}}\n\n'
DELTA = b'data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":7}}\n\n'
STOP = b'data: {"type":"message_stop"}\n\n'
FAULT = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"busy"}}\n\n'
CHUNK = b'data: {"choices":[{"index":0,"delta":{"content":"one "},"finish_reason":null}]}\n\n'
RUNNING = CHUNK.replace(b"}]}", b'}],"usage":{"prompt_tokens":5,"completion_tokens":1,"total_tokens":6}}')
DONE = b"data: [DONE]\n\n"


async def event(path: bytes, status: int, answer: bytes, outcome: Outcome = Outcome.OK) -> UsageEvent:
    events: list[UsageEvent] = []
    metrics = Metrics(provider.name for provider in known_providers())
    ledger = Ledger(metrics, [("test", events.append)])
    route = router_of(known_providers()).route(path)
    assert route is not None
    meter = Meter(ledger, route, Identity(tenant_id=1, vpc_id=2), "1-0", 0.0, PythonScanner())
    assert meter.scan is not None
    meter.scan(BODY)
    meter.response_head(status, answer.startswith((b"data", b"event")))
    meter.tap.feed(answer)
    meter.finish(outcome)
    ledger.drain()
    await asyncio.sleep(0)
    [written] = events
    assert metrics.in_flight == 0
    assert metrics.usage_estimated == written.usage_estimated
    return written


CHAT, MESSAGES = b"/v1/chat/completions", b"/v1/messages"


@pytest.mark.parametrize(
    ("path", "status", "answer", "outcome", "estimated", "output"),
    [
        (MESSAGES, 200, START + TEXT + DELTA + STOP, Outcome.OK, False, 7),
        (MESSAGES, 200, START + TEXT, Outcome.OK, True, 2),
        (MESSAGES, 200, START + TEXT + FAULT, Outcome.UPSTREAM_ERROR, True, 2),
        (MESSAGES, 200, FAULT, Outcome.UPSTREAM_ERROR, False, 0),
        (CHAT, 200, RUNNING + CHUNK * 50, Outcome.OK, True, 50),
        (CHAT, 200, CHUNK * 50 + RUNNING, Outcome.OK, False, 1),
        (CHAT, 200, RUNNING + CHUNK * 50 + DONE, Outcome.OK, False, 1),
        (CHAT, 200, b'{"error":{"message":"no"}}', Outcome.UPSTREAM_ERROR, False, 0),
        (CHAT, 200, b"{}", Outcome.OK, True, 0),
        (CHAT, 204, b"", Outcome.OK, False, 0),
        (CHAT, 429, b'{"error":{"message":"slow down"}}', Outcome.UPSTREAM_ERROR, False, 0),
    ],
)
async def test_an_answer_that_is_complete_by_its_framing(
    path: bytes, status: int, answer: bytes, outcome: Outcome, estimated: bool, output: int
) -> None:
    written = await event(path, status, answer)
    assert (written.outcome, written.usage_estimated, written.output_tokens) == (outcome, estimated, output)


@pytest.mark.parametrize("outcome", [Outcome.CLIENT_CANCELLED, Outcome.CUT_SHORT])
async def test_one_that_is_not(outcome: Outcome) -> None:
    written = await event(CHAT, 200, CHUNK * 50, outcome)
    assert (written.outcome, written.usage_estimated) == (outcome, True)
    assert (written.input_tokens, written.output_tokens) == (4, 49)


async def test_a_client_that_left_with_the_whole_of_an_error() -> None:
    written = await event(CHAT, 400, b'{"error":{"message":"no JSON"}}', Outcome.CLIENT_CANCELLED)
    assert (written.outcome, written.usage_estimated) == (Outcome.UPSTREAM_ERROR, False)


async def test_a_byte_order_mark_before_a_body() -> None:
    body = b'\xef\xbb\xbf{"model":"m","usage":{"prompt_tokens":5,"completion_tokens":2}}'
    written = await event(CHAT, 200, body)
    assert (written.input_tokens, written.output_tokens, written.usage_estimated) == (5, 2, False)
