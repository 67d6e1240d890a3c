"""`read` on real files."""

import io
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.tools.conftest import Fence, MakeContext

from beyond_ai import ToolContext, ToolError, ToolLimits
from beyond_ai_tools.coding import window as window_module
from beyond_ai_tools.coding.read import ReadArguments, read
from beyond_ai_tools.coding.window import Line, window

relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


async def shown(context: ToolContext, data: bytes, **arguments: int) -> str:
    (context.cwd / "file").write_bytes(data)
    result = await read(ReadArguments(path="file", **arguments), context)
    assert not result.is_error
    assert not result.images
    return result.text


def numbered(*lines: str, first: int = 1) -> str:
    return "\n".join(f"{number:>6}\t{line}" for number, line in enumerate(lines, start=first))


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "(empty file)"),
        (b"\n", numbered("")),
        (b"a", numbered("a")),
        (b"a\nb\n", numbered("a", "b")),
        (b"a\n\nb", numbered("a", "", "b")),
        (b"\xef\xbb\xbfa\nb\n", numbered("a", "b")),
        (b"a\r\nb\r\n", numbered("a", "b") + "\n[Lines end in CR LF.]"),
        (b"a\r\nb\n", numbered("a", "b") + "\n[Some lines end in CR LF.]"),
        (b"a\rb\n", numbered("a\rb")),
        ("\u20ac\u2028\x0c\n".encode(), numbered("\u20ac\u2028\x0c")),
        (b"\tx  \n", numbered("\tx  ")),
        (b"\x1b[1mbold\x1b[0m\n", numbered("\x1b[1mbold\x1b[0m")),
    ],
)
async def test_text(data: bytes, text: str, context: ToolContext) -> None:
    assert await shown(context, data) == text


async def test_bytes_that_are_no_text_are_replaced_and_it_is_said(context: ToolContext) -> None:
    text = await shown(context, b"caf\xe9\nok\n")
    assert text.startswith(numbered("caf\ufffd", "ok"))
    assert "not UTF-8" in text
    assert "edit cannot change this file" in text
    assert "UTF-8" not in await shown(context, "caf\ufffd".encode())
    late = await shown(context, b"x\n" * 8_000 + b"a\0b\n", offset=8_001)
    assert late.startswith(numbered("a\ufffdb", first=8_001))


@pytest.mark.parametrize(
    ("arguments", "lines", "marker"),
    [
        ({}, range(1, 6), ""),
        ({"limit": 2}, range(1, 3), "[Lines 1-2 of 5 shown. Use offset=3 to continue.]"),
        ({"offset": 3}, range(3, 6), ""),
        ({"offset": 3, "limit": 2}, range(3, 5), "[Lines 3-4 of 5 shown. Use offset=5 to continue.]"),
        ({"offset": 5, "limit": 1}, range(5, 6), ""),
        ({"offset": 4, "limit": 99}, range(4, 6), ""),
    ],
)
async def test_a_part(arguments: dict[str, int], lines: range, marker: str, context: ToolContext) -> None:
    text = await shown(context, b"1\n2\n3\n4\n5\n", **arguments)
    assert text == "\n".join(filter(None, [numbered(*map(str, lines), first=lines.start), marker]))


@pytest.mark.parametrize(("offset", "data"), [(4, b"1\n2\n3\n"), (4, b"1\n2\n3"), (10**9, b"1\n2\n3\n")])
async def test_beyond_the_end(offset: int, data: bytes, context: ToolContext) -> None:
    with pytest.raises(ToolError, match=f"file has 3 lines; offset {offset} is beyond its end"):
        await shown(context, data, offset=offset)


async def test_lines_are_limited(context: ToolContext) -> None:
    text = await shown(context, b"x\n" * 5_000, limit=100_000)
    *lines, marker = text.split("\n")
    assert len(lines) == 2_000
    assert marker == "[Lines 1-2000 of 5000 shown. Use offset=2001 to continue.]"


async def test_bytes_are_limited(context: ToolContext) -> None:
    text = await shown(context, (b"x" * 999 + b"\n") * 100)
    *lines, marker = text.split("\n")
    assert len(lines) == 50
    assert len("\n".join(lines)) <= 51_200
    assert marker == "[Lines 1-50 of 100 shown. Use offset=51 to continue.]"


async def test_a_long_line_is_cut_between_characters(context: ToolContext) -> None:
    text = await shown(context, "\u20ac".encode() * 2_000 + b"\nend\n")
    first, second = text.split("\n")
    assert first == "     1\t" + "\u20ac" * 1_333 + "... [2000 more bytes in this line]"
    assert second == "     2\tend"


async def test_one_line_larger_than_everything(make_context: MakeContext) -> None:
    context = make_context(limits=ToolLimits(bytes=100))
    text = await shown(context, b"x" * 3_000_000 + b"\nend\n")
    assert text == numbered("x" * 40 + "... [2999960 more bytes in this line]", "end")


