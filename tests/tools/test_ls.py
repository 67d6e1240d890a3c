"""`ls` on real folders."""

import os

import pytest
from tests.tools.conftest import Fence, MakeContext

from beyond_ai import ToolContext, ToolError, ToolLimits
from beyond_ai_tools.coding.ls import LsArguments, ls


async def listed(context: ToolContext, **arguments: object) -> list[str]:
    return (await ls(LsArguments(**arguments), context)).text.split("\n")


async def test_directories_come_first_and_neither_accents_nor_case_matter(context: ToolContext) -> None:
    for name in ("zebra", "\u00c9tude", "Eta", "abc", "B.txt", "a.txt", "\u00e1b", ".hidden"):
        (context.cwd / name).touch()
    for name in ("src", "Docs", ".git"):
        (context.cwd / name).mkdir()
    (context.cwd / "to_folder").symlink_to("src")
    (context.cwd / "to_nothing").symlink_to("nowhere")
    shown = [
        "Docs/",
        "src/",
        "to_folder/",
        "a.txt",
        "\u00e1b",
        "abc",
        "B.txt",
        "Eta",
        "\u00c9tude",
        "to_nothing",
        "zebra",
    ]
    assert await listed(context) == [*shown, "[2 hidden entries not shown. Set all to see them.]"]
    assert await listed(context, all=True) == [".git/", *shown[:3], ".hidden", *shown[3:]]


async def test_an_empty_directory(context: ToolContext) -> None:
    assert await listed(context) == ["(empty directory)"]
    (context.cwd / ".keep").touch()
    assert await listed(context) == ["(empty directory)", "[1 hidden entry not shown. Set all to see them.]"]


async def test_entries_are_limited(context: ToolContext) -> None:
    for number in range(600):
        (context.cwd / f"f{number:04}").touch()
    *entries, marker = await listed(context)
    assert len(entries) == 500
    assert marker == "[500 of 600 entries shown. Set limit, up to 10000, or use find.]"
    assert len(await listed(context, limit=600)) == 600
    assert (await listed(context, limit=1))[0] == "f0000"


async def test_bytes_are_limited(make_context: MakeContext) -> None:
    context = make_context(limits=ToolLimits(bytes=20))
    for name in "abcd":
        (context.cwd / (name * 8)).touch()
    assert await listed(context) == ["aaaaaaaa", "bbbbbbbb", "[2 of 4 entries shown. Use find for the others.]"]


async def test_names_of_any_bytes(context: ToolContext) -> None:
    (context.cwd / "two\nlines").touch()
    (context.cwd / os.fsdecode(b"caf\xe9")).touch()
    assert await listed(context) == ["caf\ufffd", "two\\nlines"]


async def test_pipes_are_listed_without_being_opened(context: ToolContext) -> None:
    os.mkfifo(context.cwd / "pipe")
    assert await listed(context) == ["pipe"]


async def test_what_is_no_directory(context: ToolContext) -> None:
    (context.cwd / "file.txt").touch()
    with pytest.raises(ToolError, match=r"Not a directory: file\.txt"):
        await listed(context, path="file.txt")
    with pytest.raises(ToolError, match=r"Path not found: file. Near it: file\.txt"):
        await listed(context, path="file")
    with pytest.raises(ToolError, match="a part of the path is a file"):
        await listed(context, path="file.txt/x")


async def test_the_policy_is_asked(make_context: MakeContext, fence: Fence) -> None:
    context = make_context(paths=fence)
    fence.root = context.cwd.resolve()
    (context.cwd / "out").symlink_to("/")
    for path in ("..", "out", "/"):
        with pytest.raises(ToolError, match="outside"):
            await listed(context, path=path)
    assert await listed(context) == ["out/"]
