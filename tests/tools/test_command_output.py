"""The output of a command, piece by piece: the same as all at once, whatever the cuts."""

from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from beyond_ai import ToolLimits
from beyond_ai_tools.coding.truncation import tail
from beyond_ai_tools.processes.output import CommandOutput
from beyond_ai_tools.processes.terminal_text import TerminalText

SEQUENCES = (b"\x1b[1m", b"\x1b]0;t\x07", b"\x1bPq\x1b\\", b"\xc2\x9b", b"\xc2\x9c", b"\xe2\x82\xac", b"\xe2", b"\xff")
PIECES = st.sampled_from([*(bytes([byte]) for byte in b"az\n\r\t []m0;\\(BP\x07\x00\x1b"), *SEQUENCES])
WRITTEN = st.lists(PIECES, max_size=40).map(b"".join)


def test_sequences_go_and_text_stays() -> None:
    links = b"\x1b]8;;https://example.org\x1b\\link\x1b]8;;\x1b\\ \x1b[38;5;208mcolour\x1b[K\x1b(B\x1b7\x1b8\x1bc."
    assert TerminalText().feed(links, final=True) == "link colour."


@given(WRITTEN, st.lists(st.integers(0, 200), max_size=8))
def test_text_does_not_depend_on_the_cuts(written: bytes, cuts: list[int]) -> None:
    whole = TerminalText().feed(written, final=True)
    text, bounds = TerminalText(), [0, *sorted(cut % (len(written) + 1) for cut in cuts), len(written)]
    pieces = [written[start:end] for start, end in pairwise(bounds)]
    assert "".join([text.feed(piece) for piece in pieces] + [text.feed(b"", final=True)]) == whole
    assert not any(character < " " and character not in "\n\t" for character in whole)


LINES = st.lists(st.text("ab€", max_size=30), max_size=60).map("\n".join)


@given(LINES, st.integers(1, 8), st.integers(4, 60), st.integers(1, 50))
def test_what_is_shown_is_the_tail_of_all_of_it(text: str, lines: int, size: int, step: int) -> None:
    limits = ToolLimits(lines=lines, bytes=size)
    data = text.encode()
    with TemporaryDirectory() as folder:
        output = CommandOutput(limits, Path(folder))
        for start in range(0, len(data), step):
            output.take(data[start : start + step])
            if output._held > size:
                output._trim()
        output.take(b"", final=True)
        cut = output.cut()
        assert cut == tail(text, limits)
        if cut.truncated:
            assert output.path is not None
            assert output.path.read_text() == text
        output.close(remove=not cut.truncated)
        assert len(list(Path(folder).iterdir())) == cut.truncated
