"""`write` on real files, and what is left when it fails."""

import asyncio
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from tests.tools.conftest import Fence, MakeContext

from beyond_ai import ToolContext, ToolError
from beyond_ai_tools.coding import atomic
from beyond_ai_tools.coding.write import WriteArguments, write


async def wrote(context: ToolContext, path: str, content: str) -> str:
    return (await write(WriteArguments(path=path, content=content), context)).text


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize(
    ("content", "amount"),
    [
        ("", "0 bytes, 0 lines"),
        ("a", "1 byte, 1 line"),
        ("a\nb\n", "4 bytes, 2 lines"),
        ("\u20ac\r\n\n", "6 bytes, 2 lines"),
    ],
)
async def test_a_file_is_made_with_its_folders(content: str, amount: str, context: ToolContext) -> None:
    assert await wrote(context, "a/b/c.txt", content) == f"Created a/b/c.txt: {amount}."
    assert (context.cwd / "a/b/c.txt").read_bytes() == content.encode()
    assert tree(context.cwd) == ["a", "a/b", "a/b/c.txt"]


async def test_a_file_is_replaced_and_keeps_its_mode(context: ToolContext) -> None:
    path = context.cwd / "a.sh"
    path.write_text("old and longer\n")
    path.chmod(0o751)
    result = await write(WriteArguments(path="a.sh", content="new\n"), context)
    assert result.text == "Replaced a.sh: 4 bytes, 1 line."
    assert result.details["diff"] == "--- a/a.sh\n+++ b/a.sh\n@@ -1 +1 @@\n-old and longer\n+new"
    assert path.read_text() == "new\n"
    assert path.stat().st_mode & 0o7777 == 0o751


async def test_a_new_file_has_the_mode_that_the_umask_leaves(context: ToolContext) -> None:
    before = os.umask(0o027)
    try:
        await wrote(context, "a", "x")
    finally:
        os.umask(before)
    assert (context.cwd / "a").stat().st_mode & 0o7777 == 0o640


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
async def test_the_owner_stays(context: ToolContext) -> None:
    path = context.cwd / "a"
    path.write_text("x")
    os.chown(path, 65534, 65534)
    await wrote(context, "a", "y")
    assert (path.stat().st_uid, path.stat().st_gid) == (65534, 65534)


async def test_what_is_there_already_is_not_written_again(context: ToolContext) -> None:
    await wrote(context, "a", "x\n")
    before = (context.cwd / "a").stat()
    assert await wrote(context, "a", "x\n") == "a has this content already (2 bytes, 1 line); nothing was written."
    assert (context.cwd / "a").stat() == before


async def test_a_link_is_followed_also_to_what_is_not_there_yet(context: ToolContext) -> None:
    (context.cwd / "real").mkdir()
    (context.cwd / "real/a").write_text("x")
    (context.cwd / "link").symlink_to("real/a")
    (context.cwd / "dangling").symlink_to("real/b")
    await wrote(context, "link", "1")
    await wrote(context, "dangling", "2")
    assert (context.cwd / "link").is_symlink()
    assert (context.cwd / "dangling").is_symlink()
    assert (context.cwd / "real/a").read_text() == "1"
    assert (context.cwd / "real/b").read_text() == "2"
    assert tree(context.cwd) == ["dangling", "link", "real", "real/a", "real/b"]


async def test_line_ends_that_are_lost_are_named(context: ToolContext) -> None:
    (context.cwd / "a").write_bytes(b"a\r\n")
    assert (await wrote(context, "a", "b\n")).endswith("Its lines ended in CR LF and now end in LF.")
    (context.cwd / "a").write_bytes(b"a\r\n")
    assert (await wrote(context, "a", "b\r\n")) == "Replaced a: 3 bytes, 1 line."


async def test_what_is_no_file_is_refused(context: ToolContext) -> None:
    os.mkfifo(context.cwd / "pipe")
    (context.cwd / "folder").mkdir()
    (context.cwd / "file").touch()
    for name, said in (
        ("pipe", "a named pipe"),
        ("folder", "is a directory"),
        ("/dev/null", "a character device"),
        ("file/below", "a part of the path is a file"),
        ("file/below/more", "a part of the path is a file"),
    ):
        with pytest.raises(ToolError, match=said):
            await wrote(context, name, "x")
    assert tree(context.cwd) == ["file", "folder", "pipe"]