async def test_a_sparse_file_of_gigabytes_is_not_loaded(context: ToolContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window_module, "MAX_BYTES_COUNTED", 2**22)
    with (context.cwd / "file").open("wb") as file:
        file.write(b"first\n" * 10_000)
        file.truncate(2**40)
    result = await read(ReadArguments(path="file", offset=9_000, limit=2), context)
    assert result.text == (
        numbered("first", "first", first=9_000)
        + "\n[Lines 9000-9001 of a file of 1099.5 GB shown. Use offset=9002 to continue.]"
    )


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc")
async def test_a_file_without_a_size_is_read(context: ToolContext) -> None:
    result = await read(ReadArguments(path="/proc/self/status", limit=1), context)
    assert result.text.startswith("     1\tName:")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\x7fELF\x02\x01\x01\0" + b"\0" * 100, "ELF executable or library, 108 bytes"),
        (b"%PDF-1.7\nno NUL here", "PDF document, 20 bytes. Use bash to look into it, as with pdftotext"),
        (b"PK\x03\x04" + b"\0" * 3_000, "ZIP archive (or a format based on it: docx, xlsx, jar, whl), 3.0 KB"),
        (b"\x1f\x8b\x08\0\0", "gzip data"),
        (b"SQLite format 3\0" + b"\0" * 2_000_000, "SQLite database, 2.0 MB"),
        (b"a" * 257 + b"ustar\0" + b"\0" * 200, "tar archive"),
        (b"MZ\x90\0\x03", "Windows executable"),
        ("text".encode("utf-16"), "UTF-16 text, 10 bytes. Use bash to look into it, as with iconv -f UTF-16"),
        (b"\0\0\0\x18ftypmp42", "MP4, HEIC or AVIF"),
        (b"text and then\0", "binary data, 14 bytes"),
        (b"\x01\x02\x03\x04\x05text", "binary data"),
        (b"\x89PNG\r\n\x1a\n" + b"\0\0\0\x08acTL" + b"\0" * 20 + b"IDAT", "animated or damaged PNG image"),
        (b"\xff\xd8\xff\xf7\0\0", "JPEG-LS image"),
    ],
)
async def test_what_is_no_text_is_named(data: bytes, said: str, context: ToolContext) -> None:
    with pytest.raises(ToolError) as caught:
        await shown(context, data)
    assert str(caught.value).startswith("file is no text that read can show: ")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "data", [b"MZ is two letters\n", b"BZh\n", b"ID3 tags\n", b"RIFFs\n", b"BM is not a bitmap here, no\n"]
)
async def test_text_that_begins_like_something_else_is_text(data: bytes, context: ToolContext) -> None:
    assert await shown(context, data) == numbered(data.decode().strip())


async def test_what_is_no_file(context: ToolContext) -> None:
    os.mkfifo(context.cwd / "pipe")
    (context.cwd / "folder").mkdir()
    (context.cwd / "name.py").touch()
    for name, said in (
        ("pipe", "a named pipe"),
        ("folder", "Use ls"),
        ("/dev/zero", "a character device"),
        ("nmae.py", "Path not found: nmae.py. Near it: name.py."),
    ):
        with pytest.raises(ToolError, match=said):
            await read(ReadArguments(path=name), context)


async def test_links_are_followed_and_the_policy_is_asked(make_context: MakeContext, fence: Fence) -> None:
    context = make_context(paths=fence)
    (context.cwd / "a").write_text("text")
    (context.cwd / "link").symlink_to("a")
    result = await read(ReadArguments(path="link"), context)
    assert result.text == numbered("text")
    assert fence.asked == [((context.cwd / "a").resolve(), False)]


class Blocks(io.BytesIO):
    """A file that comes a few bytes at a time."""

    def __init__(self, data: bytes, size: int) -> None:
        super().__init__(data)
        self._size = size

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(self._size)


@relaxed
@given(
    st.lists(st.sampled_from([b"", b"a", b"bc", b"defghij"]), max_size=8),
    st.booleans(),
    st.integers(1, 10),
    st.integers(1, 10),
    st.integers(1, 8),
    st.integers(1, 20),
    st.integers(1, 9),
)
def test_a_window_is_a_slice(
    lines: list[bytes], ended: bool, first: int, count: int, line_bytes: int, total_bytes: int, block: int
) -> None:
    data = b"\n".join(lines) + (b"\n" if ended else b"")
    plain = data.split(b"\n")
    if not plain[-1]:
        plain.pop()
    expected, room = [], total_bytes
    for line in plain[first - 1 : first - 1 + count]:
        if room < 0:
            break
        expected.append(Line(line[:line_bytes], len(line)))
        room -= len(line[:line_bytes])
    seen = window(Blocks(data, block), first, count, line_bytes=line_bytes, total_bytes=total_bytes, stop=lambda: False)
    assert seen.lines == expected
    assert seen.total == len(plain)


def test_a_window_ends_early_when_it_is_told_to() -> None:
    asked = iter([False, True])
    seen = window(Blocks(b"a\nb\nc\n", 2), 1, 9, line_bytes=9, total_bytes=9, stop=lambda: next(asked))
    assert seen.lines == [Line(b"a", 1)]
    assert seen.total is None
