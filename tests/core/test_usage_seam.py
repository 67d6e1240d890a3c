"""The usage part of a provider's record: what is refused, and what a count is."""

import pytest

from beyond_ai import Provider, StreamUsage, UsageCounts, UsageQuirk, token_count


def provider(**attributes: object) -> Provider:
    return Provider(name="acme", authority="api.acme.example:443", **attributes)  # type: ignore[arg-type]


def test_what_is_not_known_is_not_assumed() -> None:
    plain = provider()
    plain.check()
    assert (plain.usage, plain.stream_usage, plain.keeps_generating) == (None, StreamUsage.ALWAYS, False)


@pytest.mark.parametrize(
    "quirk",
    [
        UsageQuirk(),
        UsageQuirk(paths=(("x", "usage"), ("a", "b", "usage")), adjust=lambda report, counts: None, cost="cost"),
    ],
)
def test_a_quirk_is_accepted(quirk: UsageQuirk) -> None:
    provider(usage=quirk, stream_usage=StreamUsage.OPTION, keeps_generating=True).check()


@pytest.mark.parametrize(
    ("attributes", "error", "message"),
    [
        ({"usage": {"cost": "cost"}}, TypeError, "usage must be a UsageQuirk"),
        ({"usage": UsageQuirk(paths=["usage"])}, TypeError, r"usage\.paths must be"),  # type: ignore[arg-type]
        ({"usage": UsageQuirk(paths=("usage",))}, TypeError, r"usage\.paths must be"),  # type: ignore[arg-type]
        ({"usage": UsageQuirk(paths=((),))}, ValueError, "does not end in 'usage'"),
        ({"usage": UsageQuirk(paths=(("x", "tokens"),))}, ValueError, "does not end in 'usage'"),
        ({"usage": UsageQuirk(adjust="f")}, TypeError, r"usage\.adjust must be callable"),  # type: ignore[arg-type]
        ({"usage": UsageQuirk(cost=None)}, TypeError, r"usage\.cost must be a string"),  # type: ignore[arg-type]
        ({"usage": UsageQuirk(cost="coût")}, ValueError, r"usage\.cost must be ASCII"),
        ({"stream_usage": "option"}, TypeError, "stream_usage must be one of"),
        ({"keeps_generating": 1}, TypeError, "keeps_generating must be True or False"),
    ],
)
def test_a_record_that_cannot_be_used_is_refused(
    attributes: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        provider(**attributes).check()


@pytest.mark.parametrize(
    ("value", "count"),
    [(0, 0), (7, 7), (2**64 - 1, 2**64 - 1), (2**64, 2**64 - 1), (10**30, 2**64 - 1), (1e30, 2**64 - 1)],
)
def test_counts(value: object, count: int) -> None:
    assert token_count(value) == count


@pytest.mark.parametrize("value", [-1, 1.0, 0.5, True, False, "1", None, [], {}, float("nan"), float("-inf")])
def test_what_is_no_count(value: object) -> None:
    assert token_count(value) is None


def test_absent_and_zero_are_told_apart_where_wires_do() -> None:
    counts = UsageCounts()
    assert (counts.input_tokens, counts.output_tokens, counts.cache_read_tokens, counts.cache_write_tokens) == (0,) * 4
    assert counts.cache_write_1h_tokens is counts.reasoning_tokens is counts.server_tool_calls is None
