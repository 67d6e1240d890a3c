"""What providers do differently from their wires, as the gateway applies it."""

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beyond_ai.gateway.tap import Tap
from beyond_ai.gateway.usage import Usage, Wire, parse_usage
from beyond_ai.spec.token_count import U64_MAX
from beyond_ai.spec.usage import UsageCounts, UsageQuirk

REPORT = {"prompt_tokens": 5, "completion_tokens": 6}
GROQ = UsageQuirk(paths=(("x_groq", "usage"),))
COST = UsageQuirk(cost="cost")


def parse(data: bytes | object, quirk: UsageQuirk, *, wire: Wire = Wire.CHAT, streaming: bool = False) -> Usage:
    tap = Tap()
    body = data if isinstance(data, bytes) else json.dumps(data).encode()
    for start in range(0, len(body), 5000):
        tap.feed(body[start : start + 5000])
    return parse_usage(wire, streaming, tap, quirk=quirk)


class TestPaths:
    def test_another_place(self) -> None:
        assert parse({"x_groq": {"usage": REPORT}}, GROQ).output_tokens == 6
        assert not parse({"x_groq": {"usage": REPORT}}, UsageQuirk()).found

    def test_the_wire_s_own_place_comes_first(self) -> None:
        body = {"x_groq": {"usage": {"prompt_tokens": 1}}, "usage": REPORT}
        assert parse(body, GROQ).input_tokens == 5

    def test_a_fragment_is_not_searched_for_it(self) -> None:
        """There only depth can be told, and what a client may have put at the same depth looks alike."""
        for parent in ("x_groq", "metadata"):
            body = {"choices": "x" * 100_000, parent: {"usage": REPORT}}
            assert not parse(body, GROQ).found


class TestAdjust:
    def test_it_sees_the_report_and_what_the_wire_read(self) -> None:
        seen = []

        def look(report: Mapping[str, object], counts: UsageCounts) -> None:
            seen.append((dict(report), counts.input_tokens, counts.output_tokens))
            counts.cache_read_tokens = 4
            counts.server_tool_calls = 0
            counts.service_tier = "flex"
            counts.upstream_cost_usd = "0.25"

        usage = parse({"usage": REPORT}, UsageQuirk(adjust=look))
        assert seen == [(REPORT, 5, 6)]
        assert (usage.cache_read_tokens, usage.server_tool_calls) == (4, 0)
        assert (usage.service_tier, usage.upstream_cost_usd) == ("flex", "0.25")

    def test_it_is_not_asked_without_a_report(self) -> None:
        def never(report: Mapping[str, object], counts: UsageCounts) -> None:
            raise AssertionError(report)

        for body in ({}, {"usage": None}, {"usage": {"input_tokens": 1, "output_tokens": 1}}):
            assert not parse(body, UsageQuirk(adjust=never)).found

    def test_sums_saturate(self) -> None:
        def add(report: Mapping[str, object], counts: UsageCounts) -> None:
            counts.output_tokens += U64_MAX
            counts.reasoning_tokens = 2 * U64_MAX

        usage = parse({"usage": REPORT}, UsageQuirk(adjust=add))
        assert (usage.output_tokens, usage.reasoning_tokens) == (U64_MAX, U64_MAX)

    def test_one_that_raises_changes_nothing(self) -> None:
        def broken(report: Mapping[str, object], counts: UsageCounts) -> None:
            counts.input_tokens = 999
            raise KeyError("cost")

        usage = parse({"usage": REPORT}, UsageQuirk(adjust=broken))
        assert (usage.found, usage.input_tokens, usage.output_tokens) == (True, 5, 6)
        assert repr(usage.failure) == "KeyError('cost')"

    @pytest.mark.parametrize("value", [-1, 2.5, "7", None, True])
    def test_what_is_no_count_changes_nothing(self, value: object) -> None:
        def broken(report: Mapping[str, object], counts: UsageCounts) -> None:
            counts.input_tokens = 999
            setattr(counts, "output_tokens", value)  # noqa: B010 - as a plugin without types would

        usage = parse({"usage": REPORT}, UsageQuirk(adjust=broken))
        assert (usage.input_tokens, usage.output_tokens) == (5, 6)
        assert "is not a count" in str(usage.failure)

    @pytest.mark.parametrize("text", ["free", "-1", "1.", ".5", "01", "1 USD", "NaN", "1e", "٣", "9" * 49])
    def test_what_is_no_amount_or_tier_is_absent(self, text: str) -> None:
        def write(report: Mapping[str, object], counts: UsageCounts) -> None:
            counts.upstream_cost_usd = text
            counts.service_tier = text + " "

        usage = parse({"usage": REPORT}, UsageQuirk(adjust=write))
        assert (usage.upstream_cost_usd, usage.service_tier, usage.input_tokens) == (None, None, 5)


