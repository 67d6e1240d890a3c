"""An estimate is never above what the provider counted, wherever a recorded answer is cut."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from beyond_ai.gateway.tap import Tap
from beyond_ai.gateway.usage import Usage, Wire, parse_usage, wire_of
from beyond_ai.gateway.usage.estimate import estimate_usage

CORPUS = Path(__file__).parents[3] / "shared" / "corpus"
CUTS = 12
SEVERAL_ANSWERS = "anthropic/messages-vercel-ai-anthropic-anthropic-programmatic-tool-calling-1-chunks.sse"
"""Thirteen answers one after the other in one file, whose expected counts are the last one's."""

pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason="the recorded answers are not here")

Row = Mapping[str, Any]


def _rows(*, streaming: bool) -> list[Row]:
    index = CORPUS / "index.jsonl"
    if not index.is_file():
        return []
    rows: list[Row] = [json.loads(line) for line in index.read_text("utf-8").splitlines()]
    return [row for row in rows if row["expected"] and row["streaming"] == streaming and row["file"] != SEVERAL_ANSWERS]


STREAMS = _rows(streaming=True)
BODIES = _rows(streaming=False)


def _body(row: Row) -> bytes:
    return CORPUS.joinpath(str(row["file"])).read_bytes()


def _wire(row: Row) -> Wire:
    wire = wire_of(row["endpoint"].encode())
    assert wire is not None
    return wire


def _output(row: Row, body: bytes) -> int:
    """The estimate of what BODY shows, whatever usage it reports."""
    tap = Tap()
    for start in range(0, len(body), 3_000):
        tap.feed(body[start : start + 3_000])
    usage = Usage()
    estimate_usage(_wire(row), row["streaming"], tap, usage, 0)
    return usage.output_tokens


def _cuts(body: bytes) -> Iterator[bytes]:
    """BODY cut at points that are spread over it: after a line or within one."""
    for part in range(1, CUTS + 1):
        end = len(body) * part // CUTS
        yield body[:end]
        yield body[: body.rfind(b"\n", 0, end) + 1]


def _events(body: bytes) -> Iterator[Mapping[str, Any]]:
    for line in body.splitlines()[:-1]:
        if line.startswith(b"data:") and line.endswith(b"}"):
            yield json.loads(line[5:])


def _visible_words(body: bytes) -> int:
    """The words of the text that BODY, a stream, has for its reader."""
    text = ""
    for event in _events(body):
        delta = event.get("delta")
        if event.get("type") == "content_block_delta" and isinstance(delta, dict):
            text += delta.get("text") or ""
        elif event.get("type") == "response.output_text.delta":
            text += event["delta"]
        for choice in event.get("choices") or ():
            content = choice["delta"].get("content")
            text += content if isinstance(content, str) else ""
    return len(text.split())


@pytest.mark.parametrize("row", STREAMS, ids=lambda row: row["file"])
def test_a_stream_cut_anywhere_is_not_estimated_above_the_whole(row: Row) -> None:
    for body in _cuts(_body(row)):
        output = _output(row, body)
        assert output <= row["expected"]["output_tokens"]
        if (words := _visible_words(body[: 72 * 1024])) >= 50:
            assert output >= words // 2


@pytest.mark.parametrize("row", BODIES, ids=lambda row: row["file"])
def test_a_body_cut_anywhere_is_not_estimated_above_the_whole(row: Row) -> None:
    for body in _cuts(_body(row)):
        assert _output(row, body) <= row["expected"]["output_tokens"]


@pytest.mark.parametrize("row", [row for row in STREAMS if row["kind"] == "messages"], ids=lambda row: row["file"])
def test_what_message_start_says_of_the_prompt_stands(row: Row) -> None:
    body = _body(row)
    end = re.compile(rb"\r?\n\r?\n").search(body, body.find(b'"message_start"'))
    assert end is not None
    tap = Tap()
    tap.feed(body[: end.end()])
    usage = parse_usage(Wire.MESSAGES, True, tap, complete=False)
    said = (usage.input_tokens, usage.cache_read_tokens, usage.cache_write_tokens)
    estimate_usage(Wire.MESSAGES, True, tap, usage, 10**6)
    if any(said):
        assert (usage.input_tokens, usage.cache_read_tokens, usage.cache_write_tokens) == said
    else:
        assert usage.input_tokens == 10**6


@pytest.mark.skipif(not STREAMS, reason="the recorded answers are not here")
def test_an_estimate_is_of_use() -> None:
    """Near the truth for streams of Chat that are plain text and ran for a while."""
    plain = [
        row
        for row in STREAMS
        if row["kind"] == "chat/completions"
        and row["expected"]["output_tokens"] >= 50
        and not row["expected"].get("reasoning_tokens")
        and "tool_calls" not in row["features"]
    ]
    assert len(plain) >= 10
    assert median(_output(row, _body(row)) / row["expected"]["output_tokens"] for row in plain) >= 0.8
