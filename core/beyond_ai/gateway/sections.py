"""What a row of the shared memory is made of, the same in all processes of a gateway."""

from collections.abc import Collection

from beyond_ai.gateway import body_budget, breaker, in_flight, metric_cells, rate_limit
from beyond_ai.gateway.shared_rows import SharedRows


def sections(providers: Collection[str]) -> dict[str, int]:
    """Each section's cells, where there are PROVIDERS."""
    return {
        rate_limit.SECTION: rate_limit.WORDS,
        breaker.SECTION: breaker.words(len(providers)),
        in_flight.SECTION: in_flight.WORDS,
        body_budget.SECTION: body_budget.WORDS,
        metric_cells.SECTION: metric_cells.words(len(providers)),
    }


def own_rows(providers: Collection[str]) -> SharedRows:
    """A block for one process alone."""
    return SharedRows.create(1, sections(providers))


def release(rows: SharedRows, row: int) -> None:
    """Give back what the worker of ROW held, as it is dead. What it knew of rates and providers still holds."""
    for section in (in_flight.SECTION, body_budget.SECTION, metric_cells.SECTION):
        rows.clear(section, row)
