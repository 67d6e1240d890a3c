"""The usage frame alone is withheld: against a model of the whole stream, at any border, on recorded streams."""

import json
import re
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from beyond_ai.gateway.withhold import MAX_FRAME, UsageFrameFilter

CORPUS = Path(__file__).parents[4] / "shared" / "corpus"

CHUNK = b'data: {"id":"c1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
USAGE = b'data: {"id":"c1","object":"chat.completion.chunk","choices":[],"usage":{"prompt_tokens":3}}\n\n'
DONE = b"data: [DONE]\n\n"


def through(*chunks: bytes) -> bytes:
    sieve = UsageFrameFilter()
    return b"".join([*map(sieve.feed, chunks), sieve.end()])


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def lines_of(stream: bytes) -> list[bytes]:
    """The lines of STREAM with what ends each."""
    return [line for line in re.findall(rb"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+", stream) if line]


def is_usage(frame: Iterable[bytes]) -> bool:
    data = b"\n".join(line.rstrip(b"\r\n")[5:] for line in frame if line.startswith(b"data:"))
    try:
        members: object = json.loads(data, object_pairs_hook=tuple)
    except ValueError:
        return False
    if not isinstance(members, tuple):
        return False
    # An object is now a tuple of pairs, an array still a list.
    choices = [value for name, value in members if name == "choices"]
    return choices != [] and all(value == [] for value in choices) and isinstance(dict(members).get("usage"), tuple)


def model(stream: bytes) -> bytes:
    """What the client shall see of STREAM, line by line with all of it at hand."""
    mark = b"\xef\xbb\xbf" if stream.startswith(b"\xef\xbb\xbf") else b""
    seen, frame = [mark], list[bytes]()
    for line in lines_of(stream.removeprefix(mark)):
        blank = not line.rstrip(b"\r\n")
        if not frame and (blank or line.startswith(b":")):
            seen.append(line)
            continue
        frame.append(line)
        if blank:
            seen += [] if is_usage(frame) else frame
            frame = []
    return b"".join(seen + ([] if is_usage(frame) else frame))


WITHHELD = [
    pytest.param(USAGE, id="as OpenAI writes it"),
    pytest.param(USAGE.replace(b"\n", b"\r\n"), id="CRLF"),
    pytest.param(USAGE.replace(b"\n", b"\r"), id="CR"),
    pytest.param(USAGE.replace(b'"choices":[]', b'"choices" : [ \t ]'), id="spaces"),
    pytest.param(USAGE.replace(b"data: ", b"data:"), id="no space after data:"),
    pytest.param(USAGE.replace(b"data: ", b"event: chunk\nid: 7\ndata:   "), id="other fields"),
    pytest.param(USAGE.replace(b'"choices":[]', b'"choices":[\ndata: ]'), id="several data lines"),
    pytest.param(USAGE.replace(b'"choices":[]', b'"choices":[\r\n: aside\r\ndata: ]'), id="a comment within"),
    pytest.param(b'data: {"usage":{"prompt_tokens":3,"x":[{"choices":[1]}]},"choices":[]}\n\n', id="usage first"),
    pytest.param(b'data: {"\\u0063hoices":[],"us\\u0061ge":{}}\n\n', id="escaped names"),
    pytest.param(b'data: {"a":"\\"choices\\":[1]","choices":[],"usage":{}}\n\n', id="choices in a text"),
    pytest.param(b'data: {"a\\"choices":[1],"choices":[],"usage":{}}\n\n', id="a name that ends like it"),
]


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("frame", WITHHELD)
def test_a_usage_frame_is_withheld(frame: bytes, size: int) -> None:
    assert through(*cut(CHUNK + frame + DONE, size)) == CHUNK + DONE
    assert through(*cut(frame, size)) == b""
    assert through(*cut(CHUNK + frame.rstrip(b"\r\n"), size)) == CHUNK


