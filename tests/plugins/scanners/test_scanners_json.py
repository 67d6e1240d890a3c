"""Every scanner on valid JSON says what `json.loads` says of the root's members."""

import json
import re

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.plugins.scanners.backends import each_backend, new_scanner
from tests.plugins.scanners.cuts import cut, cut_up
from tests.plugins.scanners.machine import read

from beyond_ai import Scanner

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
    return json.dumps(value, ensure_ascii=False)


keys = (
    st.sampled_from(PLAIN).map(written)
    | texts.filter(lambda text: not text.startswith(("model", "stream"))).map(written)
    | st.sampled_from(["stream", "stream_options"]).flatmap(spelled)
)


@st.composite
def arrays(draw: st.DrawFn, items: st.SearchStrategy[str]) -> str:
    written = ",".join(draw(SPACE) + item + draw(SPACE) for item in draw(st.lists(items, max_size=4)))
    return f"[{written}]"


@st.composite
def objects(draw: st.DrawFn, items: st.SearchStrategy[str], size: int = 4) -> str:
    members = draw(st.lists(st.tuples(SPACE, keys, SPACE, SPACE, items, SPACE), max_size=size))
    written = ",".join(f"{a}{key}{b}:{c}{item}{d}" for a, key, b, c, item, d in members)
    return f"{{{written or draw(SPACE)}}}"


literals = st.sampled_from(["true", "false", "null", "0", "-1.5e9", "{}", "[]"])
values = st.recursive(literals | texts.map(written), lambda inner: arrays(inner) | objects(inner), max_leaves=12)


def dropped(text: str) -> bytes:
    """The contents of the JSON string TEXT, each backslash dropped and the character after it kept."""
    return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL).encode()


def check(scanner: Scanner, chunks: list[bytes]) -> None:
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


@each_backend
@settings(max_examples=200)
@given(before=SPACE, root=objects(values, size=8) | objects(values, size=8) | values, after=SPACE, data=st.data())
def test_the_members_of_the_root(backend: str, before: str, root: str, after: str, data: st.DataObject) -> None:
    body = (before + root + after).encode()
    for chunks in ([body], cut(body, 1), cut(body, 7), data.draw(cut_up(body))):
        check(new_scanner(backend), chunks)


@each_backend
@settings(max_examples=50)
@given(root=objects(values, size=8), data=st.data())
def test_a_body_that_is_cut_off_has_no_end(backend: str, root: str, data: st.DataObject) -> None:
    body = root.encode()
    body = body[: data.draw(st.integers(0, len(body) - 1))]
    assert read(new_scanner(backend), data.draw(cut_up(body))).root_end == -1
