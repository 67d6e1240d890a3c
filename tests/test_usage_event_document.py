"""`docs/usage-event.md` says what the class says that sinks receive, and its examples are lines of the stdout sink."""

import json
import re
from dataclasses import fields
from datetime import datetime
from inspect import getdoc
from pathlib import Path
from types import NoneType
from typing import get_args, get_type_hints

from beyond_ai import Dialect, Outcome, UsageEvent
from beyond_ai_plugins.sinks.usage_line import usage_line

DOCUMENT = Path(__file__).parents[1] / "docs" / "usage-event.md"
JSON_TYPES = {datetime: "string", str: "string", int: "integer", bool: "boolean", Dialect: "string", Outcome: "string"}
UNITS = {"_tokens": "tokens", "_ms": "milliseconds", "_usd": "US dollars", "_calls": "calls"}


def described() -> dict[str, str]:
    """The text of each attribute in the class's docstring."""
    _, _, listed = str(getdoc(UsageEvent)).partition("Attributes:\n")
    entries = re.findall(r"^    (\w+): (.*(?:\n        .*)*)", listed, re.MULTILINE)
    return {name: re.sub(r"\s+", " ", text) for name, text in entries}


def table() -> list[str]:
    """The document's table, made from the class."""
    rows = ["| field | type | unit | meaning | absent |", "| --- | --- | --- | --- | --- |"]
    hints, texts = get_type_hints(UsageEvent), described()
    for field in fields(UsageEvent):
        kinds = [kind for kind in get_args(hints[field.name]) or (hints[field.name],) if kind is not NoneType]
        unit = next((unit for suffix, unit in UNITS.items() if field.name.endswith(suffix)), "")
        meaning, _, absent = texts[field.name].rstrip(".").partition("; None ")
        assert bool(absent) == (NoneType in get_args(hints[field.name])), field.name
        rows.append(f"| `{field.name}` | {JSON_TYPES[kinds[0]]} | {unit} | {meaning} | {absent} |")
    return rows


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


def test_every_field_is_described_in_order() -> None:
    assert list(described()) == [field.name for field in fields(UsageEvent)]


def test_the_table_is_the_class() -> None:
    assert "\n".join(table()) in DOCUMENT.read_text(), "docs/usage-event.md should have:\n" + "\n".join(table())


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
