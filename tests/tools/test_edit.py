"""`edit` on real files: what it changes, and that it changes nothing else."""

import asyncio
import fcntl
import os
import threading
from pathlib import Path

import pytest
from tests.tools.conftest import Fence, MakeContext

from beyond_ai import ToolContext, ToolError, ToolResult
from beyond_ai_tools.coding import edit as edit_module
from beyond_ai_tools.coding.edit import EditArguments, edit


async def change(context: ToolContext, before: bytes, **arguments: object) -> tuple[ToolResult, bytes]:
    path = context.cwd / "file.txt"
    path.write_bytes(before)
    result = await edit(EditArguments(path="file.txt", **arguments), context)
    assert [entry.name for entry in context.cwd.iterdir()] == ["file.txt"]
    return result, path.read_bytes()


async def refused(context: ToolContext, before: bytes, **arguments: object) -> str:
    path = context.cwd / "file.txt"
    path.write_bytes(before)
    with pytest.raises(ToolError) as caught:
        await edit(EditArguments(path="file.txt", **arguments), context)
    assert path.read_bytes() == before
    assert [entry.name for entry in context.cwd.iterdir()] == ["file.txt"]
    return str(caught.value)


def one(old: str, new: str) -> dict[str, str]:
    return {"old_string": old, "new_string": new}


@pytest.mark.parametrize(
    ("before", "old", "new", "after"),
    [
        (b"a\nb\nc\n", "b", "B", b"a\nB\nc\n"),
        (b"a\nb\nc", "c", "C", b"a\nb\nC"),
        (b"a\nb\nc\n", "b\n", "", b"a\nc\n"),
        (b"a\nb\nc\n", "a\n", "a\nx\n", b"a\nx\nb\nc\n"),
        (b"a\n", "a\n", "a", b"a"),
        (b"a", "a", "a\n", b"a\n"),
        (b"one two one", "two", "2", b"one 2 one"),
        # line ends
        (b"a\r\nb\r\nc\r\n", "a\nb", "A\nx\nB", b"A\r\nx\r\nB\r\nc\r\n"),
        (b"a\r\nb\r\nc\r\n", "a\r\nb", "A\r\nB", b"A\r\nB\r\nc\r\n"),
        (b"a\nb\nc\n", "a\r\nb", "A\r\nB", b"A\nB\nc\n"),
        (b"a\r\nb\nc\r\nd\n", "b\nc", "B\nC", b"a\r\nB\nC\r\nd\n"),
        (b"a\r\nb\nc\r\nd\n", "a\nb\nc\n", "a\nX\nc\n", b"a\r\nX\nc\r\nd\n"),
        (b"a\r\nb\nc\r\nd\n", "a\nb\nc\nd\n", "a\nd\n", b"a\r\nd\n"),
        (b"a\r\nb\r\nc", "c", "c\nd", b"a\r\nb\r\nc\r\nd"),
        (b"a\nb\nc\r\nd\r\n", "b", "b\nx", b"a\nb\nx\nc\r\nd\r\n"),
        (b"a\rb\rc", "b", "x", b"a\rx\rc"),
        (b"a\r\r\nb\r\n", "b", "x", b"a\r\r\nx\r\n"),
        (b"a\r\nb", "\n", "\n\n", b"a\r\n\r\nb"),
        # a byte order mark
        (b"\xef\xbb\xbfa\nb\n", "a\n", "A\n", b"\xef\xbb\xbfA\nb\n"),
        (b"\xef\xbb\xbfa\r\nb", "a\nb", "x\ny", b"\xef\xbb\xbfx\r\ny"),
        # other characters that some call line ends are none
        ("a\u2028b\x0bc\x0c\nd".encode(), "b\x0bc", "x", "a\u2028x\x0c\nd".encode()),
        ("\U0001f600 x\n".encode(), "\U0001f600", "\u20ac", "\u20ac x\n".encode()),
    ],
)
async def test_an_exact_match_is_replaced(
    before: bytes, old: str, new: str, after: bytes, context: ToolContext
) -> None:
    result, content = await change(context, before, old_string=old, new_string=new)
    assert content == after
    assert result.text.startswith("Edited file.txt: 1 replacement, now at line")
    assert not result.is_error


