"""The examples of `docs/usage-event.md` are lines of the stdout sink. Its table is generated (`tests/docs`)."""

import json
import re
from dataclasses import fields
from datetime import datetime
from pathlib import Path

from beyond_ai import Dialect, Outcome, UsageEvent
from beyond_ai_plugins.sinks.usage_line import usage_line

DOCUMENT = Path(__file__).parents[1] / "docs" / "usage-event.md"


def examples() -> list[str]:
    return re.findall(r"^```json\n(.*)\n```$", DOCUMENT.read_text(), re.MULTILINE)


def event_of(line: str) -> UsageEvent:
    """The event that LINE was written from."""
    written = json.loads(line)
    values = written["fields"]
    assert (written["level"], written["target"], values.pop("message")) == ("INFO", "ai.usage", "usage")
    wire = values.pop("usage_wire", None)
    outcome = Outcome(values.pop("outcome"))
    return UsageEvent(
        time=datetime.fromisoformat(written["timestamp"]),
        outcome=outcome,
        usage_wire=None if wire is None else Dialect(wire),
        **{"key_id": None, **values},
    )


def test_the_examples_are_lines_of_the_sink() -> None:
    events = [event_of(line) for line in examples()]
    assert [usage_line(event).decode().rstrip("\n") for event in events] == examples()
    chat, anthropic, estimated = events
    assert (chat.usage_wire, chat.stream, chat.usage_estimated) == (Dialect.OPENAI, True, False)
    assert (anthropic.usage_wire, anthropic.usage_estimated) == (Dialect.ANTHROPIC, False)
    assert (estimated.usage_wire, estimated.usage_estimated) == (None, True)


def test_the_line_has_the_fields_in_the_order_of_the_class() -> None:
    everything = UsageEvent(
        time=datetime.fromisoformat("2026-03-04T05:06:07+00:00"),
        request_id="1f-0",
        tenant_id=1,
        vpc_id=2,
        key_id=3,
        provider="p",
        model="m",
        requested_model="r",
        stream=False,
        cache_write_1h_tokens=0,
        reasoning_tokens=0,
        service_tier="standard",
        server_tool_calls=0,
        usage_wire=Dialect.OPENAI,
        upstream_status=200,
        ttft_ms=0,
        upstream_cost_usd="0",
    )
    written = json.loads(usage_line(everything))["fields"]
    assert list(written) == ["message", *(field.name for field in fields(UsageEvent) if field.name != "time")]
