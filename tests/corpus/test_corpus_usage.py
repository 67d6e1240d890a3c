"""Every recorded answer of the ten providers is metered as its index says, however it arrives.

What a provider does in its own way comes from its record, as the gateway takes it. One body decides what a wire has:
`openrouter/responses-pydantic-ai-enai-prompt-cache-test-openrouter-responses-prompt-cache-e2e-2.json` reports 4012
cache writes in `input_tokens_details`, where 0 is expected, while OpenAI's and OpenRouter's Chat answers report theirs
in `prompt_tokens_details` and are expected to count: Chat has cache writes, Responses has none.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from beyond_ai.gateway.tap import Tap
from beyond_ai.gateway.usage import Usage, Wire, parse_usage, wire_of
from beyond_ai.registry import PluginPolicy, load
from beyond_ai.spec.provider import Provider
from beyond_ai.spec.usage import UsageQuirk

CORPUS = Path(__file__).parents[3] / "shared" / "corpus"

pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason="the recorded answers are not here")


@cache
def _providers() -> Mapping[str, Provider]:
    return load(("provider",), PluginPolicy(third_party=False)).providers()


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
    def quirk(self) -> UsageQuirk | None:
        return _providers()[self.row["provider"]].usage

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


def _grown(recording: Recording) -> bytes:
    """The answer with 100 KB more before its usage: its beginning is out of the tap's sight, or its last event is."""
    body, pad = recording.body, b'"pad":"%b",' % (b'usage\\":{' * 10_000)
    if not recording.row["streaming"]:
        return body.replace(b"{", b"{" + pad, 1)
    if recording.wire is Wire.RESPONSES:
        start = body.rfind(b'"response":')
        return body[:start] + body[start:].replace(b"{", b"{" + pad, 1)
    first = re.search(rb"\r?\n\r?\n", body)
    assert first is not None
    return body[: first.end()] + b': wait\n\ndata: {%b"choices":[]}\n\n' % pad + body[first.end() :]


@pytest.mark.parametrize(
    "recording", [r for r in RECORDINGS if r.row["expected"]], ids=lambda recording: recording.row["file"]
)
def test_a_recorded_answer_that_is_longer_than_what_is_kept(recording: Recording) -> None:
    plain = recording.parse(_tapped(iter([recording.body])))
    grown = recording.parse(_tapped(_split(_grown(recording), 5_000)))
    assert _counts(grown) == recording.row["expected"]
    assert (grown.service_tier, grown.upstream_cost_usd) == (plain.service_tier, plain.upstream_cost_usd)


@pytest.mark.parametrize(
    "recording",
    [r for r in RECORDINGS if r.row["expected"] and r.row["streaming"]],
    ids=lambda recording: recording.row["file"],
)
def test_a_recorded_stream_in_other_framing(recording: Recording) -> None:
    lines = recording.body.replace(b"\r\n", b"\n")
    for body in (lines.replace(b"\n", b"\r\n"), lines.replace(b"\n", b"\r"), lines.rstrip(b"\n")):
        assert _counts(recording.parse(_tapped(iter([body])))) == recording.row["expected"]


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda recording: recording.row["file"])
def test_what_a_recorded_answer_says_beside_tokens(recording: Recording) -> None:
    body, report = recording.body, recording.row["usage"]
    usage = recording.parse(_tapped(_split(body, 7)))
    if recording.row["expected"] is None:
        assert usage.server_tool_calls is None
        assert usage.cache_write_1h_tokens is None
        assert usage.upstream_cost_usd is None
        return
    assert usage.cache_write_1h_tokens == (report.get("cache_creation") or {}).get("ephemeral_1h_input_tokens")
    tools = report.get("server_tool_use") or report.get("server_tool_use_details")
    expected_calls = sum(tools.values()) if tools else report.get("num_server_side_tools_used")
    assert usage.server_tool_calls == expected_calls
    if "cost_in_usd_ticks" in report:
        assert usage.upstream_cost_usd is not None
        assert Decimal(usage.upstream_cost_usd) == Decimal(report["cost_in_usd_ticks"]).scaleb(-10)
    elif "cost" in report:
        assert usage.upstream_cost_usd is not None
        assert re.search(rb'"cost"\s*:\s*%b[,}\s]' % re.escape(usage.upstream_cost_usd.encode()), body)
        assert float(usage.upstream_cost_usd) == report["cost"]
    else:
        assert usage.upstream_cost_usd is None
    if usage.service_tier is None:
        assert not re.search(rb'"service_tier"\s*:\s*"[a-z_]+"', body) or recording.row["streaming"]
    else:
        assert re.search(rb'"service_tier"\s*:\s*"%b"' % usage.service_tier.encode(), body)


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
