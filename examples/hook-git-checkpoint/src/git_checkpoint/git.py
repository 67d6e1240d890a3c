"""git, run so that nothing of the user's is touched or in the way: own index, own identity, no hooks, no filters.

The index lives in a git folder of its own, inside the user's, whose attributes have files taken as they are, byte for
byte; objects and the hidden ref are the repository's, so that blobs are shared and `git gc` keeps what is needed.
"""

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from beyond_ai import BeyondError

REF: Final = "refs/worktree/beyond-ai/checkpoints"
"""The latest checkpoint, each with the one before as its parent. Hidden: no branch, never pushed, one a worktree."""

TIMEOUT: Final = 300.0
"""Seconds of one git command."""
_OPTIONS: Final = ("core.hooksPath=/dev/null", "core.fsmonitor=false", "core.autocrlf=false", "core.quotePath=false")
_AS_THEY_ARE: Final = "* -text -ident -filter -working-tree-encoding\n"
_NAME: Final = "beyond-ai"


class GitError(BeyondError):
    """git could not do it; the message has its words."""


class Repository:
    """The repository whose working tree has its root at TOP. OWN is where its index for checkpoints lives."""

    def __init__(self, top: Path, own: Path | None = None, objects: Path | None = None) -> None:
        self.top = top
        self._own = {"GIT_DIR": f"{own}", "GIT_WORK_TREE": f"{top}", "GIT_OBJECT_DIRECTORY": f"{objects}"}
        theirs = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        names = ("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME")
        emails = ("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL")
        who = {**dict.fromkeys(names, _NAME), **dict.fromkeys(emails, f"{_NAME}@localhost")}
        self._environment = {**theirs, **who, "LC_ALL": "C", "GIT_LITERAL_PATHSPECS": "1"}

    @classmethod
    def around(cls, folder: Path) -> "Repository | None":
        """The repository that FOLDER is in; None where there is none, or no git."""
        asking = cls(folder)
        try:
            top, git_dir, objects, form = asking.run(
                *("rev-parse", "--path-format=absolute", "--show-toplevel", "--absolute-git-dir"),
                *("--git-path", "objects", "--show-object-format"),
            ).splitlines()
        except (GitError, FileNotFoundError):
            return None
        own = Path(git_dir) / "beyond-ai-checkpoints"
        if not (own / "info" / "attributes").exists():
            asking.run("init", "--quiet", "--bare", "--template=", f"--object-format={form}", str(own))
            (own / "info").mkdir(exist_ok=True)
            (own / "info" / "attributes").write_text(_AS_THEY_ARE)
        return cls(Path(top), own, Path(objects))

    def run(self, *arguments: str, feed: Iterable[str] | None = None, own_index: bool = False) -> str:
        """The output of git with ARGUMENTS; FEED goes in, each ended by a zero byte. Raises GitError."""
        options = [word for option in _OPTIONS for word in ("-c", option)]
        options += ["-c", "core.bare=false"] if own_index else []
        environment = self._environment | (self._own if own_index else {})
        try:
            done = subprocess.run(
                ["git", *options, *arguments],
                cwd=self.top,
                env=environment,
                input=None if feed is None else os.fsencode("".join(f"{item}\0" for item in feed)),
                stdin=subprocess.DEVNULL if feed is None else None,
                capture_output=True,
                timeout=TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise GitError(f"git {arguments[0]}: not done within {TIMEOUT:g} s") from None
        if done.returncode:
            raise GitError(f"git {arguments[0]}: {os.fsdecode(done.stderr).strip() or f'exit {done.returncode}'}")
        return os.fsdecode(done.stdout)

    def paths(self, *arguments: str, own_index: bool = False) -> list[str]:
        """The paths that git lists with ARGUMENTS, to which `-z` is added."""
        return [path for path in self.run(*arguments, "-z", own_index=own_index).split("\0") if path]
