"""The tool `find`, and the globs that it shares with `grep`."""

import asyncio
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.tools.conftest import Fence, MakeContext, Switch
from tests.tools.shown import shown_size

from beyond_ai import ToolContext, ToolError, ToolLimits, ToolResult
from beyond_ai_tools.coding.find import FindArguments, beyond_tools, find
from beyond_ai_tools.coding.globs import Glob, GlobError


async def run(context: ToolContext, pattern: str, **more: object) -> ToolResult:
    return await find(FindArguments.model_validate({"pattern": pattern, **more}, strict=True), context)


async def paths(context: ToolContext, pattern: str, **more: object) -> list[str]:
    return (await run(context, pattern, **more)).text.split("\n")


@pytest.fixture
def project(context: ToolContext) -> ToolContext:
    for name in [
        "README.md",
        "src/app.py",
        "src/web/App.tsx",
        "src/web/util.ts",
        "build/x.py",
        ".hid/y.py",
        ".git/z.py",
    ]:
        path = context.cwd / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (context.cwd / ".gitignore").write_text("build\n")
    (context.cwd / "empty").mkdir()
    (context.cwd / "CLAUDE.md").symlink_to("README.md")
    (context.cwd / "loop").symlink_to(".")
    return context


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.py", [".hid/y.py", "src/app.py"]),
        ("*.md", ["CLAUDE.md", "README.md"]),
        ("app*", ["src/app.py", "src/web/App.tsx"]),
        ("App*", ["src/web/App.tsx"]),
        ("src", ["src/"]),
        ("empty", ["empty/"]),
        ("web/*", ["src/web/App.tsx", "src/web/util.ts"]),
        ("src/**/*.{ts,tsx}", ["src/web/App.tsx", "src/web/util.ts"]),
        ("/*.md", ["CLAUDE.md", "README.md"]),
        ("/app.py", ["No files found matching the pattern."]),
        ("src/**", ["src/app.py", "src/web/", "src/web/App.tsx", "src/web/util.ts"]),
        ("loop", ["loop"]),
        ("x.py", ["No files found matching the pattern."]),
        ("**", [".gitignore", ".hid/", ".hid/y.py", "CLAUDE.md", "README.md", "empty/", "loop", "src/", "src/app.py",
                "src/web/", "src/web/App.tsx", "src/web/util.ts"]),
    ],
)  # fmt: skip
async def test_what_is_found(project: ToolContext, pattern: str, expected: list[str]) -> None:
    assert await paths(project, pattern) == expected


async def test_below_a_path(project: ToolContext) -> None:
    assert await paths(project, "*.ts", path="src/web") == ["src/web/util.ts"]
    assert await paths(project, "src/web/*.ts", path="src") == ["src/web/util.ts"]
    assert await paths(project, "*.py", path="build") == ["build/x.py"]


async def test_what_cannot_be_searched(project: ToolContext, make_context: MakeContext, fence: Fence) -> None:
    with pytest.raises(ToolError, match="Path not found"):
        await run(project, "*", path="nowhere")
    with pytest.raises(ToolError, match="Not a directory: README"):
        await run(project, "*", path="README.md")
    with pytest.raises(ToolError, match="not valid"):
        await run(project, "[a")
    fence.root = project.cwd / "src"
    with pytest.raises(ToolError, match="outside"):
        await run(make_context(paths=fence), "*")


async def test_limits(project: ToolContext, make_context: MakeContext) -> None:
    assert (await run(project, "*.py", limit=1)).text == (
        ".hid/y.py\n\n[1 paths shown, there are more. Narrow the pattern or the path, or raise limit.]"
    )
    assert "more" not in (await run(project, "*.py", limit=2)).text
    short = make_context(limits=ToolLimits(lines=1))
    assert (await run(short, "*.py")).text == ".hid/y.py\n\n[Line 1 of 2 shown. Narrow the pattern or the path.]"
    assert (await run(short, "**", limit=2)).text.startswith(".gitignore\n\n[Line 1 of 2 shown.")


