"""How long a worker that died is waited for."""

from hypothesis import given
from hypothesis import strategies as st

from beyond_ai.gateway.supervisor.backoff import FIRST, LONGEST, STABLE, Backoff


def test_a_series_of_deaths() -> None:
    backoff = Backoff()
    delays = [backoff.after(1.0) for _ in range(12)]
    assert delays == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0, 30.0]
    assert backoff.after(STABLE) == FIRST
    assert backoff.after(0.0) == 2 * FIRST


@given(st.lists(st.floats(0, 200)))
def test_it_is_never_shorter_than_the_first_nor_longer_than_the_longest(lives: list[float]) -> None:
    backoff = Backoff()
    for lived in lives:
        assert FIRST <= backoff.after(lived) <= (FIRST if lived >= STABLE else LONGEST)