@pytest.mark.parametrize(
    ("before", "old", "new", "after"),
    [
        ("x = \u201ca\u201d\n", 'x = "a"', 'x = "b"', 'x = "b"\n'),
        ("it\u2019s\n", "it's", "it is", "it is\n"),
        ("1\u20132 \u2014 3\n", "1-2 - 3", "4", "4\n"),
        ("a\u00a0b\u3000c\n", "a b c", "d", "d\n"),
        ("\ufb01n\n", "fin", "fan", "fan\n"),
        ("cafe\u0301 x\n", "caf\u00e9", "tea", "tea x\n"),
        ("caf\u00e9 x\n", "cafe\u0301", "tea", "tea x\n"),
        ("\u1112\u1161\u11ab x\n", "\ud55c", "han", "han x\n"),
        ("q\u200bz\n", "qz", "c", "c\n"),
        # blanks at line ends
        ("a  \nb\t\nc\n", "a\nb\nc", "A\nB\nC", "A\nB\nC\n"),
        ("a\nb\nc\n", "a  \nb", "A\nB", "A\nB\nc\n"),
        ("a\nb  \nc\n", "b \n", "B\n", "a\nB\nc\n"),
        ("a\n\nb\n", "a\n  \nb", "a\nx\nb", "a\nx\nb\n"),
        ("a\n   \nb\n", "a\n\nb", "a\nx\nb", "a\nx\nb\n"),
        # lines that the edit does not change stay as they are
        (
            "say(\u201chi\u201d)  \nb\nsay(\u2018ho\u2019)\t\nend\u2026\n",
            "say(\"hi\")\nb\nsay('ho')",
            "say(\"hi\")\nB\nsay('ho')",
            "say(\u201chi\u201d)  \nB\nsay(\u2018ho\u2019)\t\nend\u2026\n",
        ),
        ("\u201chi\u201d\r\nb\nc\r\n", '"hi"\nb', '"hi"\nB', "\u201chi\u201d\r\nB\nc\r\n"),
        ("\u201chi\u201d\nend\n", '"hi"\nend', '"hi"\nmore\nend', "\u201chi\u201d\nmore\nend\n"),
        ("\u201chi\u201d\nend\n", '"hi"\nend', '"hi"', "\u201chi\u201d\n"),
    ],
)
async def test_what_differs_in_writing_only_is_matched_and_nothing_else_changes(
    before: str, old: str, new: str, after: str, context: ToolContext
) -> None:
    around = "\u201cabove\u201d  \n\u2014 \n{}\u201cbelow\u2026\u201d \t"
    result, content = await change(context, around.format(before).encode(), old_string=old, new_string=new)
    assert content.decode() == around.format(after)
    assert "old_string matched but for how quotes, dashes or blanks are written" in result.text


@pytest.mark.parametrize(
    ("before", "old"),
    [
        ("return xy\n", "return x "),  # blanks do not stand for more of the line
        ("  x\n", "\tx"),  # indentation is never guessed
        ("a\nb\n", "a b"),
        ("a\n", "   \n"),
        ("a\n", "\u00a0"),
        ("\ufb01n\n", "i\u2060n"),  # half a character
        ("f\ufb01\n", "ff\u2060"),
        ("X\n", "x"),
    ],
)
async def test_no_more_than_that_is_matched(before: str, old: str, context: ToolContext) -> None:
    assert "not in the file" in await refused(context, before.encode(), old_string=old, new_string="new")


async def test_an_exact_match_goes_before_one_that_is_alike(context: ToolContext) -> None:
    before = "'\u201c': '\"',\n'\"': '\"',\n"
    _, content = await change(context, before.encode(), old_string="'\"': '\"'", new_string="x")
    assert content.decode() == "'\u201c': '\"',\nx,\n"


