"""The Python scanner: against a byte-at-a-time machine on any input, against `json.loads` on JSON, at any border."""

import json
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from beyond_ai import Context, Scanner
from beyond_ai_plugins.scanners import python
from beyond_ai_plugins.scanners.python import PythonScanner


class ByteScanner:
    """The rules of the seam, one byte at a time, as plainly as they can be written."""

    def __init__(self) -> None:
        self.model: bytes | None = None
        self.depth = 0
        self.root_is_object = False
        self.key_due = False
        self.is_model = False
        self.role = ""
        self.escaped = False
        self.held = b""

    def feed(self, data: bytes) -> None:
        for byte in data:
            if self.model is not None:
                return
            if self.role:
                self.in_string(bytes([byte]))
            else:
                self.outside(bytes([byte]))

    def in_string(self, byte: bytes) -> None:
        if not self.escaped and byte == b"\\":
            self.escaped = True
        elif not self.escaped and byte == b'"':
            self.end_string()
        else:
            self.escaped = False
            self.held = (self.held + byte)[:256]

    def end_string(self) -> None:
        if self.role == "key":
            self.key_due, self.is_model = False, self.held == b"model"
        elif self.role == "value":
            self.model = self.held
        self.role = ""

    def outside(self, byte: bytes) -> None:
        in_root = self.depth == 1 and self.root_is_object
        if byte == b'"':
            self.held = b""
            self.role = "skipped"
            if in_root and self.key_due:
                self.role = "key"
            elif in_root and self.is_model:
                self.role = "value"
        elif byte in (b"{", b"["):
            if self.depth == 0:
                self.root_is_object = self.key_due = byte == b"{"
            self.is_model = False
            self.depth += 1
        elif byte in (b"}", b"]"):
            self.depth = max(0, self.depth - 1)
        elif byte == b"," and in_root:
            self.key_due, self.is_model = True, False


def scan(scanner: Scanner, chunks: Iterable[bytes]) -> bytes | None:
    for chunk in chunks:
        scanner.feed(chunk)
    return scanner.model


def in_sevens(data: bytes) -> list[bytes]:
    return [data[at : at + 7] for at in range(0, len(data), 7)]


def one_by_one(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


Model = Callable[[bytes], bytes | None]


@pytest.fixture(params=[lambda data: [data], one_by_one, in_sevens], ids=["whole", "bytes", "sevens"])
def model(request: pytest.FixtureRequest) -> Model:
    """The scanner's answer for a whole body, cut up in each of three ways."""
    return lambda body: scan(PythonScanner(), request.param(body))


FRAGMENTS = [
    *(b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b" ", b"\n", b"1", b"null", b"m", b"\xff"),
    *(b'"model"', b'"model":', b'"model":"m1"', b'"mod\\el":"m2"', b'"a":{', b'"b":[', b'{"model":"nested"}', b'"\\""'),
    *(
        b'"\\\\"',
        b'"c":"d",',
        b'"e":[1,{"f":"\\"]}"}],',
        b'"' + b"k" * 300 + b'"',
        b"data: ",
        b"x" * 255,
        b"\\\\" * 130,
    ),
]
malformed = st.lists(st.sampled_from(FRAGMENTS) | st.binary(max_size=3), max_size=40).map(b"".join)


@st.composite
def cut_up(draw: st.DrawFn, data: bytes) -> list[bytes]:
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=8)))
    return [data[start:stop] for start, stop in pairwise([0, *cuts, len(data)])]


@given(malformed, st.data())
@example(b'{"a":"\\\\","model":"m"}', None)
@example(b'{"a\\\\":1,"model":2,"model":{"model":"n"},"model":"m"}', None)
def test_every_input_in_every_cut_is_what_the_byte_machine_makes_of_it(body: bytes, data: st.DataObject | None) -> None:
    expected = scan(ByteScanner(), [body])
    cuts: Iterator[list[bytes]] = iter([[body], one_by_one(body), in_sevens(body)])
    for chunks in cuts:
        assert scan(PythonScanner(), chunks) == expected
    if data is not None:
        assert scan(PythonScanner(), data.draw(cut_up(body))) == expected


def backslashes_dropped(written: bytes) -> bytes:
    kept, at = bytearray(), 0
    while at < len(written):
        at += written[at] == ord("\\")
        kept.append(written[at])
        at += 1
    return bytes(kept)


