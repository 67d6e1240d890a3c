"""Usage is asked for in every stream and in nothing else: against a model that knows a body's parts, at any border."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beyond_ai.errors import PluginError
from beyond_ai.gateway.include_usage import HOLD_BYTES, UsageForcer
from beyond_ai.registry import PluginPolicy, load
from beyond_ai.spec.component import Context
from beyond_ai.spec.scanner import Scanner

NewScanner = Callable[[], Scanner]


def scanners() -> Iterator[tuple[str, NewScanner]]:
    """Those that we ship, as far as they can be made here."""
    registry = load(("scanner",), PluginPolicy(third_party=False))
    for name in registry.scanners():
        try:
            yield name, registry.create("scanner", name, Context(), None).scanner
        except PluginError:
            assert name != "python"


each_scanner = pytest.mark.parametrize("new_scanner", [pytest.param(new, id=name) for name, new in scanners()])


def through(new_scanner: NewScanner, chunks: Sequence[bytes], hold: int | None = None) -> tuple[bytes, bool]:
    """What goes up when CHUNKS come in, and whether the extra frame is to be withheld."""
    forcer = UsageForcer(new_scanner(), hold)
    output = [*map(forcer.feed, chunks), forcer.end()]
    return b"".join(output), forcer.added


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


ASKING = b'{"include_usage":true}'
END = b',"stream_options":' + ASKING


def stream(options: bytes, name: bytes = b"stream_options") -> bytes:
    return b'{"model":"m", "%b" : %b ,"stream":true}' % (name, options)


OPTIONS = [
    # a value of stream_options, what it becomes, whether the client did not ask
    pytest.param(ASKING, ASKING, False, id="asks"),
    pytest.param(b'{ "include_usage" :\ttrue\r\n}', b'{ "include_usage" :\ttrue\r\n}', False, id="asks, spaced"),
    pytest.param(b'{"a":[{}],"include_usage":true}', b'{"a":[{}],"include_usage":true}', False, id="asks for more"),
    pytest.param(b'{"include\\u005fusage":true}', b'{"include\\u005fusage":true}', False, id="asks, escaped"),
    pytest.param(b'{"include_usage":false}', ASKING, True, id="false"),
    pytest.param(
        b'{"\xc3\xa9":"\xe2\x82\xac","include_usage":false,"b":"\xff"}',
        b'{"\xc3\xa9":"\xe2\x82\xac","include_usage":true,"b":"\xff"}',
        True,
        id="false, beside more than ASCII",
    ),
    pytest.param(b'{"include_usage": null }', b'{"include_usage": true }', True, id="null"),
    pytest.param(b'{"include_usage":{"a":[]}}', ASKING, True, id="an object"),
    pytest.param(b'{"include_usage":1,"b":2}', b'{"include_usage":true,"b":2}', True, id="a number"),
    pytest.param(b'{"include_usage":"true"}', ASKING, True, id="a string"),
    pytest.param(b'{"i\\u006eclude_usage":false}', b'{"i\\u006eclude_usage":true}', True, id="escaped"),
    pytest.param(b"{}", ASKING, True, id="empty"),
    pytest.param(b"{ \n}", b'{"include_usage":true \n}', True, id="empty, spaced"),
    pytest.param(b'{ "a\xc3\xa9": 1}', b'{"include_usage":true, "a\xc3\xa9": 1}', True, id="another member"),
    pytest.param(
        b'{"a":{"include_usage":true}}', b'{"include_usage":true,"a":{"include_usage":true}}', True, id="nested"
    ),
    pytest.param(
        b'{"include_usage":false,"include_usage":true}',
        b'{"include_usage":true,"include_usage":true}',
        False,
        id="twice, asks",
    ),
    pytest.param(
        b'{"include_usage":true, "include_usage":0}',
        b'{"include_usage":true, "include_usage":true}',
        True,
        id="twice, false",
    ),
    pytest.param(b"null", ASKING, True, id="options null"),
    pytest.param(b"-12.5e3", ASKING, True, id="options a number"),
    pytest.param(b'"x\\"}"', ASKING, True, id="options a string"),
    pytest.param(b'[{"include_usage":true}]', ASKING, True, id="options an array"),
    pytest.param(b"9" * 5000, ASKING, True, id="options a long number"),
    pytest.param(
        b'{"n":%b}' % (b"9" * 5000), b'{"include_usage":true,"n":%b}' % (b"9" * 5000), True, id="a long number"
    ),
    pytest.param(b'{"n":NaN}', b'{"include_usage":true,"n":NaN}', True, id="what Python reads"),
    pytest.param(b'{"n":"\x01"}', b'{"include_usage":true,"n":"\x01"}', True, id="a control character"),
]


@each_scanner
@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize("name", [b"stream_options", b"stream\\u005foptions"])
@pytest.mark.parametrize(("options", "forced", "added"), OPTIONS)
def test_options(new_scanner: NewScanner, size: int, name: bytes, options: bytes, forced: bytes, added: bool) -> None:
    body = stream(options, name)
    assert through(new_scanner, cut(body, size)) == (stream(forced, name), added)
    assert through(new_scanner, cut(body, size), hold=HOLD_BYTES) == (stream(forced, name), added)
    not_a_stream = body.replace(b"true}", b"false}")
    assert through(new_scanner, cut(not_a_stream, size)) == (not_a_stream, False)


REPEATED = b'{"stream_options":{"include_usage":%b},"a":"\xc3\xa9","stream_options":%b,"stream":true}'


@each_scanner
@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize(("second", "added"), [(b'{"include_usage":true}', False), (b"{}", True), (b"null", True)])
def test_repeated_options_are_all_forced(new_scanner: NewScanner, size: int, second: bytes, added: bool) -> None:
    chunks = cut(REPEATED % (b"false", second), size)
    assert through(new_scanner, chunks) == (REPEATED % (b"true", ASKING), added)


STREAMS = [
    pytest.param(b'{"model":"m","stream":true', b"}", id="last"),
    pytest.param(b'{"stream":true,"messages":[{"a":"}"}]', b"}", id="first"),
    pytest.param(b' \n{ "stream" : true \n', b"} \n", id="white space"),
    pytest.param(b'{"stream":false,"stream":true', b"}", id="the last counts"),
    pytest.param(b'{"\\u0073tream":true', b"}", id="escaped"),
    pytest.param(b'{"stream":true,"x":{"stream_options":{"include_usage":true}}', b"}", id="nested options"),
    pytest.param(b'{"stream":true,"x":"\\",\\"stream_options\\":{}"', b"}", id="options in a text"),
    pytest.param(b'{"stream":true', b"} and more", id="more than JSON"),
]


@each_scanner
@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize(("before", "brace"), STREAMS)
def test_options_are_added_to_a_stream(new_scanner: NewScanner, size: int, before: bytes, brace: bytes) -> None:
    assert through(new_scanner, cut(before + brace, size)) == (before + END + brace, True)
    assert through(new_scanner, cut(before + brace, size), hold=0) == (before + END + brace, True)


UNCHANGED = [
    pytest.param(b'{"model":"m","messages":[{"role":"user","content":"\\"stream\\":true"}]}', id="no stream"),
    pytest.param(b'{"stream":false,"stream_options":null}', id="false"),
    pytest.param(b'{"stream_options":{"include_usage":false},"stream":false}', id="false after options"),
    pytest.param(b'{"stream":true,"stream_options":{},"stream":false}', id="true, then false"),
    pytest.param(b'{"stream":true,"stream":null,"stream_options":{}}', id="true, then null"),
    pytest.param(b'{"stream":"true","stream_options":{}}', id="a string"),
    pytest.param(b'{"stream":1,"stream_options":{}}', id="a number"),
    pytest.param(b'{"a":{"stream":true}}', id="nested"),
    pytest.param(b'[{"stream":true,"stream_options":{}}]', id="an array"),
    pytest.param(b'"stream"', id="a string alone"),
    pytest.param(b"{}", id="an empty object"),
    pytest.param(b"", id="nothing"),
    pytest.param(b'{"stream":true', id="cut off"),
    pytest.param(b'{"stream":true,"stream_options":{"include_usage":false}', id="cut off after options"),
    pytest.param(b'{"stream":true,"stream_options":{"include_us', id="cut off in options"),
    pytest.param(b'{"stream":true,"stream_options":[1,2', id="cut off in an array"),
    *(
        pytest.param(b'{"stream":true,"stream_options":{},"stream_options":%b}' % value, id="bad: " + value.decode())
        for value in (
            b"tru",
            b"{,}",
            b"{1:2}",
            b'{"a"}',
            b'{"a":}',
            b'{"a":1,}',
            b'{"a" 1}',
            b'{"a":1 "b":2}',
            b"1 2",
            b'{"a":1} 2',
        )
    ),
]


@each_scanner
@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize("body", UNCHANGED)
def test_what_is_no_stream_or_no_json_stays(new_scanner: NewScanner, size: int, body: bytes) -> None:
    assert through(new_scanner, cut(body, size)) == (body, False)


@each_scanner
@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"m","messages":["%b"]}' % (b"x" * 100_000),
        b'{"model":"m","messages":["%b"],"stream":true,"stream_options":%b}' % (b"x" * 100_000, ASKING),
        b'{"stream_options":%b,"stream":true,"messages":["%b"]}' % (ASKING, b"x" * 100_000),
        b'{"stream_options":null,"stream":false,"messages":["%b"]}' % (b"x" * 100_000),
    ],
)
def test_a_body_that_stays_is_not_copied(new_scanner: NewScanner, body: bytes) -> None:
    assert UsageForcer(new_scanner()).feed(body) is body
    forcer = UsageForcer(new_scanner())
    first, second = body[:50_000], body[50_000:]
    if b"null" not in body:  # a value that does not ask is held until it is known whether there is a stream
        assert forcer.feed(first) is first
        assert forcer.feed(second) is second


# The bound on what is held

TEXT = b'"messages":["%b"]' % (b"x" * 1000)


def members(body: bytes) -> list[tuple[str, object]]:
    """The root's members, repeated ones too."""
    pairs = json.loads(body, object_pairs_hook=tuple)
    return [(name, value) for name, value in pairs]


