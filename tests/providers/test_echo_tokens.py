"""How echo counts."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from beyond_ai_providers.echo.tokens import count, split


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", []),
        ("hi", ["hi"]),
        ("You said: hi", ["You", " said", ":", " hi"]),
        ("  two\n words ", ["  two", "\n words "]),
        ("don't...", ["don", "'", "t", "..."]),
        (" \n ", [" \n "]),
        ('{"path":"a.b"}', ['{"', "path", '":"', "a", ".", "b", '"}']),
    ],
)
def test_a_token_is_a_run_with_the_space_before_it(text: str, tokens: list[str]) -> None:
    assert split(text) == tokens


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text())
def test_tokens_joined_are_the_text_and_each_is_counted(text: str) -> None:
    tokens = split(text)
    assert "".join(tokens) == text
    assert count(text) == len(tokens)
    assert all(tokens)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(), st.integers(0, 5))
def test_a_limit_takes_the_first_tokens(text: str, limit: int) -> None:
    assert split(text, limit) == split(text)[:limit]