@pytest.mark.parametrize(
    ("before", "old", "places"),
    [
        (b"a\nb\na\n", "a", "2 times, at lines 1 and 3"),
        (b"aaa", "aa", "2 times, at lines 1 and 1"),
        ("\u201ca\u201d\n\u201ea\u201c\n".encode(), '"a"', "2 times, at lines 1 and 2"),
        (b"x\n" * 30, "x\n", "30 times, at lines 1, 2, 3,"),
    ],
)
async def test_several_places_are_refused_and_named(before: bytes, old: str, places: str, context: ToolContext) -> None:
    message = await refused(context, before, old_string=old, new_string="n")
    assert f"old_string is found {places}" in message
    assert "replace_all" in message
    assert f"     1\t{before.decode().splitlines()[0]}" in message


async def test_replace_all(context: ToolContext) -> None:
    result, content = await change(context, b"a\r\nb a\naa\n", old_string="a", new_string="x\ny", replace_all=True)
    assert content == b"x\r\ny\r\nb x\ny\nx\nyx\ny\n"
    assert result.text == "Edited file.txt: 4 replacements, now at lines 1-2, 3-4, 5-6 and 6-7."
    _, content = await change(
        context, "\u201ca\u201d \u201ca\u201d".encode(), old_string='"a"', new_string="b", replace_all=True
    )
    assert content == b"b b"


async def test_a_great_many_places_are_replaced_fast_enough(context: ToolContext) -> None:
    result, content = await change(context, b"ab\n" * 100_000, old_string="a", new_string="c", replace_all=True)
    assert content == b"cb\n" * 100_000
    assert result.text.startswith("Edited file.txt: 100000 replacements, now at lines 1, 2,")
    assert len(result.text) < 200
    assert len(result.details["diff"]) < 60_000


async def test_too_many_places_or_lines_are_refused(context: ToolContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edit_module, "_MAX_REPLACEMENTS", 3)
    said = "old_string is found more than 3 times: use bash"
    assert said in await refused(context, b"aaaa", old_string="a", new_string="b", replace_all=True)
    assert said in await refused(context, b"aaaa", old_string="a", new_string="b")
    monkeypatch.setattr(edit_module, "_MAX_LINES", 3)
    assert "more than 3 lines" in await refused(context, b"a\n\n\n\n", old_string="a", new_string="b")


async def test_several_edits_are_made_together_on_the_original(context: ToolContext) -> None:
    result, content = await change(
        context,
        b"one\ntwo\nthree\nfour\n",
        edits=[one("three", "two"), one("one\n", ""), one("two", "three\n3")],
    )
    assert content == b"three\n3\ntwo\nfour\n"
    assert result.text == "Edited file.txt: 3 replacements, now at lines 1 (removed), 1-2 and 3."


async def test_edits_that_touch_do_not_overlap(context: ToolContext) -> None:
    _, content = await change(context, b"abcd", edits=[one("cd", "2"), one("ab", "1")])
    assert content == b"12"


@pytest.mark.parametrize(
    ("edits", "said"),
    [
        ([one("b\nc", "x"), one("a\nb", "y")], "Edits 1 and 2 overlap at line 2"),
        ([one("d", "x"), one("b", "y"), one("b", "y")], "Edits 2 and 3 overlap at line 2"),
        ([one("a\nb\nc\nd", "x"), one("c", "y")], "Edits 1 and 2 overlap at line 3"),
        ([one("a", "A"), one("zz", "y")], "Edit 2: old_string is not in the file"),
        ([one("a", "A"), one("A", "y")], "Every edit is matched against the file as it was before the call"),
        ([one("a", "A"), one("", "y")], "Edit 2: old_string is empty"),
        ([one("a", "A"), one("b", "b")], "Edit 2: old_string and new_string are the same"),
        ([one("a", "b\nb"), one("a\nb", "b\na")], "overlap"),
    ],
)
async def test_one_bad_edit_stops_them_all(edits: list[dict[str, str]], said: str, context: ToolContext) -> None:
    assert said in await refused(context, b"a\nb\nc\nd\n", edits=edits)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "old_string is empty. Use write"),
        ({"new_string": "x"}, "old_string is empty. Use write"),
        ({"old_string": "a", "new_string": "a"}, "are the same"),
        ({"old_string": "a", "new_string": "\ud800"}, "new_string is not valid Unicode"),
        ({"edits": [one("a", "b"), one("x\ud800", "y")]}, "Edit 2: old_string is not valid Unicode: character 1"),
        ({"old_string": "a\r\n", "new_string": "a\n"}, "are the same, but perhaps for line ends"),
        ({"old_string": "a", "new_string": "b", "edits": [one("a", "c")]}, "Give either edits, or old_string"),
        ({"edits": [one("a", "b"), one("b", "a")], "old_string": ""}, None),
    ],
)
async def test_what_is_asked_must_make_sense(
    arguments: dict[str, object], said: str | None, context: ToolContext
) -> None:
    if said is None:
        _, content = await change(context, b"a\nb\n", **arguments)
        assert content == b"b\na\n"
    else:
        assert said in await refused(context, b"a\nb\n", **arguments)


