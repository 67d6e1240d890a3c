"""Whatever coding a provider uses, the tap gets the decoded body, and a hostile one costs little."""

import gzip
import json
import random
import sys
import tracemalloc
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import brotli  # type: ignore[import-untyped]
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from beyond_ai.gateway.decoding import (
    BURST_BYTES,
    MAX_DECODED,
    RATIO,
    STEP_BYTES,
    ZSTD_WINDOW_LOG,
    DecodingTap,
    decoding_tap,
)
from beyond_ai.gateway.tap import Tap
from beyond_ai.gateway.usage import parse_usage, wire_of
from beyond_ai.registry import PluginPolicy, load
from beyond_ai.spec.provider import Provider

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CORPUS = Path(__file__).parents[4] / "shared" / "corpus"


def deflate(data: bytes, wbits: int) -> bytes:
    engine = zlib.compressobj(wbits=wbits)
    return engine.compress(data) + engine.flush()


def raw_deflate(data: bytes) -> bytes:
    return deflate(data, -15)


def br(data: bytes) -> bytes:
    compressed = brotli.compress(data, quality=5)
    assert isinstance(compressed, bytes)
    return compressed


ENCODERS: Mapping[str, tuple[bytes, Callable[[bytes], bytes]]] = {
    "gzip": (b"gzip", gzip.compress),
    "x-gzip": (b"x-gzip", gzip.compress),
    "deflate": (b"deflate", zlib.compress),
    "raw deflate": (b"deflate", raw_deflate),
    "br": (b"br", br),
    "zstd": (b"zstd", zstd.compress),
    "two": (b"gzip, br", lambda data: br(gzip.compress(data))),
    "three": (b"zstd,deflate ,\tgzip", lambda data: gzip.compress(raw_deflate(zstd.compress(data)))),
}
EVENTS = b"".join(b'data: {"id":"chatcmpl-1","choices":[{"delta":{"content":"%d"}}]}\n\n' % n for n in range(900))
FACTORS = list(ENCODERS)

each_coding = pytest.mark.parametrize("coding", FACTORS)
members = pytest.mark.parametrize("coding", ["gzip", "zstd"])


class Recorder:
    """A tap that keeps everything, and the sizes of what it was fed. No subclass: `Tap` may be compiled."""

    def __init__(self) -> None:
        self.fed: list[bytes] = []

    def feed(self, data: bytes) -> None:
        self.fed.append(data)

    @property
    def length(self) -> int:
        return len(self.body)

    @property
    def body(self) -> bytes:
        return b"".join(self.fed)


def opened(content_encoding: bytes, tap: Recorder | Tap) -> DecodingTap:
    decoding = decoding_tap(content_encoding, cast("Tap", tap))
    assert decoding is not None
    return decoding


def decoded(content_encoding: bytes, chunks: Iterable[bytes]) -> tuple[bytes, DecodingTap]:
    tap = Recorder()
    decoding = opened(content_encoding, tap)
    for chunk in chunks:
        decoding.feed(chunk)
    decoding.end()
    assert max(map(len, tap.fed), default=0) <= STEP_BYTES
    return tap.body, decoding


def split(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def encoded(coding: str, data: bytes) -> tuple[bytes, bytes]:
    header, encode = ENCODERS[coding]
    return header, encode(data)


# Whole bodies


@each_coding
@pytest.mark.parametrize("size", [1, 7, 4096, 1 << 30])
@pytest.mark.parametrize(
    "body", [b"", b"{}", EVENTS, bytes(range(256)) * 1500], ids=["empty", "small", "events", "long"]
)
def test_a_body_however_it_is_cut(coding: str, size: int, body: bytes) -> None:
    header, data = encoded(coding, body)
    result, decoding = decoded(header, split(data, size))
    assert result == body
    assert (decoding.failed, decoding.reason, decoding.complete) == (False, None, True)


@each_coding
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_random_cuts(coding: str, data: st.DataObject) -> None:
    pieces = data.draw(st.lists(st.binary(max_size=300), max_size=8))
    body = b"".join(piece * data.draw(st.integers(1, 400)) for piece in pieces)
    header, compressed = encoded(coding, body)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(compressed)), max_size=12)))
    borders = [0, *cuts, len(compressed)]
    chunks = [compressed[start:end] for start, end in pairwise(borders)]
    result, decoding = decoded(header, chunks)
    assert result == body
    assert decoding.complete


@pytest.mark.parametrize("size", [STEP_BYTES - 1, STEP_BYTES, STEP_BYTES + 1, 2 * STEP_BYTES, 2 * STEP_BYTES + 1])
@each_coding
def test_outputs_around_the_size_of_a_step(coding: str, size: int) -> None:
    for body in (b"x" * size, random.Random(1).randbytes(size)):
        header, data = encoded(coding, body)
        assert decoded(header, [data])[0] == body


