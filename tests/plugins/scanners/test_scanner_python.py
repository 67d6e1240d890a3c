"""What is true of the Python scanner alone: what it holds, and that it goes over no input twice."""

import sys
import time

import pytest

from beyond_ai import Context, Scanner
from beyond_ai.testing.conformance.reference_scanner import read
from beyond_ai_plugins.scanners import python
from beyond_ai_plugins.scanners.python.machine import UNCOUNTED_BYTES, PythonScanner


@pytest.mark.parametrize(
    "start", [b"", b"[", b'{"model":"', b'{"', b'{"stream":', b'{"stream_options":"'], ids=lambda start: start.decode()
)
@pytest.mark.parametrize("unit", [b"v", b" ", b"\\"], ids=repr)
def test_what_is_held_does_not_grow_with_the_body(start: bytes, unit: bytes) -> None:
    scanner = PythonScanner()
    scanner.feed(start)
    for _ in range(20):
        scanner.feed(unit * 65536)
        scanner.feed(unit * UNCOUNTED_BYTES)
    held = [getattr(scanner, name) for name in PythonScanner.__slots__]
    assert sum(sys.getsizeof(value) for value in held if value is not None) < UNCOUNTED_BYTES + 2500


HOSTILE = [
    *(
        b"[",
        b"[1,",
        b'{"a":[',
        b"[]",
        b"[[],",
        b",",
        b'"",',
        b'"',
        b'"\\',
        b'"\\",',
        b'"\\\\\\"',
        b"{[[",
        b'"a" ',
        b"}",
    ),
    *(b'""', b" ", b'"stream":true,', b'"stream":', b'"stream_options":{},', b'"stream_options":[', b'"model":"m",'),
]


@pytest.mark.parametrize("unit", HOSTILE, ids=repr)
@pytest.mark.parametrize("start", [b"", b'{"a":', b"{", b'{"stream_options":'], ids=repr)
def test_no_input_costs_more_than_linear_time(start: bytes, unit: bytes) -> None:
    """128 KiB cost 0.2 s of CPU at worst; going back over the input for each token takes eight."""
    body = start + unit * (131072 // len(unit))
    began = time.process_time()
    read(PythonScanner(), [body])
    assert time.process_time() - began < 2


def test_it_is_offered_with_the_lowest_preference() -> None:
    (component,) = python.beyond_scanners()
    factory = component.create(Context())
    assert (component.name, factory.preference) == ("python", 0)
    assert isinstance(factory.scanner(), Scanner)
    assert factory.scanner() is not factory.scanner()
