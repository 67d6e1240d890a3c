"""Paths as models write them, on a real file system."""

import os
import socket
import threading
from pathlib import Path

import pytest
from tests.tools.conftest import Fence, MakeContext

from beyond_ai import ToolContext, ToolError
from beyond_ai_tools.coding.paths import (
    failure,
    not_found,
    open_file,
    printable,
    require_directory,
    require_file,
    resolve,
    show,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.txt", "a.txt"),
        ("./sub/../a.txt", "a.txt"),
        ("sub/new/x.py", "sub/new/x.py"),
        ("@a.txt", "a.txt"),
        ("@sub/a.txt", "sub/a.txt"),
        ("@", "."),
        (".", "."),
        ("a\u00a0b.txt", "a b.txt"),
        ("a\u202fb\u3000c", "a b c"),
        ("file://{cwd}/a%20b.txt", "a b.txt"),
        ("FILE://localhost{cwd}/x", "x"),
        ("{cwd}/x", "x"),
        ("@{cwd}/x", "x"),
        ("~nobody-of-that-name/x", "~nobody-of-that-name/x"),
    ],
)
def test_what_decorates_a_path_goes(text: str, expected: str, context: ToolContext) -> None:
    path = resolve(text.replace("{cwd}", str(context.cwd)), context, write=False)
    assert path == Path(os.path.realpath(context.cwd / expected))


def test_home_is_expanded(context: ToolContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(context.cwd / "home"))
    assert resolve("~/x", context, write=False) == context.cwd.resolve() / "home" / "x"
    assert resolve("~", context, write=False) == context.cwd.resolve() / "home"


@pytest.mark.parametrize("name", ["@types", "a\u00a0b", "@x\u3000y"])
def test_a_name_that_exists_as_it_is_written_stands(name: str, context: ToolContext) -> None:
    (context.cwd / name).mkdir()
    assert resolve(name, context, write=False).name == name
    new = resolve(f"{name}/new.txt", context, write=True, new=True)
    if name == "@types":
        assert new == context.cwd.resolve() / name / "new.txt"


@pytest.mark.parametrize(
    ("on_disk", "written"),
    [
        ("cafe\u0301.txt", "caf\u00e9.txt"),
        ("caf\u00e9.txt", "cafe\u0301.txt"),
        ("it\u2019s.txt", "it's.txt"),
        ("it\u2019s cafe\u0301", "it's caf\u00e9"),
        ("Shot 9.41\u202fAM.png", "Shot 9.41 AM.png"),
    ],
)
def test_a_name_that_is_spelled_alike_is_found_but_never_overwritten(
    on_disk: str, written: str, context: ToolContext
) -> None:
    (context.cwd / on_disk).touch()
    assert resolve(written, context, write=False).name == on_disk
    assert resolve(written, context, write=True, new=True).name == written


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("a\ud800", "not valid Unicode"),
        ("a\0b", "NUL"),
        ("file:///a%00b", "NUL"),
        ("file://elsewhere/x", "another host"),
    ],
)
def test_no_path_at_all_is_refused(text: str, reason: str, context: ToolContext) -> None:
    with pytest.raises(ToolError, match=reason):
        resolve(text, context, write=False)


def test_the_policy_sees_the_path_without_its_links(make_context: MakeContext, fence: Fence) -> None:
    context = make_context(paths=fence)
    outside = context.cwd.parent / f"{context.cwd.name}-outside"
    outside.mkdir()
    (context.cwd / "link").symlink_to(outside)
    (context.cwd / "dangling").symlink_to(outside / "not-there-yet")
    fence.root = context.cwd.resolve()
    for text in ("link", "link/new/x.txt", "dangling", "../x", "link/../x", "~", f"file://{outside}/x", "/etc/passwd"):
        with pytest.raises(ToolError, match="outside"):
            resolve(text, context, write=True)
    assert fence.asked[1] == (outside.resolve() / "new" / "x.txt", True)
    assert resolve("in/side", context, write=False) == context.cwd.resolve() / "in" / "side"


def test_a_circle_of_links_is_an_error_that_says_so(context: ToolContext) -> None:
    (context.cwd / "a").symlink_to("b")
    (context.cwd / "b").symlink_to("a")
    with pytest.raises(ToolError, match="in a circle"):
        require_file(resolve("a", context, write=False), context)


