"""Parts of `agent run` that processes show badly: exit codes, frames at their bounds, output that nobody reads."""

import asyncio
import json
import os
import signal
import threading
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beyond_ai import ConfigError
from beyond_ai.agent.failure import FailureCode
from beyond_ai.agent.loop import RunOutcome
from beyond_ai.agent.run import exits
from beyond_ai.agent.run.frames import LARGEST, Frames, plain
from beyond_ai.agent.run.output import ROOM, Output
from beyond_ai.agent.run.printable import harmless, one_line
from beyond_ai.agent.run.structured import load_schema
from beyond_ai.agent.run.summary import Total, cost_of, limits_line, usage_line
from beyond_ai.agent.run.text import DIFF_LINES, diff_lines
from beyond_ai.prices import ModelPrice
from beyond_ai.spec.agent_event import RunStatus, ToolEnd
from beyond_ai.spec.conversation import TokenUsage

# Exit codes


def test_every_ending_has_its_code() -> None:
    codes = {code: exits.exit_code("failed", code, None) for code in get_args(FailureCode)}
    assert {code for code, number in codes.items() if number == exits.PROVIDER} == {
        "auth", "quota", "rate_limit", "overloaded", "network", "timeout", "context_overflow", "no_answer",
        "bad_request",
    }  # fmt: skip
    assert codes["config"] == exits.USAGE
    assert codes["internal"] == codes["tool"] == exits.FAILED
    assert {status: exits.exit_code(status, None, None) for status in get_args(RunStatus)} == {
        "done": 0, "failed": 1, "refused": 3, "budget": 4, "cancelled": 0,
    }  # fmt: skip
    assert exits.exit_code("cancelled", "cancelled", signal.SIGINT) == 130
    assert exits.exit_code("cancelled", "cancelled", signal.SIGTERM) == 143


# Frames


