"""What every scanner keeps to: what it says is what `json.loads` says, wherever the chunks of a body end."""

import json
import random
import re
import tracemalloc
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from beyond_ai.spec.scanner import Scanner, ScannerFactory
from beyond_ai.testing.conformance.reference_scanner import ByteScanner, Reading, read, reading
from beyond_ai.testing.conformance.rule import ComponentConformance
from beyond_ai.testing.conformance.scanner_bodies import (
    FRAGMENTS,
    SPACE,
    Pairs,
    cut,
    cut_up,
    dropped,
    inputs,
    objects,
    values,
    written,
)
from beyond_ai.testing.conformance.scanner_rules import NewScanner, ScannerRules

HELD: Final = 16_384
"""Bytes that a scanner may hold of a body, however long it is."""


class ScannerConformance(ScannerRules, ComponentConformance[ScannerFactory]):
    """The rules of scanners.

    class TestMine(ScannerConformance):
        plugin = "mine"
    """

    kind = "scanner"

    @pytest.fixture
    def new_scanner(self, tmp_path: Path) -> NewScanner:
        """How to make a scanner for one body."""
        return self.make(tmp_path).scanner

    def test_each_body_has_its_own(self, new_scanner: NewScanner) -> None:
        """Many are under way at once."""
        first, second = new_scanner(), new_scanner()
        self.require(isinstance(first, Scanner), "a factory makes scanners", "ScannerFactory.scanner", type(first))
        first.feed(b'{"model":"one"')
        second.feed(b'{"model":"two"')
        found = (first.model, second.model)
        self.require(found == (b"one", b"two"), "each body has a scanner of its own", "ScannerFactory.scanner", found)

    def test_every_input_in_every_cut(self, new_scanner: NewScanner) -> None:
        """After each chunk of any input it says what a scanner says that goes byte by byte and keeps all."""

        @settings(max_examples=400, deadline=None, report_multiple_bugs=False)
        @given(body=inputs | inputs.map(b"{".__add__), data=st.data())
        @example(body=b'{"a":"\\\\","model":"m"}', data=None)
        @example(body=b'{"a\\\\":1,"model":2,"model":{"model":"n"},"model":"m"}', data=None)
        @example(
            body=b'{"stream_options" x "a" {} y , "stream":true}{"stream":false,"stream_options":1,"model":"m"}',
            data=None,
        )
        def check(body: bytes, data: st.DataObject | None) -> None:
            for chunks in (
                [body],
                cut(body, 1),
                cut(body, 7),
                *([data.draw(cut_up(body))] if data is not None else []),
            ):
                assert _readings(new_scanner(), chunks) == _readings(ByteScanner(), chunks)

        check()

    def test_long_inputs(self, new_scanner: NewScanner) -> None:
        """What hypothesis seldom makes: many blocks, whose borders fall everywhere, quotes and backslashes in each."""
        source = random.Random(3)  # noqa: S311 - the same inputs each time
        for _ in range(60):
            alphabet = source.choices(FRAGMENTS, k=source.randint(3, 12))
            body = b'{"a":' + b"".join(source.choices(alphabet, k=source.randint(50, 400)))
            chunks = cut(body[:8000], source.choice([63, 64, 65, 100, 4096, 8000]))
            assert read(new_scanner(), chunks) == read(ByteScanner(), chunks)

    def test_the_members_of_the_root(self, new_scanner: NewScanner) -> None:
        """On valid JSON it says what `json.loads` says of the root's members."""
        roots = objects(values, size=8) | objects(values, size=8) | values

        @settings(max_examples=200, deadline=None, report_multiple_bugs=False)
        @given(before=SPACE, root=roots, after=SPACE, data=st.data())
        def check(before: str, root: str, after: str, data: st.DataObject) -> None:
            body = (before + root + after).encode()
            for chunks in ([body], cut(body, 1), cut(body, 7), data.draw(cut_up(body))):
                _check(new_scanner(), chunks)

        check()

    def test_a_body_that_is_cut_off_has_no_end(self, new_scanner: NewScanner) -> None:
        """`root_end` is what tells a whole body."""

        @settings(max_examples=50, deadline=None, report_multiple_bugs=False)
        @given(root=objects(values, size=8), data=st.data())
        def check(root: str, data: st.DataObject) -> None:
            body = root.encode()
            body = body[: data.draw(st.integers(0, len(body) - 1))]
            assert read(new_scanner(), data.draw(cut_up(body))).root_end == -1

        check()

    @pytest.mark.parametrize("unit", [b"v", b" ", b"\\", b"[", b'"a",'], ids=repr)
    def test_what_is_held_does_not_grow_with_the_body(self, new_scanner: NewScanner, unit: bytes) -> None:
        """Constant memory: bodies may be of hundreds of megabytes."""
        for start in (b"", b'{"model":"', b'{"', b'{"stream_options":"'):
            scanner, chunk = new_scanner(), unit * (HELD // len(unit))
            scanner.feed(start)
            tracemalloc.start()
            try:
                for _ in range(4):
                    scanner.feed(chunk)
                held, _ = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            self.require(
                held < HELD,
                f"a scanner holds at most {HELD} bytes of a body",
                "Scanner.feed",
                f"{held} after {start!r}",
            )


def _readings(scanner: Scanner, chunks: Iterable[bytes]) -> list[Reading]:
    found = []
    for chunk in chunks:
        scanner.feed(chunk)
        found.append(reading(scanner))
    return found


def _check(scanner: Scanner, chunks: list[bytes]) -> None:
    body = b"".join(chunks)
    found = read(scanner, chunks)
    root = json.loads(body, object_pairs_hook=list)
    pairs: Pairs = root if body.lstrip().startswith(b"{") else []
    models = [value for key, value in pairs if key == "model" and isinstance(value, str)]
    assert found.model == (dropped(written(models[0]))[:256] if models else None)
    streams = [value for key, value in pairs if key == "stream"]
    assert found.stream is (streams[-1] if streams and isinstance(streams[-1], bool) else None)
    options = [body[start:end] for start, end in found.options]
    assert [json.loads(value, object_pairs_hook=list) for value in options] == [
        value for key, value in pairs if key == "stream_options"
    ]
    assert all(value == value.strip() for value in options)
    assert found.open_option == -1
    assert found.root_end == (len(body.rstrip()) - 1 if body.lstrip().startswith(b"{") else -1)
    assert found.root_empty == (not pairs)
    assert found.words == len(re.findall(rb"[A-Za-z] ", body))