class TestCost:
    @pytest.mark.parametrize(
        "text", ["0", "0.0", "0.00010130", "1.4e-07", "6E-8", "0.1000000000000000055511151231257827", "12", "1e3"]
    )
    @pytest.mark.parametrize("padding", [0, 5_000, 100_000])
    def test_digits_stay(self, text: str, padding: int) -> None:
        body = b'{"pad":"%b","usage":{"prompt_tokens":5,"completion_tokens":6,"cost" : %b,"is_byok":false}}'
        usage = parse(body % (b"x" * padding, text.encode()), COST)
        assert (usage.upstream_cost_usd, usage.input_tokens) == (text, 5)

    def test_in_a_stream_and_before_a_long_answer(self) -> None:
        report = b'{"usage":{"prompt_tokens":5,"completion_tokens":6,"cost":0.00010130},"choices":[%b]}'
        stream = b"data: " + report % b"" + b"\n\n: bye\n\ndata: [DONE]\n\n"
        assert parse(stream, COST, streaming=True).upstream_cost_usd == "0.00010130"
        long = report % (b'"' + b"x" * 100_000 + b'"')
        assert parse(long, COST).upstream_cost_usd == "0.00010130"

    def test_on_every_wire(self) -> None:
        message = b'{"usage":{"input_tokens":5,"output_tokens":6,"cost":0.10}}'
        assert parse(message, COST, wire=Wire.MESSAGES).upstream_cost_usd == "0.10"
        delta = b'data: {"type":"message_delta","usage":{"output_tokens":6,"cost":0.10}}\n\n'
        assert parse(delta, COST, wire=Wire.MESSAGES, streaming=True).upstream_cost_usd == "0.10"

    @pytest.mark.parametrize("value", [None, -1, -0.5, True, "free", [], {}, {"usd": 1}])
    def test_what_is_no_amount_is_absent(self, value: object) -> None:
        usage = parse({"usage": {**REPORT, "cost": value}}, COST)
        assert (usage.upstream_cost_usd, usage.output_tokens) == (None, 6)

    def test_without_one(self) -> None:
        assert parse({"usage": REPORT, "cost": 7.5}, COST).upstream_cost_usd is None
        assert parse({"usage": {**REPORT, "cost": 7.5}}, UsageQuirk()).upstream_cost_usd is None

    def test_another_member_of_the_name_gives_no_digits(self) -> None:
        body = b'{"usage":{"prompt_tokens":5,"completion_tokens":6,"cost":0.250},"tools":[{"cost":0.5,"x":{"cost":9}}]}'
        assert parse(body, COST).upstream_cost_usd == "0.250"

    @given(st.text(max_size=20), st.decimals(0, 100, allow_nan=False, places=9), st.integers(0, 2))
    def test_text_never_forges_one(self, text: str, amount: object, padding: int) -> None:
        forged = f'"cost":{amount},"usage":{{"cost":{amount}}}' + text
        body = {"echo": forged, "pad": "x" * (padding * 40_000), "usage": {**REPORT, "cost": "@"}, "note": forged}
        data = json.dumps(body).encode().replace(b'"@"', b"123.4500")
        assert parse(data, COST).upstream_cost_usd == "123.4500"
