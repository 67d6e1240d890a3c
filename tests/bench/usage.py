"""What metering costs at the end of a request: `python tests/bench/usage.py`. Exits 1 above a budget.

Each answer is longer than what the tap keeps, so that a tail of 64 KiB is read. Times are the best of seven rounds.
"""

import json
import sys
import timeit
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import import_module
from typing import Final

from beyond_ai import Dialect, Provider, UsageEvent
from beyond_ai.gateway.tap import Tap
from beyond_ai.gateway.usage import Wire, parse_usage
from beyond_ai_plugins.sinks.usage_line import usage_line

CALLS: Final = 2_000
BUDGET: Final = 10.0
"""Microseconds for the tail of an OpenAI stream."""


def event(data: object) -> bytes:
    return b"data: " + json.dumps(data, separators=(",", ":")).encode() + b"\n\n"


def chunk(**members: object) -> bytes:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-2024-08-06"}
    choice = {"index": 0, "delta": {"content": " word"}, "logprobs": None, "finish_reason": None}
    return event({**head, "service_tier": "default", "choices": [choice], **members})


CHAT_USAGE: Final = {
    "prompt_tokens": 1000,
    "completion_tokens": 300,
    "total_tokens": 1300,
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
}
DONE: Final = b"data: [DONE]\n\n"
LONG_CHAT: Final = chunk(usage=None) * 1500
CHAT: Final = LONG_CHAT + chunk(choices=[], usage=CHAT_USAGE) + DONE
OPENROUTER: Final = LONG_CHAT + chunk(usage={**CHAT_USAGE, "cost": 0.0001013}) + DONE
MESSAGES: Final = (
    event({"type": "message_start", "message": {"model": "claude", "usage": {"input_tokens": 9, "output_tokens": 1}}})
    + event({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": " word"}}) * 4000
    + event({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 300}})
    + event({"type": "message_stop"})
)
RESPONSES_USAGE: Final = {"input_tokens": 9, "output_tokens": 3, "total_tokens": 12}
RESPONSE: Final = {"model": "gpt", "instructions": "x" * 90_000, "usage": RESPONSES_USAGE}
RESPONSES: Final = event({"type": "response.completed", "response": RESPONSE})
EMBEDDINGS: Final = json.dumps(
    {"data": [{"embedding": [0.0123456789] * 20_000}], "model": "e", "usage": {"prompt_tokens": 8}}
).encode()


def tapped(body: bytes, size: int = 4096) -> Tap:
    tap = Tap()
    for start in range(0, len(body), size):
        tap.feed(body[start : start + size])
    return tap


def reading(wire: Wire, streaming: bool, tap: Tap, provider: str = "openai") -> Callable[[], object]:
    record: Provider = next(import_module(f"beyond_ai_providers.{provider}").beyond_providers())
    found = parse_usage(wire, streaming, tap, quirk=record.usage)
    assert found.found, provider
    return lambda: parse_usage(wire, streaming, tap, quirk=record.usage)


def line() -> Callable[[], object]:
    written = UsageEvent(
        time=datetime(2026, 3, 4, 5, 6, 7, 89, tzinfo=UTC),
        request_id="9f3c61d2a07be845-1c",
        tenant_id=42,
        vpc_id=7,
        key_id=1000042,
        provider="openai",
        model="gpt-4o-2024-08-06",
        requested_model="gpt-4o",
        stream=True,
        input_tokens=1000,
        output_tokens=300,
        reasoning_tokens=0,
        service_tier="default",
        usage_wire=Dialect.OPENAI,
        upstream_status=200,
        latency_ms=5214,
        ttft_ms=431,
    )
    return lambda: usage_line(written)


def main() -> int:
    """Print a table; 1 when a row is over its budget."""
    rows = [
        ("chat stream, 4 KiB reads", reading(Wire.CHAT, True, tapped(CHAT)), BUDGET),
        ("chat stream, one event a read", reading(Wire.CHAT, True, tapped(CHAT, len(chunk(usage=None)))), BUDGET),
        ("chat stream, openrouter's cost", reading(Wire.CHAT, True, tapped(OPENROUTER), "openrouter"), None),
        ("messages stream", reading(Wire.MESSAGES, True, tapped(MESSAGES), "anthropic"), None),
        ("responses stream, last event 90 KB", reading(Wire.RESPONSES, True, tapped(RESPONSES)), None),
        ("embeddings, 250 KB", reading(Wire.EMBEDDINGS, False, tapped(EMBEDDINGS)), None),
        ("a line of the stdout sink", line(), None),
    ]
    over = False
    for name, call, budget in rows:
        best = min(timeit.repeat(call, number=CALLS, repeat=7)) / CALLS * 1e6
        over |= budget is not None and best > budget
        print(f"{name:<36}{best:8.2f} us" + (f"  of {budget:.0f}" if budget is not None else ""))
    return over


if __name__ == "__main__":
    sys.exit(main())