@pytest.mark.parametrize("header", [b"", b" ", b"identity", b"Identity", b"identity, identity", b" , "])
def test_a_body_that_is_not_encoded(header: bytes) -> None:
    assert decoding_tap(header, Tap()) is None


@pytest.mark.parametrize(
    "header", [b"GZip", b" gzip ", b"gzip,", b"identity, gzip", b"identity,gzip,identity,,identity"]
)
def test_ways_to_write_the_header(header: bytes) -> None:
    assert decoded(header, [gzip.compress(EVENTS)])[0] == EVENTS


def test_codings_are_undone_last_first() -> None:
    body, decoding = decoded(b"gzip, br", [gzip.compress(br(EVENTS))])
    assert (body, decoding.reason) == (b"", "broken br data: brotli: decoder failed")


@each_coding
def test_an_answer_without_a_body_is_complete(coding: str) -> None:
    body, decoding = decoded(ENCODERS[coding][0], [])
    assert (body, decoding.failed, decoding.complete) == (b"", False, True)


# Streams that are flushed


def flushed(coding: str, events: Iterable[bytes]) -> Iterator[bytes]:
    if coding == "br":
        compressor = brotli.Compressor(quality=5)
        for event in events:
            yield compressor.process(event) + compressor.flush()
    elif coding == "zstd":
        frame = zstd.ZstdCompressor()
        for event in events:
            yield frame.compress(event, mode=zstd.ZstdCompressor.FLUSH_BLOCK)
    else:
        engine = zlib.compressobj(wbits={"gzip": 31, "deflate": 15, "raw deflate": -15}[coding])
        for event in events:
            yield engine.compress(event) + engine.flush(zlib.Z_SYNC_FLUSH)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "raw deflate", "br", "zstd"])
@pytest.mark.parametrize("size", [1, 1 << 30])
def test_a_stream_is_seen_up_to_its_last_flush(coding: str, size: int) -> None:
    events = EVENTS.splitlines(keepends=True)[:200]
    tap = Recorder()
    decoding = opened(ENCODERS[coding][0], tap)
    expected = b""
    for event, chunk in zip(events, flushed(coding, events), strict=True):
        for part in split(chunk, size):
            decoding.feed(part)
        expected += event
        assert tap.body == expected
    decoding.end()
    assert (decoding.failed, decoding.complete) == (False, False)


@members
@pytest.mark.parametrize("size", [1, 7, 1 << 30])
def test_members_one_after_the_other(coding: str, size: int) -> None:
    header, encode = ENCODERS[coding]
    data = b"".join(encode(event + b"\n\n") for event in EVENTS.split(b"\n\n")[:-1])
    body, decoding = decoded(header, split(data, size))
    assert body == EVENTS
    assert decoding.complete


@pytest.mark.parametrize("size", [1, 1 << 30])
def test_skippable_zstd_frames(size: int) -> None:
    skipped = b"\x5e\x2a\x4d\x18\x05\0\0\0 note"
    data = skipped + zstd.compress(b"one ") + skipped + zstd.compress(b"two") + skipped
    assert decoded(b"zstd", split(data, size))[0] == b"one two"


@members
@pytest.mark.parametrize("size", [1, 1 << 30])
@pytest.mark.parametrize("garbage", [b"\0" * 600, b"\x1f", b"(", b"</html>"])
def test_what_follows_the_last_member_is_ignored(coding: str, size: int, garbage: bytes) -> None:
    header, data = encoded(coding, EVENTS)
    body, decoding = decoded(header, split(data + garbage, size))
    assert (body, decoding.failed, decoding.complete) == (EVENTS, False, True)


@pytest.mark.parametrize("coding", ["deflate", "raw deflate"])
def test_what_follows_a_deflate_stream_is_ignored(coding: str) -> None:
    header, data = encoded(coding, EVENTS)
    for chunks in ([data + data], [data, data], split(data + b"\0\0", 1)):
        body, decoding = decoded(header, chunks)
        assert (body, decoding.complete) == (EVENTS, True)


def test_what_follows_a_brotli_stream_in_chunks_of_its_own_is_ignored() -> None:
    body, decoding = decoded(b"br", [br(EVENTS), b"garbage"])
    assert (body, decoding.complete) == (EVENTS, True)


def test_what_follows_a_brotli_stream_in_the_same_chunk_is_an_error_to_its_library() -> None:
    body, decoding = decoded(b"br", [br(EVENTS) + b"garbage"])
    assert EVENTS.startswith(body)
    assert decoding.reason == "broken br data: brotli: decoder failed"


# Data that cannot be decoded