class Lines(Output):
    """Keeps what is written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def put(self, data: bytes) -> None:
        self.written.append(data)


JSON = st.recursive(
    st.none()
    | st.integers()
    | st.text(max_size=40)
    | st.text(alphabet="ab\x85\u2028\u2029\n", min_size=1, max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["input", "text", "details"]), JSON))
def test_a_frame_is_one_line_for_every_reader(members: dict[str, object]) -> None:
    lines = Lines()
    Frames(lines).put("notice", **members)
    (line,) = lines.written
    assert len(line.decode().splitlines()) == 1
    assert {name: value for name, value in json.loads(line).items() if name in members} == members


@pytest.mark.parametrize(
    "value",
    [
        "x" * (3 * LARGEST),
        "\N{GRINNING FACE}" * LARGEST,
        ["y" * 600] * 4_000,
        {f"k{number}": "z" * 100 for number in range(20_000)},
        list(range(400_000)),
    ],
    ids=["text", "wide", "many", "more", "numbers"],
)
@pytest.mark.parametrize("spilled", [True, False], ids=["spilled", "lost"])
def test_no_frame_passes_the_bound(tmp_path: Path, value: object, spilled: bool) -> None:
    lines = Lines()
    frames = Frames(lines)
    frames.scratch = tmp_path if spilled else None
    frames.put("tool_start", input=value)
    (line,) = lines.written
    assert len(line) <= LARGEST
    frame = json.loads(line)
    assert (frame["kind"], frame["seq"]) == ("tool_start", 0)
    assert "cut" in frame
    if spilled:
        assert json.loads(Path(frame["whole"]).read_bytes())["input"] == value


def test_begin_and_end_are_written_once() -> None:
    lines = Lines()
    frames = Frames(lines)
    for _ in range(2):
        frames.begin(model="m")
    for _ in range(2):
        frames.end(exit_code=0)
    assert [json.loads(line)["kind"] for line in lines.written] == ["session", "result"]


def test_records_become_plain_values_without_what_is_none() -> None:
    event = ToolEnd(id="1", name="n", text="t", is_error=False, seconds=1.5, details={"diff": "d"})
    assert plain(event) == {
        "kind": "tool_end", "id": "1", "name": "n", "text": "t", "is_error": False, "seconds": 1.5,
        "details": {"diff": "d"},
    }  # fmt: skip


# Output


async def test_output_comes_whole_and_in_order_through_a_slow_reader() -> None:
    reading, writing = os.pipe()
    received = bytearray()

    def read() -> None:
        while piece := os.read(reading, 1000):
            received.extend(piece)

    reader = threading.Thread(target=read)
    reader.start()
    output = Output(writing)
    pieces = [bytes([65 + number % 26]) * (number * 37 % 9000) for number in range(300)]
    for piece in pieces:
        await output.write(piece)
    assert await asyncio.to_thread(output.finish, 10)
    os.close(writing)
    reader.join()
    os.close(reading)
    assert bytes(received) == b"".join(pieces)


async def test_a_reader_that_stands_still_makes_the_writer_wait() -> None:
    reading, writing = os.pipe()
    output = Output(writing)
    writes = 0

    async def write_on() -> None:
        nonlocal writes
        while True:
            await output.write(b"x" * 8_192)
            writes += 1

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(write_on(), 0.2)
    assert writes > 10
    held = output._held
    assert ROOM < held <= ROOM + 8_192
    assert output.finish(0.05) is False
    output.hurry()
    await asyncio.wait_for(output.write(b"x"), 5)
    os.close(reading)
    assert output.finish(5) is False, "it was not all read"
    os.close(writing)


async def test_a_reader_that_has_gone_is_told_once() -> None:
    reading, writing = os.pipe()
    told: list[str] = []
    output = Output(writing, lambda: told.append("gone"))
    os.close(reading)
    for _ in range(3):
        await output.write(b"x")
    assert (told, output.broken) == (["gone"], True)
    os.close(writing)


async def test_a_descriptor_that_does_not_block_loses_nothing() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    output = Output(writing)
    output.put(b"x" * 200_000)
    received = await asyncio.to_thread(lambda: b"".join(os.read(reading, 4096) for _ in range(49)))
    while len(received) < 200_000:
        received += os.read(reading, 65_536)
    assert (len(received), output.finish(5)) == (200_000, True)
    os.close(reading)
    os.close(writing)


# What people see


def test_text_cannot_drive_a_terminal() -> None:
    assert harmless("a\x1b[2Jb\x07\r\n\tc\u202e\x9bd") == "a[2Jb\n\tcd"
    assert one_line("a\n  b\tc" + "x" * 200, 20) == "a b c" + "x" * 12 + "..."


def test_a_long_diff_is_cut() -> None:
    diff = "".join(f"+{number}\n" for number in range(DIFF_LINES + 5))
    event = ToolEnd(id="1", name="edit", text="", is_error=False, seconds=0, details={"diff": diff})
    assert diff_lines(event)[-1] == "... 5 more lines of diff"
    assert diff_lines(ToolEnd(id="1", name="edit", text="", is_error=False, seconds=0)) == []


def test_usage_and_cost() -> None:
    usage = TokenUsage(
        input_tokens=1000, output_tokens=200, cache_read_tokens=5000, cache_write_tokens=100, reasoning_tokens=50
    )
    price = ModelPrice(input=3, output=15, cache_read=0.3)
    assert cost_of(usage, price) == pytest.approx((1000 * 3 + 200 * 15 + 5000 * 0.3 + 100 * 3) / 1e6)
    outcome = RunOutcome(status="done", steps=2, requests=3, retries=1, usage=usage, seconds=1.26)
    total = Total().plus(outcome, None).plus(outcome, None)
    assert usage_line(total) == (
        "4 turns in 2.5 s; tokens 12,200 in (10,000 from cache), 400 out (100 of reasoning); "
        "2 of 6 requests were retries"
    )
    assert usage_line(Total().plus(outcome, price)).endswith("; $0.0078")
    assert limits_line({"max_turns": 3, "max_seconds": 0.5}) == "limits: --max-turns 3, --max-seconds 0.5"


@pytest.mark.parametrize(
    ("text", "value"),
    [('{"a": 1}', {"a": 1}), ('```json\n{"a": 1}\n```', {"a": 1}), ('  ```\n{"a": 1}\n```  ', {"a": 1})],
)
def test_a_structured_answer_is_read(tmp_path: Path, text: str, value: object) -> None:
    path = tmp_path / "schema.json"
    path.write_text(
        '{"type": "object", "properties": {"a": {"$ref": "#/$defs/n"}}, "$defs": {"n": {"type": "integer"}}}'
    )
    schema = load_schema(path)
    assert schema.read(text) == value
    for wrong in ('{"a": "1"}', "Here it is: {}", "", '{"a": 1'):
        with pytest.raises(ValueError, match=r"it is no JSON|must be integer"):
            schema.read(wrong)


def test_a_schema_that_cannot_be_read_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load_schema(tmp_path / "none.json")
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(ConfigError, match="must be a JSON object"):
        load_schema(tmp_path / "list.json")