names = st.sampled_from(["model", "messages", "Model", "mode", "models", ""]) | st.text(max_size=5)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12) | st.just("gpt"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=25,
)


@given(st.dictionaries(names, values, max_size=6) | values, st.sampled_from([None, 2]), st.data())
def test_json_gives_the_root_member(body: object, indent: int | None, data: st.DataObject) -> None:
    text = json.dumps(body, ensure_ascii=False, indent=indent)
    found = scan(PythonScanner(), data.draw(cut_up(text.encode())))
    wanted = json.loads(text).get("model") if isinstance(body, dict) else None
    if isinstance(wanted, str):
        assert found == backslashes_dropped(json.dumps(wanted, ensure_ascii=False)[1:-1].encode())[:256]
    else:
        assert found is None


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"model":"gpt-4o"}', b"gpt-4o"),
        (b'{"messages":[{"model":"no"}],"model" : "m"}', b"m"),
        (b'[{"model":"no"}]', None),
        (b'"{\\"model\\":\\"no\\"}"', None),
        (b'{"model":"first","model":"second"}', b"first"),
        (b'{"model":5,"x":1,"model":"later"}', b"later"),
        (b'{"model":{"model":"inner","x":"y"},"n":"z"}', None),
        (b'{"model":["a"],"model":null,"model":"b"}', b"b"),
        (b'{"a\\"b":1,"model":"m"}', b"m"),
        (b'{"model":"a\\/b"}', b"a/b"),
        (b'{"model":"\\u0041"}', b"u0041"),
        (b'{"mod\\el":"m"}', b"m"),
        (b'{"mod\\u0065l":"m"}', None),
        (b'{"model":""}', b""),
        (b'{"model":"unfinished', None),
        (b'{"model":"\xff\xfe"}', b"\xff\xfe"),
        (b'text before {"model":"m"}', b"m"),
        (b'{"id":1}\n{"model":"m"}', b"m"),
        (b"", None),
    ],
)
def test_rules(model: Model, body: bytes, expected: bytes | None) -> None:
    assert model(body) == expected


@pytest.mark.parametrize("length", [255, 256, 257, 5000])
def test_a_value_is_cut_at_256_bytes(model: Model, length: int) -> None:
    assert model(b'{"model":"%b"}' % (b"v" * length)) == b"v" * min(length, 256)


@pytest.mark.parametrize("length", [250, 251, 252, 5000])
def test_a_long_key_only_misses(model: Model, length: int) -> None:
    assert model(b'{"model%b":"no","model":"yes"}' % (b"x" * length)) == b"yes"


def test_escapes_do_not_count_toward_the_256_bytes(model: Model) -> None:
    assert model(b'{"model":"%b"}' % (b"\\v" * 300)) == b"v" * 256


def test_what_is_held_does_not_grow_with_the_body() -> None:
    scanner = PythonScanner()
    scanner.feed(b'{"model":"')
    for _ in range(100):
        scanner.feed(b"v" * 65536)
    assert len(scanner._held) == 256
    scanner.feed(b'"')
    assert scanner.model == b"v" * 256


def test_nothing_is_read_after_the_model() -> None:
    scanner = PythonScanner()
    scanner.feed(b'{"model":"a",')
    scanner.feed(b'"model":"b"}{"model":"c"}')
    assert scanner.model == b"a"


HOSTILE = [
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
    b'""',
]


@pytest.mark.parametrize("unit", HOSTILE, ids=repr)
@pytest.mark.parametrize("start", [b"", b'{"a":', b"{"], ids=repr)
def test_no_input_costs_more_than_linear_time(start: bytes, unit: bytes) -> None:
    """128 KiB cost 0.2 s of CPU at worst; going back over the input for each token takes eight."""
    body = start + unit * (131072 // len(unit))
    began = time.process_time()
    scan(PythonScanner(), [body])
    assert time.process_time() - began < 2


def test_it_is_offered_with_the_lowest_preference() -> None:
    (component,) = python.beyond_scanners()
    factory = component.create(Context())
    assert (component.name, factory.preference) == ("python", 0)
    assert isinstance(factory.scanner(), Scanner)
    assert factory.scanner() is not factory.scanner()