BOUNDED = [
    # what comes first, what goes up of it at once, what is added at the end of a stream, the client did not ask
    pytest.param(b'{"stream_options":{},', b'{"stream_options":%b,' % ASKING, b"", True, id="an object"),
    pytest.param(b'{"stream_options":null,', b'{"stream_options":null,', END, True, id="null"),
    pytest.param(b'{"stream_options":[],', b'{"stream_options":[],', END, True, id="an array"),
    pytest.param(
        b'{"stream":false,"stream_options":{},', b'{"stream":false,"stream_options":{},', END, True, id="false"
    ),
    pytest.param(
        b'{"stream":true,"stream_options":null,', b'{"stream":true,"stream_options":%b,' % ASKING, b"", True, id="true"
    ),
    pytest.param(b'{"stream_options":%b,' % ASKING, b'{"stream_options":%b,' % ASKING, b"", False, id="asks"),
    pytest.param(
        b'{"stream_options":null,"stream_options":%b,' % ASKING,
        b'{"stream_options":null,"stream_options":%b,' % ASKING,
        b"",
        False,
        id="null, then asks",
    ),
]


@each_scanner
@pytest.mark.parametrize("size", [1, 7, 100, 500])
@pytest.mark.parametrize(("first", "forced", "added_end", "added"), BOUNDED)
def test_past_the_bound_a_value_is_settled_before_the_end(
    new_scanner: NewScanner, size: int, first: bytes, forced: bytes, added_end: bytes, added: bool
) -> None:
    body = first + TEXT + b',"stream":true}'
    expected = forced + TEXT + b',"stream":true' + added_end + b"}"
    assert through(new_scanner, cut(body, size), hold=100) == (expected, added)
    body = first + TEXT + b',"stream":false}'
    assert through(new_scanner, cut(body, size), hold=100) == (forced + TEXT + b',"stream":false}', False)


