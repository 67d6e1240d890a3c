"""The writer of the serve protocol: bounds in memory and in lines, numbers, replay."""

import asyncio
import json
import os
import threading
from pathlib import Path

import pytest

from beyond_ai.agent.run.output import Output
from beyond_ai.agent.serve.frames import Response
from beyond_ai.agent.serve.writer import LARGEST, REPLAY, Writer
from beyond_ai.spec.agent_event import Delta, Notice


class Pipe:
    """A writer whose reader begins when it is told to."""

    def __init__(self) -> None:
        self._source, self._target = os.pipe()
        self.writer = Writer(Output(self._target))

    def lines(self) -> list[bytes]:
        """All that was written; the end of the writer."""
        found: list[bytes] = []
        with open(self._source, "rb") as file:
            reading = threading.Thread(target=lambda: found.extend(file))
            reading.start()
            assert self.writer.output.finish(10)
            os.close(self._target)
            reading.join(10)
        return found


async def test_a_reader_that_stops_holds_the_run_and_nothing_is_lost() -> None:
    pipe, sent = Pipe(), 0

    async def run() -> None:
        nonlocal sent
        while True:
            sent += 1
            await pipe.writer.event(Notice(message="x" * 1000))

    running = asyncio.ensure_future(run())
    await asyncio.wait([running], timeout=0.3)
    held = sent
    assert held < 600, "it did not wait"
    running.cancel()
    await asyncio.wait([running])
    frames = [json.loads(line) for line in pipe.lines()]
    assert [frame["seq"] for frame in frames] == list(range(1, held + 1))


async def test_deltas_that_came_together_are_one_frame() -> None:
    pipe = Pipe()
    for text in ("a", "b"):
        await pipe.writer.event(Delta(type="text", index=0, text=text))
    await pipe.writer.event(Delta(type="thinking", index=1, text="c"))
    pipe.writer.put(Response(command="abort", success=True))
    events = [json.loads(line).get("event") for line in pipe.lines()]
    assert events == [
        {"kind": "stream", "type": "text_delta", "index": 0, "text": "ab"},
        {"kind": "stream", "type": "thinking_delta", "index": 1, "thinking": "c"},
        None,
    ]


@pytest.mark.parametrize("texts", [1, 100_000])
async def test_a_line_is_cut_and_says_where_the_whole_is(texts: int) -> None:
    pipe = Pipe()
    pipe.writer.pointer = Path("/sessions/s.jsonl")
    data = {"messages": [{"text": "x" * (3_000_000 // texts)}] * texts}
    pipe.writer.put(Response(id="1", command="get_messages", success=True, data=data))
    (line,) = pipe.lines()
    assert len(line) <= LARGEST
    frame = json.loads(line)
    assert (frame["id"], frame["whole"]) == ("1", "/sessions/s.jsonl")
    assert frame["cut"] == ([{"at": "data.messages[0].text", "chars": 3_000_000}] if texts == 1 else [])


async def test_what_is_kept_for_replay_is_bounded() -> None:
    pipe = Pipe()
    pipe.writer.output.hurry()
    for _ in range(6):
        await pipe.writer.event(Notice(message="x" * 900_000))
    kept, lost = pipe.writer.replay(0)
    assert kept < 6
    assert kept * 900_000 <= REPLAY
    assert lost
    assert pipe.writer.replay(6) == (0, False)
    assert [json.loads(line).get("replayed") for line in pipe.lines()] == [None] * 6 + [True] * kept
