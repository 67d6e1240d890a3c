"""Generated folders, with everything in them that makes searching hard."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from hypothesis import strategies as st

Tree: TypeAlias = "Mapping[bytes, bytes | str | Tree]"
"""Names, with contents of files, targets of links (text) or trees."""

NAMES = (
    *b"a b.py c.txt D.PY .hid -x build x.log keep.log src [q] #h !bang a-b n\xf6n.py".split(),
    *(b"sp ace.py", b"tail "),
)
WORDS = (
    *b"needle -needle NEEDLE n.e foo(bar) x 1234 under_score tab\tneedle".split(b" "),
    *(b"", b"a needle here", b"needle  ", b"\xff needle", b"needle" + b"y" * 700, "größe needle".encode()),
)
PATTERNS = (
    *(
        "*.log",
        "!keep.log",
        "build",
        "build/",
        "/build",
        "build/**",
        "!build/b.py",
        "/a",
        "a/b",
        "a-?",
        "[ab]",
        "[!ab]",
    ),
    *(
        "src/*.py",
        "src/**",
        "src/**/a",
        "src/b.py",
        "/src/",
        "!src",
        "!/src",
        "**/b.py",
        "**/build/",
        "foo/**/",
        "!b.py",
    ),
    *("*", "**", "/*", "!*/", "!*.py", "*.PY", "b.*", "[a-c].*", "é", r"\#h", r"\!bang", r"\[q\]", "#h", "!bang"),
    *("", "# x", r"tail\ ", "x.log  ", "sp ace.py"),
)


@st.composite
def contents(draw: st.DrawFn) -> bytes:
    """A file: text with LF or CRLF, with or without its last end, with a mark, in UTF-16, or binary."""
    lines = draw(st.lists(st.sampled_from(WORDS), max_size=5))
    ends = [draw(st.sampled_from([b"\n", b"\r\n"])) for _ in lines]
    text = b"".join(line + end for line, end in zip(lines, ends, strict=True))
    match draw(st.integers(0, 9)):
        case 0:
            return text + b"\0binary\n"
        case 1:
            return b"\xef\xbb\xbf" + text
        case 2:
            return text.decode(errors="replace").encode("utf-16")
        case 3:
            return text.rstrip(b"\r\n")  # versions of ripgrep differ about a CR without an LF
    return text


@st.composite
def trees(draw: st.DrawFn, depth: int = 3) -> Tree:
    """A folder with folders in it, DEPTH below each other at most."""
    tree: dict[bytes, bytes | str | Tree] = {}
    for name in draw(st.lists(st.sampled_from(NAMES), max_size=5, unique=True)):
        match draw(st.integers(0, 7)):
            case 0:
                tree[name] = draw(st.sampled_from(["a", "src", "..", ".", "/nowhere", "b.py"]))
            case 1 | 2 | 3 if depth:
                tree[name] = draw(trees(depth - 1))
            case _:
                tree[name] = draw(contents())
    if draw(st.booleans()):
        end = draw(st.sampled_from(["\n", "\r\n"]))
        lines = draw(st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=4))
        tree[b".gitignore"] = "".join(line + end for line in lines).encode()
    if draw(st.integers(0, 4)) == 0:
        tree[b".git"] = {b"config": b"needle\n"}
    return tree


def plant(tree: Tree, folder: Path) -> None:
    """Make FOLDER what TREE says."""
    folder.mkdir()
    for name, what in tree.items():
        path = Path(os.fsdecode(os.fsencode(folder) + b"/" + name))
        if isinstance(what, bytes):
            path.write_bytes(what)
        elif isinstance(what, str):
            path.symlink_to(what)
        else:
            plant(what, path)
