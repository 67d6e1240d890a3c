"""The tool `grep`, with ripgrep where it is installed, and always without it too."""

import asyncio
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from tests.tools.conftest import Fence, MakeContext, Switch
from tests.tools.shown import shown_size

from beyond_ai import ToolContext, ToolError, ToolLimits, ToolResult
from beyond_ai_tools.coding import python_search
from beyond_ai_tools.coding.found import Found, Search
from beyond_ai_tools.coding.grep import GrepArguments, beyond_tools, grep

RG = shutil.which("rg")


@pytest.fixture(params=["ripgrep", "python"])
def environment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A PATH on which there is nothing but ripgrep, or nothing at all."""
    folder = tmp_path_factory.mktemp("programs")
    if request.param == "ripgrep":
        if RG is None:
            pytest.skip("ripgrep is not installed")
        (folder / "rg").symlink_to(RG)
    return {"PATH": str(folder)}


@pytest.fixture
def context(make_context: MakeContext, environment: dict[str, str]) -> ToolContext:
    return make_context(environment=environment)


async def run(context: ToolContext, pattern: str, /, **more: object) -> ToolResult:
    return await grep(GrepArguments.model_validate({"pattern": pattern, **more}, strict=True), context)


async def text(context: ToolContext, pattern: str, /, **more: object) -> str:
    result = await run(context, pattern, **more)
    assert not result.is_error
    return result.text


def write(context: ToolContext, **files: str) -> None:
    for name, content in files.items():
        (context.cwd / name).write_text(content)


def rows(*lines: str) -> str:
    return "\n".join(lines)


@pytest.fixture
def project(context: ToolContext) -> ToolContext:
    files = {
        "b.py": "import os\n\ndef needle():\n    return os\n",
        "a.txt": "A Needle.\nneedle (1)\n",
        "src/c.py": "x = 1\nneedle()\n",
        "src/deep/d.ts": "needle;\n",
        "build/out.py": "needle\n",
        ".hidden/e.py": "# needle\n",
        ".git/config": "needle\n",
        ".gitignore": "build/\n",
    }
    for name, content in files.items():
        path = context.cwd / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return context


async def test_matches_come_sorted_with_path_and_line(project: ToolContext) -> None:
    assert await text(project, "needle") == rows(
        ".hidden/e.py:1: # needle",
        "a.txt:2: needle (1)",
        "b.py:3: def needle():",
        "src/c.py:2: needle()",
        "src/deep/d.ts:1: needle;",
    )


async def test_nothing_found(project: ToolContext) -> None:
    assert await text(project, "nowhere") == "No matches found."
    assert await text(project, r"os\n\ndef") == "No matches found. Patterns are searched for within single lines."


@pytest.mark.parametrize(
    ("more", "files"),
    [
        ({"glob": "*.py"}, [".hidden/e.py", "b.py", "src/c.py"]),
        ({"glob": "*.{ts,txt}"}, ["a.txt", "src/deep/d.ts"]),
        ({"glob": "src/**"}, ["src/c.py", "src/deep/d.ts"]),
        ({"glob": "!*.py"}, ["a.txt", "src/deep/d.ts"]),
        ({"glob": "!src"}, [".hidden/e.py", "a.txt", "b.py"]),
        ({"path": "src"}, ["src/c.py", "src/deep/d.ts"]),
        ({"path": "src", "glob": "src/*.py"}, ["src/c.py"]),
        ({"path": "src", "glob": "deep/*"}, ["src/deep/d.ts"]),
        ({"path": "src/c.py"}, ["src/c.py"]),
        ({"path": "src/c.py", "glob": "*.ts"}, ["src/c.py"]),
        ({"path": "build"}, ["build/out.py"]),
        ({"path": "build/out.py"}, ["build/out.py"]),
    ],
)
async def test_where(project: ToolContext, more: dict[str, str], files: list[str]) -> None:
    assert [line.partition(":")[0] for line in (await text(project, "needle", **more)).split("\n")] == files


async def test_ignore_case_and_literal(project: ToolContext) -> None:
    assert (await text(project, "NEEDLE", ignore_case=True, path="a.txt")) == "a.txt:1: A Needle.\na.txt:2: needle (1)"
    assert await text(project, "needle (1)", literal=True) == "a.txt:2: needle (1)"
    assert await text(project, "e(1", literal=True) == "No matches found."


@pytest.mark.parametrize("pattern", ["-e", "--version", "-"])
async def test_a_pattern_that_looks_like_an_option(context: ToolContext, pattern: str) -> None:
    write(context, a=f"x {pattern} y\n", b="nothing\n")
    assert await text(context, pattern) == f"a:1: x {pattern} y"
    assert await text(context, pattern, literal=True, path="a") == f"a:1: x {pattern} y"


async def test_lines_around(context: ToolContext) -> None:
    write(context, a="".join(f"{number}\n" for number in range(1, 12)), b="2\n")
    assert await text(context, "^[29]$", context=1) == rows(
        "a-1- 1", "a:2: 2", "a-3- 3", "--", "a-8- 8", "a:9: 9", "a-10- 10", "--", "b:1: 2"
    )
    assert await text(context, "^[24]$", context=1, path="a") == "a-1- 1\na:2: 2\na-3- 3\na:4: 4\na-5- 5"


async def test_a_limit_of_matches(context: ToolContext) -> None:
    write(context, a="x\nx\nx\n", b="x\n", c="\0x\n")
    more = "[2 matching lines shown, there are more. Narrow it with path, glob or pattern, or raise limit.]"
    assert await text(context, "x", limit=2) == f"a:1: x\na:2: x\n\n{more}"
    assert "more" not in await text(context, "x", limit=4), "what is binary is no more"
    assert "more" in await text(context, "x", limit=3)
    for wrong in (0, 10_001):
        with pytest.raises(ValueError, match="limit"):
            GrepArguments.model_validate({"pattern": "x", "limit": wrong})


async def test_long_lines_and_results_are_cut(make_context: MakeContext, environment: dict[str, str]) -> None:
    context = make_context(environment=environment, limits=ToolLimits(bytes=2000))
    write(context, a="x" * 100_000 + "\n", b="x\n" * 1000)
    whole = await text(context, "x", limit=10_000)
    first, *rest, empty, marker = whole.split("\n")
    assert first == f"a:1: {'x' * 500}... [99500 more bytes in this line]"
    assert empty == ""
    assert re.fullmatch(r"\[Lines 1-\d+ of \d+ shown\. Narrow it with path, glob or pattern\.\]", marker)
    assert len(whole) < 2200
    assert rest[-1] == f"b:{len(rest)}: x"


async def test_encodings(context: ToolContext) -> None:
    (context.cwd / "bom.txt").write_bytes(b"\xef\xbb\xbfneedle bom\r\nend\r\n")
    (context.cwd / "latin.txt").write_bytes(b"needle caf\xe9\n")
    (context.cwd / "utf16.txt").write_bytes("a\r\nneedle größe\r\n".encode("utf-16"))
    (context.cwd / "zero.bin").write_bytes(b"needle\n" * 10 + b"\0")
    assert (
        await text(context, "^needle")
        == "bom.txt:1: needle bom\nlatin.txt:1: needle caf\ufffd\nutf16.txt:2: needle größe"
    )
    assert await text(context, "end$") == "bom.txt:2: end"


async def test_odd_names(context: ToolContext) -> None:
    names = [b"-rf", b"a:1: b", b"n\xf6", b"new\nline", b"sp ace", b"tab\t"]
    for name in map(os.fsdecode, names):
        write(context, **{name: "needle\n"})
    shown = ["-rf", "a:1: b", "new\\nline", "n\ufffd", "sp ace", "tab\\t"]
    assert await text(context, "needle") == "\n".join(f"{name}:1: needle" for name in shown)
    assert await text(context, "needle", path="-rf") == "-rf:1: needle"


async def test_links_are_not_followed_unless_asked_for(context: ToolContext) -> None:
    write(context, a="needle\n")
    (context.cwd / "link").symlink_to("a")
    (context.cwd / "loop").symlink_to(".")
    (context.cwd / "broken").symlink_to("nowhere")
    assert await text(context, "needle") == "a:1: needle"
    assert await text(context, "needle", path="link") == "a:1: needle"
    with pytest.raises(ToolError, match="Path not found: nowhere"):
        await run(context, "needle", path="broken")


async def test_what_cannot_be_searched_is_an_error(
    project: ToolContext, make_context: MakeContext, fence: Fence
) -> None:
    (project.cwd / "x.bin").write_bytes(b"needle\0")
    os.mkfifo(project.cwd / "pipe")
    for more, why in [
        ({"path": "nowhere"}, "Path not found"),
        ({"path": "x.bin"}, "x.bin is a binary file"),
        ({"path": "pipe"}, "named pipe"),
        ({"glob": "a[b"}, r"The glob a\[b is not valid: a \[ has no \]"),
        ({"glob": "{" + "a," * 300 + "}"}, "too many choices"),
        ({"glob": "!"}, "it is empty"),
    ]:
        with pytest.raises(ToolError, match=why):
            await run(project, "needle", **more)
    with pytest.raises(ToolError, match=r"no valid regular expression: .*unterminated.*set literal"):
        await run(project, "needle(")
    for pattern in ("a\nb", "a\0b"):
        with pytest.raises(ToolError, match="within one line"):
            await run(project, pattern)
    with pytest.raises(ValueError, match="pattern"):
        GrepArguments.model_validate({"pattern": ""})
    fence.root = project.cwd.resolve() / "src"
    with pytest.raises(ToolError, match="outside"):
        await run(make_context(environment=dict(project.environment), paths=fence), "needle", path="..")


async def test_patterns_that_only_python_knows(project: ToolContext) -> None:
    assert await text(project, r"(?<=def )needle") == "b.py:3: def needle():"
    assert await text(project, r"needle(?!\()") == rows(
        ".hidden/e.py:1: # needle", "a.txt:2: needle (1)", "src/deep/d.ts:1: needle;"
    )
    assert await text(project, r"(e)\1") != "No matches found."


async def test_the_rules_of_a_repository_above_hold_in_its_folders(context: ToolContext) -> None:
    (context.cwd / ".git").mkdir()
    write(context, **{".gitignore": "*.log\n/src/gen/\n"})
    (context.cwd / "src" / "gen").mkdir(parents=True)
    for name in ("src/a.log", "src/b", "src/gen/c"):
        (context.cwd / name).write_text("needle\n")
    assert await text(context, "needle", path="src") == "src/b:1: needle"
    assert await text(context, "needle", glob="*.log") == "No matches found.", "a glob takes back nothing"


async def test_the_users_own_settings_of_ripgrep_change_nothing(
    make_context: MakeContext, environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "config").write_text("--invert-match\n")
    context = make_context(environment={**environment, "RIPGREP_CONFIG_PATH": str(tmp_path / "config")})
    write(context, a="needle\nhay\n")
    assert await text(context, "needle", path="a") == "a:1: needle"


@contextmanager
def nobody() -> Iterator[None]:
    """Root may read everything: be nobody for as long."""
    was = os.geteuid()
    if was == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        if was == 0:
            os.seteuid(0)


@pytest.fixture
def locked() -> Iterator[Path]:
    """A folder with a folder and a file in it that we may not read."""
    with TemporaryDirectory() as name:
        folder = Path(os.path.realpath(name))
        folder.chmod(0o755)
        (folder / "dir").mkdir()
        for path in ("dir/inner", "file", "open"):
            (folder / path).write_text("needle\n")
        for path in ("dir", "file"):
            (folder / path).chmod(0)
        yield folder
        (folder / "dir").chmod(0o700)


async def test_what_may_not_be_read_is_told(
    locked: Path, make_context: MakeContext, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def search_here(wanted: Search, context: ToolContext) -> Found:
        return python_search.search(wanted)

    # as nobody we may not start this Python, if it is root's
    monkeypatch.setattr("beyond_ai_tools.coding.grep._search_with_python", search_here)
    path = os.path.dirname(RG or "") if os.listdir(environment["PATH"]) else "/nowhere"
    context = make_context(cwd=locked, environment={"PATH": path})
    unread = "Could not be read: dir (Permission denied), file (Permission denied)"
    with nobody():
        assert await text(context, "needle") == f"open:1: needle\n\n[{unread}]"
        with pytest.raises(ToolError) as nothing:
            await run(context, "nowhere")
        with pytest.raises(ToolError, match="permission denied"):
            await run(context, "needle", path="file")
    assert str(nothing.value) == f"No matches found, but not everything could be searched. {unread}."


class Closed(Fence):
    """Nothing in it may be read but `open`."""

    def check(self, path: Path, *, write: bool) -> None:
        if path.is_file() and path.name != "open":
            raise ToolError("closed")


async def test_what_the_policy_refuses_is_not_shown(make_context: MakeContext, environment: dict[str, str]) -> None:
    context = make_context(environment=environment, paths=Closed())
    write(context, a="needle secret\n", open="needle\nhay\n")
    left_out = "[Left out: 1 file with matches that may not be read.]"
    assert await text(context, "needle") == f"open:1: needle\n\n{left_out}"
    assert await text(context, "secret") == f"No other matches found.\n\n{left_out}"


def workers() -> list[int]:
    """The searches that run below this process."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdecimal() and int(name) != os.getpid():
            try:
                stat = Path("/proc", name, "stat").read_text()
            except OSError:
                continue
            state, parent, *_ = stat.rpartition(")")[2].split()
            if int(parent) == os.getpid() and state not in "ZX" and ("(rg)" in stat or "(python" in stat):
                found.append(int(name))
    return found