def test_shown_relative_to_the_working_folder(context: ToolContext, make_context: MakeContext) -> None:
    assert show(context.cwd / "a" / "b", context) == "a/b"
    assert show(context.cwd, context) == "."
    assert show(Path("/etc/passwd"), context) == "/etc/passwd"
    real = context.cwd / "real"
    real.mkdir()
    (context.cwd / "link").symlink_to("real")
    linked = make_context(cwd=context.cwd / "link")
    assert show(resolve("x", linked, write=False), linked) == "x"


def test_a_name_of_any_bytes_is_printable() -> None:
    assert printable("a\nb\tc\x1b[0m") == "a\\nb\\tc\\x1b[0m"
    assert printable(os.fsdecode(b"caf\xe9")) == "caf\ufffd"


@pytest.mark.parametrize(
    ("asked", "near"),
    [
        ("src/mian.py", "src/main.py"),
        ("src/Main.PY", "src/main.py"),
        ("scr/main.py", "src"),
        ("/src/main.py", "src/main.py"),
        ("project/src/main.py", "src/main.py"),
        ("src/main.ts", "src/main.py"),
    ],
)
def test_what_does_not_exist_is_told_with_what_is_near(asked: str, near: str, context: ToolContext) -> None:
    (context.cwd / "src").mkdir()
    (context.cwd / "src" / "main.py").touch()
    message = str(not_found(resolve(asked, context, write=False), context))
    assert message.startswith(f"Path not found: {asked}.")
    assert near in message.partition("Near it: ")[2].rstrip(".").split(", ")


def test_nothing_near_is_said_so(context: ToolContext) -> None:
    assert str(not_found(context.cwd / "zzz", context)) == "Path not found: zzz."
    assert "folder q/r does not exist" in str(not_found(context.cwd / "q" / "r" / "s", context))


def test_names_that_may_not_be_read_are_not_given_away(make_context: MakeContext, fence: Fence) -> None:
    context = make_context(paths=fence)
    (context.cwd / "secret1").touch()
    fence.root = context.cwd / "elsewhere"
    assert "secret1" not in str(not_found(context.cwd / "secret2", context))


def test_only_regular_files_are_opened(context: ToolContext) -> None:
    os.mkfifo(context.cwd / "pipe")
    (context.cwd / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(context.cwd / "socket"))
        for name, kind in (
            ("pipe", "a named pipe"),
            ("socket", "a socket"),
            ("folder", "a directory. Use ls"),
            ("/dev/null", "a character device"),
        ):
            with pytest.raises(ToolError, match=kind):
                open_file(context.cwd / name, context)
    (context.cwd / "file").write_bytes(b"x")
    with open_file(context.cwd / "file", context) as file:
        assert file.read() == b"x"


def test_a_file_that_becomes_a_pipe_does_not_hang(context: ToolContext, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(context.cwd / "pipe")
    monkeypatch.setattr("beyond_ai_tools.coding.paths.require_file", lambda path, context: path.stat())
    said: list[str] = []

    def attempt() -> None:
        with pytest.raises(ToolError) as caught:
            open_file(context.cwd / "pipe", context)
        said.append(str(caught.value))

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(10)
    assert said == ["pipe is a named pipe; only regular files can be read or changed."]


def test_a_directory_is_required(context: ToolContext) -> None:
    (context.cwd / "file").touch()
    require_directory(context.cwd, context)
    with pytest.raises(ToolError, match="Not a directory: file"):
        require_directory(context.cwd / "file", context)
    with pytest.raises(ToolError, match="Path not found: fil"):
        require_directory(context.cwd / "fil", context)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (PermissionError(13, "Permission denied"), "Cannot write x: permission denied."),
        (OSError(28, "No space left on device"), "Cannot write x: the disk is full."),
        (OSError(5, "Input/output error"), "Cannot write x: Input/output error."),
        (OSError("odd"), "Cannot write x: OSError."),
    ],
)
def test_failures_are_said_in_words(error: OSError, reason: str, context: ToolContext) -> None:
    assert str(failure(error, "write", context.cwd / "x", context)) == reason
