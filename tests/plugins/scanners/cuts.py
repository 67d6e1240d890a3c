"""Ways to cut a body into chunks."""

from itertools import pairwise

from hypothesis import strategies as st


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@st.composite
def cut_up(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """Anywhere, empty chunks included."""
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=8)))
    return [data[start:stop] for start, stop in pairwise([0, *cuts, len(data)])]
