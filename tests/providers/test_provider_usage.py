"""What each shipped provider reports in its own way, read as the gateway reads it."""

import json
from collections.abc import Mapping

import pytest
from tests.providers.test_provider_records import FACTS, record

from beyond_ai import StreamUsage
from beyond_ai.gateway.tap import Tap
from beyond_ai.gateway.usage import Usage, Wire, parse_usage

REPORT: Mapping[str, object] = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}


def read(name: str, report: Mapping[str, object] | bytes, wire: Wire = Wire.CHAT) -> Usage:
    """The usage of an answer of the provider NAME with the usage object REPORT."""
    tap = Tap()
    tap.feed(b'{"model":"m","usage":%b}' % (report if isinstance(report, bytes) else json.dumps(report).encode()))
    return parse_usage(wire, False, tap, quirk=record(name).usage)


def stream(name: str, *events: Mapping[str, object], wire: Wire = Wire.CHAT) -> Usage:
    tap = Tap()
    for event in events:
        tap.feed(b"data: %b\n\n" % json.dumps(event).encode())
    return parse_usage(wire, True, tap, quirk=record(name).usage)


def test_who_has_to_be_asked_for_usage() -> None:
    asked = {name for name in FACTS if record(name).stream_usage is StreamUsage.OPTION}
    assert asked == {"openai", "xai", "echo"}


def test_who_goes_on_without_its_client() -> None:
    assert {name for name in FACTS if record(name).keeps_generating} == {"groq", "mistral"}


@pytest.mark.parametrize("name", FACTS)
def test_a_plain_report_means_the_same_everywhere(name: str) -> None:
    assert read(name, REPORT) == Usage(input_tokens=100, output_tokens=20, found=True, model="m", finished=True)


@pytest.mark.parametrize(("name", "member"), [("deepseek", "prompt_cache_hit_tokens"), ("together", "cached_tokens")])
def test_flat_cache_reads(name: str, member: str) -> None:
    assert read(name, {**REPORT, member: 64}).cache_read_tokens == 64
    assert read(name, {**REPORT, member: 64, "prompt_tokens_details": None}).cache_read_tokens == 64
    assert read(name, {**REPORT, member: 64, "prompt_tokens_details": {"cached_tokens": 0}}).cache_read_tokens == 0
    assert read(name, {**REPORT, member: None, "prompt_tokens_details": {"cached_tokens": 8}}).cache_read_tokens == 8
    assert read("openai", {**REPORT, member: 64}).cache_read_tokens == 0


def test_groq_reports_in_its_own_object() -> None:
    last = {"choices": [{"delta": {}, "finish_reason": "stop"}], "x_groq": {"id": "req_1", "usage": REPORT}}
    usage = stream("groq", {"choices": [], "x_groq": {"id": "req_1"}}, last)
    assert (usage.input_tokens, usage.output_tokens, usage.finished) == (100, 20, True)
    assert not stream("openai", last).found


def test_mistral_has_the_tier_in_the_report() -> None:
    assert read("mistral", {**REPORT, "service_tier": "standard"}).service_tier == "standard"
    assert read("openai", {**REPORT, "service_tier": "standard"}).service_tier is None


def test_xai_bills_reasoning_beside_completion() -> None:
    details: dict[str, object] = {"completion_tokens_details": {"reasoning_tokens": 300}}
    outside = read("xai", {**REPORT, **details, "total_tokens": 420})
    assert (outside.output_tokens, outside.reasoning_tokens) == (320, 300)
    within = read("xai", {**REPORT, **details, "completion_tokens": 320, "total_tokens": 420})
    assert (within.output_tokens, within.reasoning_tokens) == (320, 300)
    assert read("openai", {**REPORT, **details, "total_tokens": 420}).output_tokens == 20


@pytest.mark.parametrize(
    ("ticks", "dollars"),
    [(0, "0.0000000000"), (1, "0.0000000001"), (37_756_000, "0.0037756000"), (123_456_789_012, "12.3456789012")],
)
def test_xai_states_the_cost_in_ticks(ticks: int, dollars: str) -> None:
    assert read("xai", {**REPORT, "cost_in_usd_ticks": ticks}).upstream_cost_usd == dollars


def test_xai_counts_the_tools_that_it_ran() -> None:
    plain: dict[str, object] = {"input_tokens": 9, "output_tokens": 1, "total_tokens": 10}
    usage = read("xai", {**plain, "num_server_side_tools_used": 3}, Wire.RESPONSES)
    assert (usage.server_tool_calls, usage.output_tokens) == (3, 1)


@pytest.mark.parametrize("cost", ["0", "0.00010130", "1.4e-07", "0.025265"])
@pytest.mark.parametrize("wire", [Wire.CHAT, Wire.EMBEDDINGS, Wire.RESPONSES, Wire.MESSAGES])
def test_openrouter_states_the_cost(wire: Wire, cost: str) -> None:
    names = (
        b'"prompt_tokens":3,"completion_tokens":4'
        if wire in (Wire.CHAT, Wire.EMBEDDINGS)
        else b'"input_tokens":3,"output_tokens":4'
    )
    total = b"" if wire is Wire.MESSAGES else b',"total_tokens":7'
    details = b'"cost_details":{"upstream_inference_cost":0.5,"cost":9.75}'
    usage = read("openrouter", b'{%b%b,"cost":%b,%b}' % (names, total, cost.encode(), details), wire)
    assert (usage.upstream_cost_usd, usage.input_tokens) == (cost, 3)


def test_openrouter_s_cache_writes_and_searches() -> None:
    details = {"cached_tokens": 10, "cache_write_tokens": 64}
    tools = {"server_tool_use_details": {"web_search_requests": 3}}
    usage = read("openrouter", {**REPORT, "prompt_tokens_details": details, **tools})
    assert (usage.cache_read_tokens, usage.cache_write_tokens, usage.server_tool_calls) == (10, 64, 3)