async def test_half_a_surrogate_pair_is_refused(context: ToolContext) -> None:
    with pytest.raises(ToolError, match="character 1 is half of a surrogate pair"):
        await wrote(context, "a", "x\ud800")
    assert tree(context.cwd) == []


async def test_the_policy_is_asked_to_write(make_context: MakeContext, fence: Fence) -> None:
    context = make_context(paths=fence)
    fence.root = context.cwd.resolve()
    with pytest.raises(ToolError, match="outside"):
        await wrote(context, "../a", "x")
    assert fence.asked == [(context.cwd.resolve().parent / "a", True)]


async def test_binary_content_is_replaced_without_a_diff(context: ToolContext) -> None:
    (context.cwd / "a").write_bytes(b"\xff\0")
    result = await write(WriteArguments(path="a", content="x"), context)
    assert result.details["diff"] == ""
    assert (context.cwd / "a").read_text() == "x"


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """The kernel refuses to write more, as when a disk is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_when_there_is_no_room_all_is_as_it_was(context: ToolContext) -> None:
    (context.cwd / "a").write_text("old")
    with files_no_larger_than(65_536):
        for name in ("a", "new/folder/b"):
            with pytest.raises(ToolError, match=f"Cannot write {name}: the file would be larger than is allowed"):
                await wrote(context, name, "x" * 100_000)
    assert tree(context.cwd) == ["a"]
    assert (context.cwd / "a").read_text() == "old"


@pytest.mark.parametrize("call", ["fsync", "replace", "fchmod"])
async def test_whatever_step_fails_all_is_as_it_was(
    call: str, context: ToolContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    (context.cwd / "a").write_text("old")

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, call, full)
    with pytest.raises(ToolError, match="Cannot write a: the disk is full"):
        await wrote(context, "a", "new")
    monkeypatch.undo()
    assert tree(context.cwd) == ["a"]
    assert (context.cwd / "a").read_text() == "old"


PERMISSIONS = """
import asyncio, concurrent.futures.thread, os, sys
from pathlib import Path
from beyond_ai import ToolContext, ToolError, ToolLimits
from beyond_ai_tools.coding.edit import EditArguments, edit
from beyond_ai_tools.coding.ls import LsArguments, ls
from beyond_ai_tools.coding.read import ReadArguments, read
from beyond_ai_tools.coding.write import WriteArguments, write

class Free:
    requested = False
    def check(self, path, *, write): pass

if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
folder = Path(sys.argv[1])
context = ToolContext(cwd=folder, cancellation=Free(), progress=print, limits=ToolLimits(), environment={},
                      paths=Free(), sees_images=False, scratch=folder)
for call in (
    write(WriteArguments(path="closed/new", content="x"), context),
    write(WriteArguments(path="closed/deep/er/new", content="x"), context),
    write(WriteArguments(path="closed/old", content="x"), context),
    write(WriteArguments(path="open/read-only", content="x"), context),
    edit(EditArguments(path="open/read-only", old_string="o", new_string="x"), context),
    read(ReadArguments(path="open/secret"), context),
    ls(LsArguments(path="dark"), context),
    read(ReadArguments(path="dark/x"), context),
):
    try:
        print(asyncio.run(call).text)
    except ToolError as error:
        print(error)