async def test_an_edit_that_would_change_nothing_is_refused(context: ToolContext) -> None:
    before = "x \u201ca\u201d\nb  \n"
    assert "would stay as it is" in await refused(
        context, before.encode(), edits=[one("x \u201ca\u201d\nb", "x \u201ca\u201d\nb "), one(" \n", "\n")]
    )


@pytest.mark.parametrize(
    ("before", "said"),
    [
        (b"caf\xe9\n", "is not UTF-8 text (byte 3 is 0xe9)"),
        (b"", "The file is empty: use write"),
    ],
)
async def test_files_that_cannot_be_edited(before: bytes, said: str, context: ToolContext) -> None:
    assert said in await refused(context, before, old_string="c", new_string="d")


async def test_files_that_are_none(context: ToolContext) -> None:
    os.mkfifo(context.cwd / "pipe")
    (context.cwd / "folder").mkdir()
    for name, said in (("pipe", "a named pipe"), ("folder", "Use ls"), ("nowhere", "Path not found")):
        with pytest.raises(ToolError, match=said):
            await edit(EditArguments(path=name, old_string="a", new_string="b"), context)


async def test_too_large_a_file_is_refused_without_being_read_whole(context: ToolContext) -> None:
    with (context.cwd / "large").open("wb") as file:
        file.truncate(2**26 + 1)
    with pytest.raises(ToolError, match="more than 64 MiB"):
        await edit(EditArguments(path="large", old_string="a", new_string="b"), context)


async def test_a_link_stays_a_link_and_the_mode_stays(context: ToolContext) -> None:
    target = context.cwd / "target"
    target.write_text("a\n")
    target.chmod(0o750)
    (context.cwd / "link").symlink_to("target")
    await edit(EditArguments(path="link", old_string="a", new_string="b"), context)
    assert (context.cwd / "link").readlink() == Path("target")
    assert target.read_text() == "b\n"
    assert target.stat().st_mode & 0o7777 == 0o750


async def test_the_policy_is_asked_to_write(make_context: MakeContext, fence: Fence) -> None:
    context = make_context(paths=fence)
    (context.cwd / "a").write_text("a")
    await edit(EditArguments(path="a", old_string="a", new_string="b"), context)
    assert fence.asked == [((context.cwd / "a").resolve(), True)]
    fence.root = context.cwd / "elsewhere"
    with pytest.raises(ToolError, match="outside"):
        await edit(EditArguments(path="a", old_string="b", new_string="c"), context)
    assert (context.cwd / "a").read_text() == "b"


async def test_the_diff_is_for_people(context: ToolContext) -> None:
    before = b"".join(b"%d\r\n" % number for number in range(1, 21))
    result, _ = await change(context, before, edits=[one("2\n3\n", "2\nx\n3\n"), one("18", "y")])
    assert result.details["diff"] == (
        "--- a/file.txt\n+++ b/file.txt\n"
        "@@ -1,5 +1,6 @@\n 1\n 2\n+x\n 3\n 4\n 5\n"
        "@@ -15,6 +16,6 @@\n 15\n 16\n 17\n-18\n+y\n 19\n 20"
    )
    assert "x" not in result.text.replace("file.txt", "")


