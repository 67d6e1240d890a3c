"""Every scanner on any input, cut anywhere, says what the byte-at-a-time machine says, after each chunk."""

import random
from collections.abc import Iterable

from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.plugins.scanners.backends import each_backend, new_scanner
from tests.plugins.scanners.cuts import cut, cut_up
from tests.plugins.scanners.machine import ByteScanner, Reading, reading

FRAGMENTS = [
    *(
        b'"',
        b"\\",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b" ",
        b"\n",
        b"1",
        b"null",
        b"m",
        b"\xff",
        b"@",
        b"`",
        b"z",
        b"\0",
    ),
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
    *(
        b'"stream"',
        b'"stream" : true ,',
        b'"str\\u0065am":false',
        b'"stream":tru',
        b"e",
        b"true",
        b"false",
        b",{",
        b"]{",
    ),
    *(b'"stream_options"', b'"stream_options":{"include_usage":true},', b'"stream\\u005Foptions" : null \n,', b"a B "),
    b'"%b":"x",' % b"".join(b"\\u%04x" % letter for letter in b"stream_options"),
    b'"%b":1,' % b"".join(b"\\u%04x" % letter for letter in b"stream_optionss"),
    *(
        b'"\\stream":true,',
        b'"stre\\u00e1m":true,',
        b'"\\u006dodel":"no",',
        b'"\\u0073\\\\tream":true,',
        b"{" * 70,
        b"}" * 70,
    ),
]
inputs = st.lists(st.sampled_from(FRAGMENTS) | st.binary(max_size=3), max_size=40).map(b"".join)


def readings(backend: str, chunks: Iterable[bytes]) -> list[Reading]:
    scanner = ByteScanner() if backend == "machine" else new_scanner(backend)
    found = []
    for chunk in chunks:
        scanner.feed(chunk)
        found.append(reading(scanner))
    return found


@each_backend
@settings(max_examples=400)
@given(body=inputs | inputs.map(b"{".__add__), data=st.data())
@example(body=b'{"a":"\\\\","model":"m"}', data=None)
@example(body=b'{"a\\\\":1,"model":2,"model":{"model":"n"},"model":"m"}', data=None)
@example(
    body=b'{"stream_options" x "a" {} y , "stream":true}{"stream":false,"stream_options":1,"model":"m"}', data=None
)
def test_every_input_in_every_cut(backend: str, body: bytes, data: st.DataObject | None) -> None:
    for chunks in ([body], cut(body, 1), cut(body, 7)):
        assert readings(backend, chunks) == readings("machine", chunks)
    if data is not None:
        chunks = data.draw(cut_up(body))
        assert readings(backend, chunks) == readings("machine", chunks)


@each_backend
def test_long_inputs(backend: str) -> None:
    """What hypothesis seldom makes: many blocks, whose borders fall everywhere, quotes and backslashes in each."""
    source = random.Random(3)
    for _ in range(60):
        alphabet = source.choices(FRAGMENTS, k=source.randint(3, 12))
        body = b'{"a":' + b"".join(source.choices(alphabet, k=source.randint(50, 400)))
        chunks = cut(body[:8000], source.choice([63, 64, 65, 100, 4096, 8000]))
        assert readings(backend, chunks)[-1] == readings("machine", chunks)[-1]
