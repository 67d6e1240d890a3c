"""A count-min sketch's cells: where a key is counted in a table of fixed size, however many keys there are.

A key has one cell in each of `DEPTH` lines of `2 ** log2_width` cells; others may share each of them, so the least of
the four is its count or more, never less. For N counted in all and a width w, it is more than e * N / w too much
with a probability below e ** -4, 1.8 % (Cormode and Muthukrishnan, *An improved data stream summary: the count-min
sketch and its applications*, J. Algorithms 55, 2005, theorem 1), whatever the keys, as long as nobody can choose
them by their hash: it has to be keyed.
"""

from typing import Final, TypeAlias

from beyond_ai.gateway.shared_rows import Words

DEPTH: Final = 4
Cells: TypeAlias = tuple[int, int, int, int]
"""Indexes into a row: one for each line of the sketch."""


def size(log2_width: int) -> int:
    """The number of cells of a sketch."""
    return DEPTH << log2_width


def cells_of(bits: int, log2_width: int) -> Cells:
    """The cells of a key that BITS, a hash of `DEPTH * log2_width` bits or more, was made of."""
    width = 1 << log2_width
    mask = width - 1
    return (
        bits & mask,
        width + (bits >> log2_width & mask),
        2 * width + (bits >> 2 * log2_width & mask),
        3 * width + (bits >> 3 * log2_width & mask),
    )


def least(row: Words, cells: Cells) -> int:
    """The least of CELLS in ROW."""
    a, b, c, d = cells
    low = row[a]
    if (word := row[b]) < low:
        low = word
    if (word := row[c]) < low:
        low = word
    if (word := row[d]) < low:
        low = word
    return low
