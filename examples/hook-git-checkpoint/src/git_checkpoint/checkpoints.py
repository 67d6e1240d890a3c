"""Checkpoints: the working tree as it is, byte for byte, as a commit on a hidden ref; and the tree as it was then.

Branches, the user's index and the stash are not touched. What a rollback is about to change, remove or stand in the way
of is in a checkpoint of its own first, so that a rollback can be rolled back.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from beyond_ai import BeyondError
from git_checkpoint.git import REF, Repository

_LIST_FORMAT: Final = "%H%x00%cI%x00%s"
_GITLINK: Final = "160000"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One of them: its commit, when it was made (ISO 8601), and before what."""

    commit: str
    time: str
    reason: str


@dataclass(frozen=True, slots=True)
class File:
    """What a checkpoint has at a path."""

    mode: str
    blob: str


class Checkpoints:
    """Those of REPOSITORY."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    def all(self) -> list[Checkpoint]:
        """The latest first."""
        if self._latest() is None:
            return []
        log = self._repository.run("log", "--first-parent", f"--format={_LIST_FORMAT}", REF)
        return [Checkpoint(*line.split("\0")) for line in log.splitlines()]

    def make(self, reason: str, besides: tuple[str, ...] = ()) -> str:
        """The commit of the tree as it is; the latest one, if nothing has changed since. Raises GitError.

        Tracked and untracked files are in it, ignored ones are not, but those that BESIDES names, folders included.
        """
        git = self._repository
        there = [
            path for path in git.paths("ls-files", "--cached", "--others", "--exclude-standard") if path[-1] != "/"
        ]
        before = set(git.paths("ls-files", own_index=True))
        git.run("update-index", "-z", "--force-remove", "--stdin", feed=before.difference(there), own_index=True)
        git.run("update-index", "-z", "--add", "--remove", "--replace", "--stdin", feed=there, own_index=True)
        if besides:
            git.run("add", "--force", "--", *besides, own_index=True)
        tree = git.run("write-tree", own_index=True).strip()
        latest = self._latest()
        if latest is not None and git.run("rev-parse", f"{latest}^{{tree}}").strip() == tree:
            return latest
        parents = [] if latest is None else ["-p", latest]
        commit = git.run("commit-tree", *parents, "-m", " ".join(reason.split()), tree).strip()
        git.run("update-ref", REF, commit, latest or "0" * len(commit))
        return commit

    def roll_back(self, name: str) -> tuple[Checkpoint, str]:
        """Make the working tree as it was at the checkpoint NAME, the beginning of a commit's id.

        Returns that checkpoint, and the commit that has the tree as it was until now. Raises BeyondError, and then no
        file has changed.
        """
        target = self._named(name)
        git = self._repository
        wanted = self._files(target.commit)
        kept = self.make(f"before a rollback to {target.commit[:10]}")
        in_the_way = tuple(sorted(self._in_the_way(wanted, self._files(kept))))
        if in_the_way:
            kept = self.make(f"before a rollback to {target.commit[:10]}", in_the_way)
        now = self._files(kept)
        self._refuse_lost_repositories(in_the_way, now)
        changed = [path for path, file in wanted.items() if file != now.get(path) and file.mode != _GITLINK]
        for path, file in now.items():
            if path not in wanted and file.mode != _GITLINK:
                self._remove(path)
        git.run("read-tree", target.commit, own_index=True)
        git.run("checkout-index", "--force", "-z", "--stdin", feed=changed, own_index=True)
        return target, kept

    def _latest(self) -> str | None:
        return self._repository.run("for-each-ref", "--format=%(objectname)", REF).strip() or None

    def _named(self, name: str) -> Checkpoint:
        found = [checkpoint for checkpoint in self.all() if len(name) >= 4 and checkpoint.commit.startswith(name)]
        if len(found) != 1:
            which = "there is no checkpoint" if not found else "there are several checkpoints"
            raise BeyondError(f"{which} {name}", "`beyond-ai checkpoint list` shows them")
        return found[0]

    def _files(self, commit: str) -> dict[str, File]:
        files = {}
        for entry in self._repository.paths("ls-tree", "-r", "--full-tree", commit):
            facts, _, path = entry.partition("\t")
            mode, _, blob = facts.split()
            files[path] = File(mode, blob)
        return files

    def _in_the_way(self, wanted: dict[str, File], now: dict[str, File]) -> set[str]:
        """Paths on disk that a rollback would write over, and that are not in the checkpoint NOW: ignored ones."""
        found: set[str] = set()
        for path in wanted.keys() - now.keys():
            for ancestor in map(str, Path(path).parents):
                place = self._repository.top / ancestor
                if ancestor not in now and os.path.lexists(place) and (place.is_symlink() or not place.is_dir()):
                    found.add(ancestor)
                    break
            else:
                if os.path.lexists(self._repository.top / path):
                    found.add(path)
        return found

    def _refuse_lost_repositories(self, in_the_way: tuple[str, ...], now: dict[str, File]) -> None:
        for place in in_the_way:
            for path, file in now.items():
                if file.mode == _GITLINK and f"{path}/".startswith(f"{place}/"):
                    raise BeyondError(f"{path} is a repository of its own, and in the way", "move it elsewhere first")

    def _remove(self, path: str) -> None:
        """Remove the file at PATH and the folders that are empty without it."""
        place = self._repository.top / path
        place.unlink(missing_ok=True)
        for folder in place.parents:
            if folder == self._repository.top:
                return
            try:
                folder.rmdir()
            except OSError:
                return
