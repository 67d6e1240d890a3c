"""Every recorded answer of the ten providers is metered as its index says, however it arrives."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from beyond_ai.gateway.tap import Tap
from beyond_ai.gateway.usage import Quirk, Usage, Wire, parse_usage, wire_of

CORPUS = Path(__file__).parents[3] / "shared" / "corpus"

pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason="the recorded answers are not here")


def _reasoning_outside_completion(report: Mapping[str, object], usage: Usage) -> None:
    reasoning = usage.reasoning_tokens or 0
    if reasoning and report.get("total_tokens") == usage.input_tokens + usage.output_tokens + reasoning:
        usage.output_tokens += reasoning


QUIRKS = {"groq": Quirk(paths=(("x_groq", "usage"),)), "xai": Quirk(adjust=_reasoning_outside_completion)}
"""What the providers' wires do not explain. xAI bills Chat's reasoning beside completion; Groq reports in a place of
its own unless usage is asked for."""


@dataclass(frozen=True)
class Recording:
    row: Mapping[str, Any]

    @property
    def body(self) -> bytes:
        return CORPUS.joinpath(str(self.row["file"])).read_bytes()

    @property
    def wire(self) -> Wire:
        wire = wire_of(self.row["endpoint"].encode())
        assert wire is not None
        return wire

    @property
    def quirk(self) -> Quirk | None:
        return QUIRKS.get(self.row["provider"])

    def parse(self, tap: Tap) -> Usage:
        return parse_usage(self.wire, self.row["streaming"], tap, quirk=self.quirk)


def _recordings() -> list[Recording]:
    index = CORPUS / "index.jsonl"
    if not index.is_file():
        return []
    return [Recording(json.loads(line)) for line in index.read_text("utf-8").splitlines()]


RECORDINGS = _recordings()


def _tapped(chunks: Iterator[bytes]) -> Tap:
    tap = Tap()
    for chunk in chunks:
        tap.feed(chunk)
    return tap


def _split(body: bytes, size: int) -> Iterator[bytes]:
    return (body[start : start + size] for start in range(0, len(body), size))


def _split_as_recorded(body: bytes, sizes: list[int]) -> Iterator[bytes]:
    start = 0
    for size in sizes:
        yield body[start : start + size]
        start += size
    yield body[start:]


def _counts(usage: Usage) -> dict[str, int] | None:
    if not usage.found:
        return None
    counts = {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
    }
    if usage.reasoning_tokens is not None:
        counts["reasoning_tokens"] = usage.reasoning_tokens
    return counts


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda recording: recording.row["file"])
def test_recorded_answer_is_metered_as_expected(recording: Recording) -> None:
    body, sizes = recording.body, recording.row["transport_chunks"]
    for chunks in (
        iter([body]),
        _split(body, 1),
        _split(body, 7),
        _split_as_recorded(body, sizes or []),
    ):
        usage = recording.parse(_tapped(chunks))
        assert _counts(usage) == recording.row["expected"]
        if recording.wire.metered:
            assert usage.model == recording.row["response_model"]


@pytest.mark.parametrize(
    "recording", [r for r in RECORDINGS if r.row["streaming"]], ids=lambda recording: recording.row["file"]
)
def test_recorded_stream_ended_as_its_features_say(recording: Recording) -> None:
    usage = recording.parse(_tapped(iter([recording.body])))
    features = recording.row["features"]
    assert usage.error == ("error_event" in features)
    if recording.row["finish"] is not None or "done_marker" in features:
        assert usage.finished or usage.error


def test_all_recordings_are_there() -> None:
    assert len(RECORDINGS) == 588


@pytest.mark.skipif(not RECORDINGS, reason="the recorded answers are not here")
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_damaged_recordings_never_raise(data: st.DataObject) -> None:
    recording = data.draw(st.sampled_from(RECORDINGS))
    body = bytearray(recording.body)
    for _ in range(data.draw(st.integers(0, 8))):
        position = data.draw(st.integers(0, len(body)))
        removed = data.draw(st.integers(0, 40))
        body[position : position + removed] = data.draw(st.binary(max_size=8))
    end = data.draw(st.integers(0, len(body)))
    tap = _tapped(_split(bytes(body[:end]), data.draw(st.sampled_from([1000, 65536]))))
    usage = parse_usage(
        data.draw(st.sampled_from(list(Wire))),
        data.draw(st.booleans()),
        tap,
        complete=data.draw(st.booleans()),
        quirk=recording.quirk,
    )
    assert usage.input_tokens >= 0
    assert usage.output_tokens >= 0
    assert usage.model != ""


@pytest.mark.skipif(not RECORDINGS, reason="the recorded answers are not here")
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_an_openai_stream_cut_short_has_the_recorded_counts_or_none(data: st.DataObject) -> None:
    """Chat and Responses report once, or add up as they go on: a cut never shows more than the whole."""
    streams = [r for r in RECORDINGS if r.row["streaming"] and r.wire is not Wire.MESSAGES]
    recording = data.draw(st.sampled_from(streams))
    body = recording.body
    tap = _tapped(iter([body[: data.draw(st.integers(0, len(body)))]]))
    usage = parse_usage(recording.wire, True, tap, complete=False, quirk=recording.quirk)
    whole = recording.parse(_tapped(iter([body])))
    assert usage.input_tokens <= whole.input_tokens
    assert usage.output_tokens <= whole.output_tokens