@each_scanner
@pytest.mark.parametrize("size", [1, 7, 100])
def test_a_value_longer_than_the_bound_is_overruled(new_scanner: NewScanner, size: int) -> None:
    long = b'{"a":"%b","include_usage":false}' % (b"x" * 300)
    body = b'{"stream":true,"stream_options":%b}' % long
    assert through(new_scanner, cut(body, size), hold=100) == (body[:-1] + END + b"}", False)
    body = b'{"stream_options":{},"stream_options":%b,"stream":true,"stream_options":{}}' % long
    expected = b'{"stream_options":%b,"stream_options":%b,"stream":true,"stream_options":%b}' % (ASKING, long, ASKING)
    assert through(new_scanner, cut(body, size), hold=100) == (expected, True)
    body = b'{"stream_options":%b,"stream":false}' % long
    assert through(new_scanner, cut(body, size), hold=100) == (body, False)


@each_scanner
@pytest.mark.parametrize("size", [1, 7, 60])
@pytest.mark.parametrize("between", [60, 95])
def test_a_value_that_is_open_at_the_bound_is_held_on(new_scanner: NewScanner, size: int, between: int) -> None:
    body = b'{"stream":true,"stream_options":%b,"a":"%b","stream_options":{"b":"%b"%b}}'
    parts = b"x" * between, b"x" * 70
    expected = (body % (ASKING, *parts, b"")).replace(b'{"b"', b'{"include_usage":true,"b"')
    assert through(new_scanner, cut(body % (b"[]", *parts, b""), size), hold=100) == (expected, True)
    expected = body % (ASKING, *parts, b',"include_usage":true')
    assert through(new_scanner, cut(body % (b"[]", *parts, b',"include_usage":true'), size), hold=100) == (
        expected,
        False,
    )