PASSED = [
    pytest.param(CHUNK.replace(b"]}", b'],"usage":{"prompt_tokens":3}}'), id="usage beside choices"),
    pytest.param(b'data: {"choices":[],"prompt_filter_results":[{"index":0}]}\n\n', id="no usage"),
    pytest.param(b'data: {"choices":[],"usage":null}\n\n', id="usage null"),
    pytest.param(b'data: {"choices":[],"usage":[]}\n\n', id="usage an array"),
    pytest.param(b'data: {"choices":null,"usage":{}}\n\n', id="choices null"),
    pytest.param(b'data: {"x_groq":{"choices":[],"usage":{}}}\n\n', id="nested"),
    pytest.param(b'data: [{"choices":[],"usage":{}}]\n\n', id="an array"),
    pytest.param(b'data: {"choices":[{}],"choices":[],"usage":{}}\n\n', id="choices twice"),
    pytest.param(b'data: {"choices":[{"delta":{"content":"\\"choices\\":[],\\"usage\\":{}"}}]}\n\n', id="in a text"),
    pytest.param(b'data: {"choices":[],"usage":{}\n\n', id="not JSON"),
    pytest.param(b'data: {"choices":[],\ndata: "usage":{}}{}\n\n', id="more than JSON"),
    pytest.param(b': {"choices":[],"usage":{}}\n\n', id="a comment"),
    pytest.param(b": ping []\n\n: ping []\r\n", id="pings"),
    pytest.param(b'event: {"choices":[],"usage":{}}\n\n', id="an event's name"),
    pytest.param(b'dat: {"choices":[],"usage":{}}\n\n', id="another field"),
    pytest.param(USAGE.rstrip() + b"\n" + DONE, id="one event with [DONE]"),
    pytest.param(b"data: [DONE]\n\n\n\r\r", id="blank lines"),
    pytest.param(b"retry: 10\n\ndata\n\ndata:\n\n[]\n\n", id="frames without an object"),
    pytest.param(b"\n[]", id="no frame's end"),
    pytest.param(b"", id="nothing"),
]


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("frame", PASSED)
def test_any_other_frame_passes(frame: bytes, size: int) -> None:
    stream = CHUNK + frame + DONE if frame.endswith((b"\n", b"\r")) else CHUNK + frame
    assert through(*cut(stream, size)) == stream
    assert through(*cut(frame, size)) == frame


def test_chunks_of_whole_frames_are_not_copied() -> None:
    sieve = UsageFrameFilter()
    for data in (CHUNK, CHUNK + CHUNK, CHUNK.replace(b"Hi", b"a = []"), CHUNK.replace(b"\n", b"\r\n"), DONE):
        assert sieve.feed(data) is data


def test_only_the_frame_goes_and_what_stands_around_it_stays() -> None:
    mark = b"\xef\xbb\xbf"
    assert through(mark + USAGE + DONE) == mark + DONE
    assert through(mark + b": ping\n" + USAGE + b"\n: pong\n\n" + DONE) == mark + b": ping\n" + b"\n: pong\n\n" + DONE
    assert through(USAGE + mark + USAGE) == mark + USAGE, "a mark that is not first makes another field's name"
    assert through(USAGE.replace(b"\n", b"\r"), b"\n" + DONE) == DONE, "the LF belongs to the CR before it"
    assert through(USAGE.replace(b"\n", b"\r"), b"\n\n" + DONE) == b"\n" + DONE


@pytest.mark.parametrize(
    ("begun", "seen"),
    [
        pytest.param(CHUNK[:40], b"", id="may be anything"),
        pytest.param(USAGE[:-1], b"", id="usage so far"),
        pytest.param(CHUNK[: CHUNK.index(b"[{") + 1], b"", id="choices unknown"),
        pytest.param(CHUNK[: CHUNK.index(b"[{") + 2], CHUNK[: CHUNK.index(b"[{") + 2], id="a choice"),
        pytest.param(b'data: {"a":"\\"choices\\":[{', b"", id="a choice in a text"),
        pytest.param(b'data: {"a":{"choices":[{', b"", id="a choice deeper down"),
        pytest.param(b'data: {"choices":n', b'data: {"choices":n', id="choices null"),
        pytest.param(b": ping", b": ping", id="a comment"),
        pytest.param(b"data: [DON", b"data: [DON", id="no object"),
        pytest.param(CHUNK + b": ping\n" + CHUNK[:9], CHUNK + b": ping\n", id="what is before"),
        pytest.param(b"\xef\xbb\xbf", b"\xef\xbb\xbf", id="a byte order mark"),
    ],
)
def test_no_more_is_held_than_what_may_be_a_usage_frame(begun: bytes, seen: bytes) -> None:
    assert UsageFrameFilter().feed(begun) == seen
    sieve = UsageFrameFilter()
    assert b"".join(sieve.feed(piece) for piece in cut(begun, 1)) == seen