async def test_a_folder_that_may_not_be_read(context: ToolContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """`test_grep` has it with real permissions; here for a folder that fails to list."""
    (context.cwd / "bad").mkdir()
    (context.cwd / "good.py").touch()
    real = os.scandir

    def scandir(path: str) -> object:
        if path.endswith("/bad"):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr("beyond_ai_tools.coding.walk.os.scandir", scandir)
    assert (await run(context, "*.py")).text == "good.py\n\n[Could not be read: bad (Permission denied)]"
    with pytest.raises(
        ToolError, match=r"No files found, but not everything could be searched\. Could not be read: bad"
    ):
        await run(context, "*.ts")


async def test_an_ignore_file_that_is_none(context: ToolContext) -> None:
    for name in ("a", "b", "c"):
        (context.cwd / name).mkdir()
        (context.cwd / name / "x").touch()
    os.mkfifo(context.cwd / "a" / ".gitignore")
    (context.cwd / "b" / ".gitignore").mkdir()
    (context.cwd / "c" / ".gitignore").write_bytes(b"\xff\n\xef\xbb\xbf\n[\n\\\nx\r\n")
    assert await paths(context, "x") == ["a/x", "b/x"]


async def test_cancelling_stops_the_walk(
    make_context: MakeContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(600):
        (tmp_path / str(number)).touch()
    switch = Switch()
    switch.set()
    with pytest.raises(ToolError, match="cancelled"):
        await run(make_context(cancellation=switch), "*")
    begun, gate, ended = threading.Event(), threading.Event(), threading.Event()
    real = os.scandir

    def scandir(path: str) -> object:
        begun.set()
        gate.wait(5)
        try:
            return real(path)
        finally:
            ended.set()

    monkeypatch.setattr("beyond_ai_tools.coding.walk.os.scandir", scandir)
    search = asyncio.create_task(run(make_context(), "*"))
    await asyncio.to_thread(begun.wait, 5)
    search.cancel()
    with pytest.raises(asyncio.CancelledError):
        await search
    gate.set()
    assert await asyncio.to_thread(ended.wait, 5)


@pytest.mark.parametrize(
    ("glob", "path", "fits"),
    [
        ("*.py", "a/b/c.py", True), ("*.py", "c.pyc", False), ("?.py", "a.py", True), ("?.py", "ab.py", False),
        ("a/*.py", "x/a/b.py", True), ("/a/*.py", "x/a/b.py", False), ("a/**/b", "a/b", True),
        ("a/**/b", "a/x/y/b", True), ("**/b", "b", True), ("a/**", "a", False), ("a/**", "a/x/y", True),
        ("[!a]b", "ab", False), ("[!a]b", "cb", True), ("[a-c]x", "bx", True), ("[]a]", "]", True),
        ("[.]x", ".x", True), ("[!a]b", "/b", False), (r"\*", "*", True), (r"\*", "a", False), ("/", "a/b", True),
        ("{a,b{c,d}}", "bd", True), ("{a,b}", "c", False), ("a**b", "axb", True), ("./a", "a", True),
        ("*.PY", "a.py", False), ("src/", "src/x", True), ("src/", "src", False),
        ("a+b(c)", "a+b(c)", True), ("a{b", "a{b", True), ("é*", "éa", True), ("a\nb", "a\nb", True),
    ],
)  # fmt: skip
def test_globs(glob: str, path: str, fits: bool) -> None:
    assert Glob(glob).matches(path) == fits


@pytest.mark.parametrize("glob", ["[a", "[", "[!", "[b-a]", "a[/]b", "!", "{,a}", "{a,b}" * 9])
def test_globs_that_are_none(glob: str) -> None:
    with pytest.raises(GlobError):
        Glob(glob)


@given(st.text("ab*?[]!-{},\\/.\n", min_size=1, max_size=12), st.text("ab/.[-\n", min_size=1, max_size=8))
def test_any_glob_either_works_or_is_refused(glob: str, path: str) -> None:
    try:
        made = Glob(glob)
    except GlobError:
        return
    assert made.lets_pass(path) in (True, False)
    if not made.excludes and made.names and made.lets_pass(path):
        assert any(Glob(name).matches(path.rpartition("/")[2]) for name in made.names)


def test_how_the_model_sees_it() -> None:
    [tool] = beyond_tools()
    assert tool.read_only
    assert shown_size(tool) <= 450
