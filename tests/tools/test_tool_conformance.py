"""Our tools keep the rules of their kind."""

from collections.abc import Mapping
from pathlib import Path

from beyond_ai.testing.conformance import ToolConformance

PROGRAM = """#!/bin/sh
[ "$3" = slow ] && sleep 30
seq 1 3000
"""


class InTree(ToolConformance):
    """A folder with a file of some length, and one with a word to find in many lines."""

    def prepare(self, folder: Path) -> None:
        (folder / "long.txt").write_text("".join(f"line {number} of many\n" for number in range(3_000)))
        (folder / "wide.txt").write_text("needle " * 2_000)
        for number in range(30):
            (folder / f"file-{number}.txt").write_text("needle\n")


class WithPlatform(ToolConformance):
    """A program in the place of `beyond`."""

    def prepare(self, folder: Path) -> None:
        programs = folder.parent / "programs"
        programs.mkdir()
        (programs / "beyond").write_text(PROGRAM)
        (programs / "beyond").chmod(0o755)

    def environment(self, folder: Path) -> Mapping[str, str]:
        return {"PATH": f"{folder.parent / 'programs'}:/usr/bin:/bin"}


class TestBash(ToolConformance):
    plugin = "bash"
    arguments = {"command": "seq 1 3000; head -c 20000 /dev/zero | tr '\\0' x"}
    slow_arguments = {"command": "sleep 30 & sleep 30"}


class TestEdit(InTree):
    plugin = "edit"
    arguments = {"path": "long.txt", "edits": [{"old_string": "line 7 of", "new_string": "line seven of"}]}


class TestFind(InTree):
    plugin = "find"
    arguments = {"pattern": "*.txt"}


class TestGrep(InTree):
    plugin = "grep"
    arguments = {"pattern": "needle"}


class TestLs(InTree):
    plugin = "ls"
    arguments = {"path": "."}


class TestRead(InTree):
    plugin = "read"
    arguments = {"path": "long.txt"}


class TestWrite(InTree):
    plugin = "write"
    arguments = {"path": "new/file.txt", "content": "text\n"}


class TestFork(WithPlatform):
    plugin = "fork"
    arguments = {"app": "shop"}


class TestLogs(WithPlatform):
    plugin = "logs"
    arguments = {"app": "shop"}
    slow_arguments = {"app": "slow"}


class TestSync(WithPlatform):
    plugin = "sync"
    arguments = {"path": "."}