@each_scanner
@pytest.mark.parametrize("size", [1, 7, 60, 1500])
@pytest.mark.parametrize("between", [0, 60, 95, 1000])
def test_what_follows_a_bad_value_past_the_bound_stays(new_scanner: NewScanner, size: int, between: int) -> None:
    body = b'{"stream":true,"stream_options":{,},"a":"%b","stream_options":{"b":"%b"}}' % (b"x" * between, b"x" * 70)
    assert through(new_scanner, cut(body, size), hold=100) == (body, False)


@each_scanner
def test_a_value_nested_too_deeply_to_read_is_overruled(new_scanner: NewScanner) -> None:
    deep = b'{"include_usage":false,"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    body = b'{"stream":true,"stream_options":%b}' % deep
    assert through(new_scanner, [body]) == (body[:-1] + END + b"}", False)


@each_scanner
def test_the_clients_wish_is_known_early(new_scanner: NewScanner) -> None:
    forcer = UsageForcer(new_scanner(), hold=100)
    assert forcer.feed(b'{"stream":true,"stream_options":{},') == b'{"stream":true,"stream_options":'
    early = [forcer.added]
    assert forcer.feed(TEXT) == ASKING + b"," + TEXT
    early.append(forcer.added)
    assert forcer.feed(b',"stream_options":%b,"stream":false}' % ASKING).endswith(b',"stream":false}')
    assert [*early, forcer.added] == [False, True, False]


# Any body


@dataclass(frozen=True)
class Object:
    """The text of a JSON object, in parts: what stands before each name and value, and after each value."""

    members: tuple[tuple[bytes, str, bytes, "bytes | Object", bytes], ...]
    inside: bytes
    """what stands between the braces of one that is empty"""

    def __bytes__(self) -> bytes:
        parts = [b"".join((a, name.encode(), b, b":", b, bytes(value), c)) for a, name, b, value, c in self.members]
        return b"{" + (b",".join(parts) if parts else self.inside) + b"}"

    def named(self, name: str) -> list["bytes | Object"]:
        return [value for _, key, _, value, _ in self.members if json.loads(key) == name]

    def replaced(self, name: str, new: Callable[["bytes | Object"], bytes]) -> "Object":
        return Object(
            tuple(
                (a, key, b, new(value) if json.loads(key) == name else value, c) for a, key, b, value, c in self.members
            ),
            self.inside,
        )


def asks(options: "bytes | Object") -> bool:
    return isinstance(options, Object) and options.named("include_usage")[-1:] == [b"true"]


def forced(options: "bytes | Object") -> bytes:
    if not isinstance(options, Object):
        return ASKING
    if options.named("include_usage"):
        return bytes(options.replaced("include_usage", lambda _: b"true"))
    rest = bytes(options)[1:]
    return b'{"include_usage":true' + (b"," if options.members else b"") + rest