@each_coding
def test_truncated_data_counts_as_far_as_it_goes(coding: str) -> None:
    body = b"".join(b"%d " % (n * n) for n in range(200_000))
    header, data = encoded(coding, body)
    for length in (1, len(data) // 2, len(data) - 1):
        result, decoding = decoded(header, split(data[:length], 1000))
        assert body.startswith(result)
        assert (decoding.failed, decoding.complete) == (False, False)
        if length > 1:
            assert len(result) > len(body) // 4


@each_coding
def test_broken_data_ends_decoding_for_good(coding: str) -> None:
    body = b"".join(b"%d " % (n * n) for n in range(40_000))
    header, data = encoded(coding, body)
    half = len(data) // 2
    tap = Recorder()
    decoding = opened(header, tap)
    for chunk in split(data[:half], 1000):
        decoding.feed(chunk)
    good = tap.length
    assert good > 0
    for chunk in split(random.Random(1).randbytes(300_000), 1000):
        decoding.feed(chunk)
    assert decoding.failed
    assert decoding.reason is not None
    assert "broken" in decoding.reason
    length = tap.length
    decoding.feed(data[half:])
    decoding.end()
    assert (tap.length, decoding.complete) == (length, False)
    assert tap.body[:good] == body[:good]


@each_coding
def test_a_body_that_is_plain_in_spite_of_its_header(coding: str) -> None:
    body, decoding = decoded(ENCODERS[coding][0], [b'{"usage":{"input_tokens":1}}'])
    assert (body, decoding.failed, decoding.complete) == (b"", True, False)


def test_a_wrong_checksum() -> None:
    data = bytearray(gzip.compress(EVENTS * 10))
    data[-8] ^= 1
    body, decoding = decoded(b"gzip", [bytes(data)])
    assert (EVENTS * 10).startswith(body)
    assert decoding.reason == "broken gzip data: Error -3 while decompressing data: incorrect data check"


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (b"compress", "unknown content coding 'compress'"),
        (b"gzip, aws-chunked", "unknown content coding 'aws-chunked'"),
        (b"\xff\n" + b"x" * 99, "unknown content coding '\\\\xff\\n" + "x" * 30 + "'"),
        (b"gzip, gzip, gzip, gzip", "the body has 4 codings, and at most 3 are decoded"),
    ],
)
def test_codings_that_are_not_decoded(header: bytes, reason: str) -> None:
    body, decoding = decoded(header, [gzip.compress(EVENTS)])
    assert (body, decoding.failed, decoding.complete) == (b"", True, False)
    assert decoding.reason == reason


@each_coding
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_damaged_data_never_raises(coding: str, data: st.DataObject) -> None:
    header, compressed = encoded(coding, EVENTS)
    damaged = bytearray(compressed)
    for _ in range(data.draw(st.integers(1, 6))):
        position = data.draw(st.integers(0, len(damaged)))
        damaged[position : position + data.draw(st.integers(0, 40))] = data.draw(st.binary(max_size=8))
    size = data.draw(st.sampled_from([1, 50, 1 << 30]))
    body, decoding = decoded(header, split(bytes(damaged), size))
    assert len(body) <= BURST_BYTES + RATIO * len(damaged)
    assert not (decoding.failed and decoding.complete)


@settings(deadline=None)
@given(st.sampled_from([b"gzip", b"deflate", b"br", b"zstd", b"br, zstd"]), st.lists(st.binary(max_size=200)))
def test_anything_at_all_never_raises(header: bytes, chunks: list[bytes]) -> None:
    decoded(header, chunks)


# Bounds


def gzip_bomb() -> Iterator[bytes]:
    """10 MB that expand to 10 GB."""
    engine = zlib.compressobj(9, wbits=-15)
    block = engine.compress(bytes(10 << 20)) + engine.flush(zlib.Z_FULL_FLUSH)
    yield gzip.compress(b"")[:10]
    yield from split(block * 1000, 65536)


def br_bomb() -> Iterator[bytes]:
    yield br(bytes(256 << 20))


def zstd_bomb() -> Iterator[bytes]:
    """Blocks of four bytes that stand for 128 KiB each."""
    window = (ZSTD_WINDOW_LOG - 10) << 3
    block = (2 | 131_072 << 3).to_bytes(3, "little") + b"\0"
    yield b"\x28\xb5\x2f\xfd\0" + bytes([window])
    yield from split(block * 100_000, 65536)


def nested_bomb() -> Iterator[bytes]:
    yield from split(gzip.compress(b"".join(gzip_bomb())), 65536)