"""


def test_without_permission_all_stays_as_it_was() -> None:
    """In a process that is not root's, which may do everything."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        for sub, mode in (("closed", 0o777), ("open", 0o777), ("dark", 0o700)):
            (folder / sub).mkdir()
            (folder / sub).chmod(mode)
        for file, mode in (("closed/old", 0o666), ("open/read-only", 0o444), ("open/secret", 0o000), ("dark/x", 0o600)):
            (folder / file).write_text("old")
            (folder / file).chmod(mode)
        (folder / "closed").chmod(0o555)
        if os.geteuid() != 0:
            (folder / "dark").chmod(0o000)
        before = tree(folder) if os.geteuid() == 0 else []
        ran = subprocess.run(
            [sys.executable, "-c", PERMISSIONS, name],
            capture_output=True,
            text=True,
            check=False,
        )
        (folder / "dark").chmod(0o700)
        assert ran.stderr == ""
        assert ran.stdout.splitlines() == [
            "Cannot write closed/new: permission denied.",
            "Cannot write closed/deep/er/new: permission denied.",
            "Cannot write closed/old: permission denied.",
            "Cannot write open/read-only: permission denied.",
            "Cannot write open/read-only: permission denied.",
            "Cannot open open/secret: permission denied.",
            "Cannot list dark: permission denied.",
            "Cannot open dark/x: permission denied.",
        ]
        if before:
            assert tree(folder) == before
        assert (folder / "open/read-only").read_text() == "old"
        (folder / "closed").chmod(0o755)


KILLED = """
import asyncio, os, signal, sys
from beyond_ai_tools.coding import atomic
from pathlib import Path

os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
atomic.replace(Path(sys.argv[1]), b"new")
"""


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="the system has no files without a name")
async def test_of_a_process_that_is_killed_nothing_is_left(context: ToolContext) -> None:
    try:
        os.close(os.open(context.cwd, os.O_TMPFILE | os.O_WRONLY))
    except OSError:
        pytest.skip("the file system has no files without a name")
    (context.cwd / "a").write_text("old")
    for name in ("a", "b"):
        command = [sys.executable, "-c", KILLED, str(context.cwd / name)]
        ran = await asyncio.to_thread(partial(subprocess.run, command, check=False))
        assert ran.returncode == -signal.SIGKILL
    assert tree(context.cwd) == ["a"]
    assert (context.cwd / "a").read_text() == "old"


async def test_without_unnamed_files_it_is_the_same(context: ToolContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atomic, "_DESCRIPTORS", "/nowhere")
    (context.cwd / "a").write_text("old")
    (context.cwd / "a").chmod(0o640)
    await wrote(context, "a", "new")
    assert (context.cwd / "a").stat().st_mode & 0o7777 == 0o640
    with files_no_larger_than(65_536), pytest.raises(ToolError, match="larger than is allowed"):
        await wrote(context, "a", "x" * 100_000)
    assert tree(context.cwd) == ["a"]
    assert (context.cwd / "a").read_text() == "new"


async def test_a_reader_never_sees_half_a_file(context: ToolContext) -> None:
    path = context.cwd / "a"
    contents = {letter * 300_000 for letter in "ab"}
    await wrote(context, "a", "a" * 300_000)
    stop = threading.Event()
    seen: list[str] = []

    def look() -> None:
        while not stop.is_set():
            seen.append(path.read_text())

    looking = asyncio.create_task(asyncio.to_thread(look))
    for turn in range(8):
        await wrote(context, "a", "ba"[turn % 2] * 300_000)
    stop.set()
    await looking
    assert seen
    assert set(seen) <= contents


async def test_a_write_that_has_not_begun_never_does_once_it_is_cancelled(context: ToolContext) -> None:
    """With every thread busy, the work waits for one."""
    loop = asyncio.get_running_loop()
    busy = threading.Event()
    workers = (os.cpu_count() or 1) + 4
    holding = [loop.run_in_executor(None, busy.wait, 30) for _ in range(min(32, workers) + 1)]
    task = asyncio.create_task(wrote(context, "a", "x"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    busy.set()
    await asyncio.gather(*holding)
    await loop.run_in_executor(None, lambda: None)
    await loop.shutdown_default_executor()
    assert tree(context.cwd) == []


async def test_a_second_cancellation_does_not_wait(context: ToolContext, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(_descriptor: int) -> None:
        begun.set()
        go_on.wait(30)

    monkeypatch.setattr(os, "fsync", slow)
    task = asyncio.create_task(wrote(context, "a", "x"))
    await asyncio.to_thread(begun.wait, 30)
    for _ in range(2):
        task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task
    go_on.set()
    await asyncio.get_running_loop().shutdown_default_executor()
    assert tree(context.cwd) == ["a"]