def test_a_frame_that_passes_is_relayed_as_it_comes() -> None:
    sieve = UsageFrameFilter()
    begun = CHUNK.index(b"[{") + 2
    assert sieve.feed(CHUNK[:begun]) == CHUNK[:begun]
    for piece in cut(CHUNK[begun:] * 2, 1)[: len(CHUNK) - begun]:
        assert sieve.feed(piece) == piece
    assert sieve.feed(USAGE[:-1]) == b""
    assert sieve.feed(USAGE[-1:] + DONE) == DONE


@pytest.mark.parametrize("size", [500, MAX_FRAME, 2 * MAX_FRAME])
def test_a_frame_longer_than_any_usage_frame_passes(size: int) -> None:
    padding = b"x" * (MAX_FRAME - len(USAGE) - len(b'"pad":"",'))
    longest = USAGE.replace(b'"id"', b'"pad":"%b","id"' % padding)
    assert len(longest) == MAX_FRAME
    assert through(*cut(CHUNK + longest + DONE, size)) == CHUNK + DONE
    longer = longest.replace(b"xx", b"xxx", 1)
    assert through(*cut(CHUNK + longer + DONE, size)) == CHUNK + longer + DONE


def test_what_is_held_is_bounded() -> None:
    sieve = UsageFrameFilter()
    passed = sieve.feed(b'data: {"')
    for fed in range(0, 2 * MAX_FRAME, 1024):
        passed += sieve.feed(b"x" * 1024)
        assert fed + 1024 + 8 - len(passed) <= MAX_FRAME
    assert len(passed) > MAX_FRAME


PIECES = [
    *(CHUNK, USAGE, DONE, b": ping\n", b": ping\n\n", b"\n", b"\r", b"\r\n", b"\n\n", b"\r\r", b"data: ", b"data:"),
    *(
        b'{"choices":[],"usage":{}}',
        b'{"choices":[',
        b"]",
        b',"usage":{',
        b"}",
        b"}}",
        b'{"usage":{},',
        b'"choices":[]}',
    ),
    *(b'{"choices":[{', b'"choices"', b'"usage"', b":", b",", b"{", b"[]", b'"', b"\\", b'"a":{"choices":[1]},'),
    *(
        b'{"choices":[],',
        b'"choices":null,',
        b'"usage":null}',
        b"\xef\xbb\xbf",
        b"\xef",
        b" ",
        b"event: x\n",
        b"x",
        b":",
    ),
]
STREAM = st.lists(st.sampled_from(PIECES), max_size=25).map(b"".join)


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_lines_may_come_one_by_one(end: bytes) -> None:
    two_lines = USAGE.replace(b'"choices"', b'\ndata: "choices"')
    stream = (DONE + CHUNK + two_lines + CHUNK + USAGE).replace(b"\n", end)
    assert through(*lines_of(stream)) == model(stream) == (DONE + CHUNK + CHUNK).replace(b"\n", end)


@settings(max_examples=400)
@given(STREAM, st.data())
@example(CHUNK + USAGE + DONE, None)
def test_every_stream_in_every_cut_is_what_the_model_makes_of_it(stream: bytes, data: st.DataObject | None) -> None:
    expected = model(stream)
    assert through(stream) == expected
    assert through(*cut(stream, 1)) == expected
    assert through(*cut(stream, 7)) == expected
    assert through(*re.findall(rb"(?s).*?\n\n|.+", stream)) == expected
    if data is not None:
        cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
        assert through(*(stream[start:stop] for start, stop in pairwise([0, *cuts, len(stream)]))) == expected


def recordings() -> list[str]:
    """The recorded chat streams, by their files."""
    index = CORPUS / "index.jsonl"
    if not index.is_file():
        return []
    rows = [json.loads(line) for line in index.read_text("utf-8").splitlines()]
    return [row["file"] for row in rows if row["streaming"] and row["kind"] == "chat/completions"]


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the recorded answers are not here")
def test_recorded_streams_lose_their_usage_frame_and_nothing_else() -> None:
    shortened = 0
    for name in recordings():
        stream = CORPUS.joinpath(name).read_bytes()
        frames = re.findall(rb"(?s).*?(?:\n\n|\r\n\r\n|\Z)", stream)
        expected = b"".join(frame for frame in frames if not is_usage(lines_of(frame)))
        assert model(stream) == expected
        for chunks in (cut(stream, 7), cut(stream, 1400), [stream], [stream[:-2000], *cut(stream[-2000:], 1)]):
            assert through(*chunks) == expected, name
        shortened += expected != stream
    assert shortened > 30
