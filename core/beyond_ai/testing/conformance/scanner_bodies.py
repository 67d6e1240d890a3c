"""Bodies for scanners: valid JSON in every spelling, input of any sort, and ways to cut it into chunks."""

import json
import re
from itertools import pairwise

from hypothesis import strategies as st

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


Pairs = list[tuple[str, object]]

SPACE = st.sampled_from(["", "", "", " ", "\n\t", " \r\n ", " " * 70])
PLAIN = ["model", "messages", "Model", "mode", "models", "", "tools"]
LOOK_ALIKES = [
    '"stream":true',
    '","stream":true,"',
    '{"model":"no"}',
    '\\","model":"no"',
    "a {b} [c], d",
    "\\",
    '"',
    "x" * 300,
    "\N{EURO SIGN} \u00e9",
]
texts = st.text(max_size=12) | st.sampled_from(LOOK_ALIKES)


@st.composite
def spelled(draw: st.DrawFn, name: str) -> str:
    """NAME as a JSON string in which any letters are escaped."""
    escaped = draw(st.sets(st.integers(0, len(name) - 1)))
    form = draw(st.sampled_from(["\\u%04x", "\\u%04X"]))
    letters = [form % ord(letter) if at in escaped else letter for at, letter in enumerate(name)]
    return f'"{"".join(letters)}"'


def written(value: object) -> str:
    """VALUE as JSON."""
    return json.dumps(value, ensure_ascii=False)


keys = (
    st.sampled_from(PLAIN).map(written)
    | texts.filter(lambda text: not text.startswith(("model", "stream"))).map(written)
    | st.sampled_from(["stream", "stream_options"]).flatmap(spelled)
)


@st.composite
def arrays(draw: st.DrawFn, items: st.SearchStrategy[str]) -> str:
    """An array of ITEMS."""
    written = ",".join(draw(SPACE) + item + draw(SPACE) for item in draw(st.lists(items, max_size=4)))
    return f"[{written}]"


@st.composite
def objects(draw: st.DrawFn, items: st.SearchStrategy[str], size: int = 4) -> str:
    """An object with SIZE members at most."""
    members = draw(st.lists(st.tuples(SPACE, keys, SPACE, SPACE, items, SPACE), max_size=size))
    written = ",".join(f"{a}{key}{b}:{c}{item}{d}" for a, key, b, c, item, d in members)
    return f"{{{written or draw(SPACE)}}}"


literals = st.sampled_from(["true", "false", "null", "0", "-1.5e9", "{}", "[]"])
values = st.recursive(literals | texts.map(written), lambda inner: arrays(inner) | objects(inner), max_leaves=12)


def dropped(text: str) -> bytes:
    """The contents of the JSON string TEXT, each backslash dropped and the character after it kept."""
    return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL).encode()


def cut(data: bytes, size: int) -> list[bytes]:
    """DATA in chunks of SIZE bytes."""
    return [data[at : at + size] for at in range(0, len(data), size)]


@st.composite
def cut_up(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """DATA cut anywhere, empty chunks included."""
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=8)))
    return [data[start:stop] for start, stop in pairwise([0, *cuts, len(data)])]