@pytest.mark.parametrize("change_it", ["other", "same size", "gone", "pipe"])
async def test_what_another_writes_meanwhile_is_not_lost(
    change_it: str, context: ToolContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = context.cwd / "file.txt"
    path.write_text("a\n")
    state = path.stat()
    real = os.fsync

    def meanwhile(descriptor: int) -> None:
        real(descriptor)
        if change_it in {"other", "same size"}:
            path.write_text("by another\n" if change_it == "other" else "z\n")
            os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
        else:
            path.unlink()
            if change_it == "pipe":
                os.mkfifo(path)

    monkeypatch.setattr(os, "fsync", meanwhile)
    with pytest.raises(ToolError) as caught:
        await edit(EditArguments(path="file.txt", old_string="a", new_string="b"), context)
    names = [entry.name for entry in context.cwd.iterdir()]
    if change_it == "gone":
        assert names == []
        assert "Path not found" in str(caught.value)
    else:
        assert names == ["file.txt"]
    if change_it in {"other", "same size"}:
        assert "was changed by something else" in str(caught.value)
        assert path.read_text() in {"by another\n", "z\n"}


async def test_of_edits_at_the_same_time_none_is_lost(context: ToolContext) -> None:
    """Each counts in a line of its own; one that comes too late is refused, and tries again."""
    path = context.cwd / "file.txt"
    path.write_text("".join(f"{name} 0\n" for name in "abcd"))
    rounds = 15

    async def count(name: str) -> None:
        number = 0
        while number < rounds:
            arguments = EditArguments(
                path="file.txt", old_string=f"{name} {number}\n", new_string=f"{name} {number + 1}\n"
            )
            try:
                await edit(arguments, context)
            except ToolError as error:
                assert "was changed by something else" in str(error)  # noqa: PT017 - refusals are expected here
            else:
                number += 1

    await asyncio.gather(*map(count, "abcd"))
    assert path.read_text() == "".join(f"{name} {rounds}\n" for name in "abcd")
    assert [entry.name for entry in context.cwd.iterdir()] == ["file.txt"]


async def test_a_lock_that_another_holds_for_its_own_reasons_does_not_stop_an_edit(
    context: ToolContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edit_module, "_LOCK_TRIES", 2)
    path = context.cwd / "file.txt"
    path.write_text("a\n")
    with path.open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        await edit(EditArguments(path="file.txt", old_string="a", new_string="b"), context)
    assert path.read_text() == "b\n"


async def test_a_touched_file_that_holds_the_same_is_edited(
    context: ToolContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = context.cwd / "file.txt"
    path.write_text("a\n")
    monkeypatch.setattr(os, "fsync", lambda descriptor: os.utime(path, (1, 1)))
    await edit(EditArguments(path="file.txt", old_string="a", new_string="b"), context)
    assert path.read_text() == "b\n"


async def test_a_write_that_has_begun_is_finished_before_the_cancellation_goes_on(
    context: ToolContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = context.cwd / "file.txt"
    path.write_text("a\n")
    begun, go_on = threading.Event(), threading.Event()

    def slow(descriptor: int) -> None:
        begun.set()
        assert go_on.wait(30)

    monkeypatch.setattr(os, "fsync", slow)
    task = asyncio.create_task(edit(EditArguments(path="file.txt", old_string="a", new_string="b"), context))
    await asyncio.to_thread(begun.wait, 30)
    task.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not task.done()
    assert path.read_text() == "a\n"
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert path.read_text() == "b\n"
    assert [entry.name for entry in context.cwd.iterdir()] == ["file.txt"]


async def test_the_event_loop_goes_on_meanwhile(context: ToolContext, monkeypatch: pytest.MonkeyPatch) -> None:
    path = context.cwd / "file.txt"
    path.write_text("a\n")
    go_on = threading.Event()
    monkeypatch.setattr(os, "fsync", lambda descriptor: go_on.wait(30))
    task = asyncio.create_task(edit(EditArguments(path="file.txt", old_string="a", new_string="b"), context))
    for _ in range(100):
        await asyncio.sleep(0)
    assert not task.done()
    go_on.set()
    await task
    assert path.read_text() == "b\n"
