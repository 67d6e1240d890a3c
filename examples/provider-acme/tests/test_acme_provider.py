"""Acme's record, and what its usage report comes to."""

import pytest

import acme_provider
from beyond_ai import UsageCounts


def test_the_record_can_be_routed_to() -> None:
    (provider,) = acme_provider.beyond_providers()
    provider.check()
    assert (provider.name, provider.base_path) == ("acme", "/v1")


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        ({"prompt_tokens": 10, "cached_prompt_tokens": 90}, (100, 90)),
        ({"prompt_tokens": 10}, (10, 0)),
        ({"prompt_tokens": 10, "cached_prompt_tokens": "many"}, (10, 0)),
    ],
)
def test_cached_tokens_are_part_of_the_input(report: dict[str, object], expected: tuple[int, int]) -> None:
    counts = UsageCounts(input_tokens=10)
    acme_provider.with_cached(report, counts)
    assert (counts.input_tokens, counts.cache_read_tokens) == expected