def beginnings(member: bytes) -> Iterator[bytes]:
    return split(member * (4_000_000 // len(member)), 65536)


BOMBS: Mapping[str, tuple[bytes, Callable[[], Iterator[bytes]]]] = {
    "gzip": (b"gzip", gzip_bomb),
    "br": (b"br", br_bomb),
    "zstd": (b"zstd", zstd_bomb),
    "nested": (b"gzip, gzip", nested_bomb),
    "gzip members": (b"gzip", lambda: beginnings(gzip.compress(b""))),
    "zstd frames": (b"zstd", lambda: beginnings(zstd.compress(b""))),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_costs_little(bomb: str) -> None:
    header, make = BOMBS[bomb]
    chunks = list(make())
    tap = Tap()
    decoding = opened(header, tap)
    tracemalloc.start()
    try:
        for chunk in chunks:
            decoding.feed(chunk)
            if decoding.failed:
                break
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert decoding.reason == f"the body expands to more than {RATIO} times its size"
    assert tap.length <= BURST_BYTES + RATIO * 65536
    # The tap's 136 KiB, once more while it lets go of its middle, and a few steps.
    assert peak < 640 << 10


def test_one_feed_decodes_no_more_than_a_burst_and_the_ratio() -> None:
    """However much was earned by data that did not expand."""
    noise = random.Random(1).randbytes(4 << 20)
    engine = zlib.compressobj(wbits=31)
    tap = Tap()
    decoding = opened(b"gzip", tap)
    for chunk in split(engine.compress(noise) + engine.flush(zlib.Z_FULL_FLUSH), 65536):
        decoding.feed(chunk)
    before = tap.length
    assert (before, decoding.reason) == (len(noise), None)
    for chunk in split(engine.compress(bytes(100 << 20)) + engine.flush(), 65536):
        decoding.feed(chunk)
    assert decoding.failed
    assert tap.length - before <= BURST_BYTES + RATIO * 65536


def test_there_is_a_bound_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_DECODED == 512 << 20
    monkeypatch.setattr("beyond_ai.gateway.decoding.MAX_DECODED", 1 << 20)
    tap = Tap()
    decoding = opened(b"gzip", tap)
    decoding.feed(gzip.compress(bytes(2 << 20)))
    assert decoding.reason == "the body expands to more than 1 MiB"
    assert tap.length <= 1 << 20


def test_a_zstd_window_that_is_larger_than_http_allows() -> None:
    for window, fails in ((ZSTD_WINDOW_LOG, False), (ZSTD_WINDOW_LOG + 1, True)):
        compressor = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: window})
        body, decoding = decoded(b"zstd", [compressor.compress(EVENTS) + compressor.flush()])
        assert decoding.failed is fails
        assert body == (b"" if fails else EVENTS)


@each_coding
def test_a_long_answer_of_embeddings_passes(coding: str) -> None:
    vector = [0.0123456789, -0.98765432, 0.5] * 512
    entries = [{"object": "embedding", "index": n, "embedding": [n, *vector]} for n in range(1000)]
    body = json.dumps({"data": entries, "usage": {"prompt_tokens": 9, "total_tokens": 9}}).encode()
    header, data = encoded(coding, body)
    assert len(body) > 15 << 20
    tap = Tap()
    decoding = opened(header, tap)
    for chunk in split(data, 65536):
        decoding.feed(chunk)
    decoding.end()
    assert (decoding.reason, decoding.complete, tap.length) == (None, True, len(body))
    assert tap.tail() == body[-64 * 1024 :]


# Recorded answers


@cache
def providers() -> Mapping[str, Provider]:
    return load(("provider",), PluginPolicy(third_party=False)).providers()


def recordings() -> list[dict[str, Any]]:
    return [json.loads(line) for line in (CORPUS / "index.jsonl").read_text("utf-8").splitlines()]


@pytest.mark.skipif(not (CORPUS / "index.jsonl").is_file(), reason="the recorded answers are not here")
@pytest.mark.parametrize("coding", [*FACTORS, "flushed br", "flushed gzip", "flushed zstd"])
def test_recorded_answers_are_metered_as_when_they_are_plain(coding: str) -> None:
    for row in recordings():
        body = (CORPUS / row["file"]).read_bytes()
        plain, tap = Tap(), Tap()
        plain.feed(body)
        kind = coding.removeprefix("flushed ")
        header, encode = ENCODERS[kind]
        chunks = split(encode(body), 997) if kind == coding else flushed(kind, split(body, 3000))
        decoding = opened(header, tap)
        for chunk in chunks:
            decoding.feed(chunk)
        decoding.end()
        assert not decoding.failed
        wire = wire_of(row["endpoint"].encode())
        assert wire is not None
        quirk = providers()[row["provider"]].usage
        usage = parse_usage(wire, row["streaming"], tap, complete=decoding.complete, quirk=quirk)
        as_plain = parse_usage(wire, row["streaming"], plain, complete=decoding.complete, quirk=quirk)
        assert usage == as_plain, row["file"]
        if row["expected"]:
            assert usage.input_tokens == row["expected"]["input_tokens"]
            assert usage.output_tokens == row["expected"]["output_tokens"]