def model(body: Object) -> tuple[bytes, bool]:
    options = body.named("stream_options")
    if body.named("stream")[-1:] != [b"true"]:
        return bytes(body), False
    if not options:
        return bytes(body)[:-1] + END + b"}", True
    return bytes(body.replaced("stream_options", forced)), not asks(options[-1])


SPACE = st.sampled_from([b"", b"", b" ", b"\n\t", b" \r\n "])
LITERALS = st.sampled_from([b"true", b"true", b"false", b"null", b"0", b"-1.5e9", b'""', b'"}"', b'"\\"\\\\"', b"[]"])
NESTED = Object(((b"", '"stream_options"', b"", ASKING, b""), (b" ", '"stream"', b"", b"true", b"")), b"")
TEXTS = (
    st.text(max_size=3).map(lambda text: json.dumps(text).encode())
    | st.just('"é€"'.encode())
    | st.just(b'"%b"' % (b"x" * 99))
)
OTHERS = LITERALS | TEXTS | st.just(NESTED) | st.just(b'[1,{"stream":true}]')


def objects(names: list[str], values: st.SearchStrategy["bytes | Object"]) -> st.SearchStrategy[Object]:
    member = st.tuples(SPACE, st.sampled_from(names), SPACE, values, SPACE)
    return st.builds(Object, st.lists(member, max_size=5).map(tuple), SPACE)


VALUES = objects(['"include_usage"', '"include_usage"', '"\\u0069nclude_usage"', '"a"', '""', '"\\""'], OTHERS) | OTHERS
BODIES = objects(
    [
        '"stream"',
        '"stream"',
        '"str\\u0065am"',
        '"stream_options"',
        '"stream_option\\u0073"',
        '"model"',
        '"a"',
        '"\\\\"',
    ],
    VALUES,
)


@each_scanner
@settings(max_examples=300)
@given(body=BODIES, before=SPACE, after=SPACE, data=st.data())
def test_every_body_in_every_cut_is_what_the_model_makes_of_it(
    new_scanner: NewScanner, body: Object, before: bytes, after: bytes, data: st.DataObject
) -> None:
    text = before + bytes(body) + after
    expected, added = model(body)
    expected = before + expected + after
    assert through(new_scanner, [text]) == (expected, added)
    assert through(new_scanner, cut(text, 1)) == (expected, added)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    chunks = [text[start:stop] for start, stop in pairwise([0, *cuts, len(text)])]
    assert through(new_scanner, chunks) == (expected, added)
    original, result = json.loads(text), json.loads(expected)
    options = result.pop("stream_options", None)
    if body.named("stream")[-1:] == [b"true"]:
        assert options["include_usage"] is True
        original.pop("stream_options", None)
    else:
        assert options == original.pop("stream_options", None)
    assert result == original
    cut_off = text[: data.draw(st.integers(0, len(before + bytes(body)) - 1))]
    assert through(new_scanner, cut(cut_off, 7)) == (cut_off, False)


@each_scanner
@settings(max_examples=300)
@given(body=BODIES, hold=st.integers(0, 120), size=st.integers(1, 60))
def test_past_any_bound_a_stream_asks_and_all_else_stays(
    new_scanner: NewScanner, body: Object, hold: int, size: int
) -> None:
    text = bytes(body)
    forcer = UsageForcer(new_scanner(), hold)
    output = b""
    for chunk in cut(text, size):
        output += forcer.feed(chunk)
        assert sum(map(len, forcer._held)) <= hold
    assert forcer.end() == b""
    others = [member for member in members(text) if member[0] != "stream_options"]
    assert [member for member in members(output) if member[0] != "stream_options"] == others
    if body.named("stream")[-1:] == [b"true"]:
        assert json.loads(output)["stream_options"]["include_usage"] is True
        assert not (forcer.added and asks((body.named("stream_options") or [b""])[-1]))
    else:
        assert not forcer.added
        before, after = body.named("stream_options"), members(output)
        values = [value for name, value in after if name == "stream_options"]
        for old, new in zip(before, values, strict=True):
            same = json.loads(bytes(old), object_pairs_hook=tuple) == new
            assert same or isinstance(old, Object) or b"true" in map(bytes, body.named("stream"))