def until(condition: Callable[[], object], within: float = 5.0) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "it has not happened"
        time.sleep(0.005)


@pytest.mark.parametrize(
    ("script", "outcome"),
    [("kill -9 $$", "killed by signal 9"), ("echo broken >&2; exit 127", None), ("exit 2", None)],
)
async def test_a_ripgrep_that_fails(
    make_context: MakeContext, tmp_path: Path, script: str, outcome: str | None
) -> None:
    """Where it does not take the search, Python makes it; where it is killed, nothing is taken for no matches."""
    (tmp_path / "rg").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "rg").chmod(0o755)
    context = make_context(environment={"PATH": str(tmp_path)})
    write(context, a="needle\n")
    if outcome is None:
        assert await text(context, "needle") == "a:1: needle"
    else:
        with pytest.raises(ToolError, match=outcome):
            await run(context, "needle")


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    """A program in the place of ripgrep that never ends."""
    folder = tmp_path / "programs"
    folder.mkdir()
    (folder / "rg").write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec /bin/sleep 60\n")
    (folder / "rg").chmod(0o755)
    return folder


@pytest.mark.parametrize("how", ["cancellation", "task"])
async def test_cancelling_kills_ripgrep(endless: Path, make_context: MakeContext, tmp_path: Path, how: str) -> None:
    switch = Switch()
    context = make_context(environment={"PATH": str(endless)}, cancellation=switch)
    search = asyncio.create_task(run(context, "needle"))
    pid_file = tmp_path / "pid"
    await asyncio.to_thread(until, lambda: pid_file.exists() and pid_file.read_text().strip())
    if how == "task":
        search.cancel()
        with pytest.raises(asyncio.CancelledError):
            await search
    else:
        switch.set()
        with pytest.raises(ToolError, match="The search was cancelled"):
            await search
    pid = int(pid_file.read_text())
    until(lambda: not os.path.exists(f"/proc/{pid}"))


async def test_a_pattern_that_takes_for_ever_can_be_cancelled(make_context: MakeContext) -> None:
    """Python's engine backtracks; it does so in a process of its own."""
    switch = Switch()
    context = make_context(environment={"PATH": "/nowhere"}, cancellation=switch)
    write(context, a="a" * 60 + "!\n")
    search = asyncio.create_task(run(context, "(a+)+$"))
    await asyncio.to_thread(until, workers)
    switch.set()
    with pytest.raises(ToolError, match="The search was cancelled"):
        await asyncio.wait_for(search, 5)
    until(lambda: not workers())


async def test_modules_in_the_working_folder_are_not_loaded(make_context: MakeContext) -> None:
    context = make_context(environment={"PATH": "/nowhere"})
    write(context, **{"re.py": "needle", "json.py": "raise SystemExit(3)", "beyond_ai_tools.py": "raise SystemExit(3)"})
    assert await text(context, "needle") == "re.py:1: needle"


def test_how_the_model_sees_it() -> None:
    [tool] = beyond_tools()
    assert tool.read_only
    assert not tool.exclusive
    assert shown_size(tool) <= 800
