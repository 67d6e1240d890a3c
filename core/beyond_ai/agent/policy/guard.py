"""Whether a shell command would destroy what cannot be had back: its targets looked at, and git asked about them."""

import asyncio
import contextlib
import fnmatch
import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from glob import iglob
from itertools import islice
from pathlib import Path
from typing import Final

from beyond_ai.agent.policy.harm import Harm, Loss, Target
from beyond_ai.agent.policy.hazard import Reading, read_command

GIT_SECONDS: Final = 10.0
"""How long git may take to say what is lost; then it counts as lost."""
MOST_PATHS: Final = 1_000
"""Paths of one command that are looked at."""
NAMED: Final = 3
"""Files that a reason names."""
LARGEST_KNOWN: Final = 4 << 20
"""Bytes of a file whose content before the agent's first change is remembered, as a hash."""
MADE_AGAIN: Final = frozenset({"__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", "node_modules"})
"""Folders that programs fill, and fill again."""
VERBS: Final[Mapping[Loss, str]] = {"deleted": "delete", "moved": "move away", "overwritten": "overwrite"}


@dataclass(frozen=True, slots=True)
class _Change:
    """A file, relative to the top of its repository, and the two letters that `git status` gives it."""

    path: str
    letters: str

    @property
    def untracked(self) -> bool:
        return self.letters == "??"

    def lost_by(self, loss: Loss) -> bool:
        """Whether git has no copy of what LOSS takes."""
        if loss == "untracked" or self.untracked:
            return self.untracked and loss in ("deleted", "untracked")
        unmerged = "U" in self.letters or self.letters in ("AA", "DD")
        if loss == "reset":
            return not unmerged and self.letters != " D"
        return not unmerged and self.letters[1] in "MT"


class Unanswered(Exception):  # noqa: N818 - an answer that did not come
    """Git did not say what is lost; the text says why."""


class Guard:
    """Judges commands. It remembers what the agent has made and changed, which is not the user's to lose."""

    def __init__(self, root: Path, cwd: Path, scratch: Path, environment: Mapping[str, str]) -> None:
        """Make one: outside ROOT all is the user's, but for SCRATCH. Commands run in CWD, with ENVIRONMENT."""
        self._root: Final = root.resolve()
        self._cwd: Final = cwd
        self._environment: Final = environment
        self._before: dict[Path, str | None] = {scratch.resolve(): None}
        """what the agent has written: git's name of what a file held before, None where nothing was"""

    def read(self, command: str, folder: str = "") -> Reading:
        """What COMMAND may destroy and make when it runs in FOLDER."""
        return read_command(command, self._cwd / folder, self._environment)

    def made(self, reading: Reading) -> dict[Path, str | None]:
        """What the command in READING makes, for `remember` once it has run."""
        targets = (target.path for target in reading.made if not _exists(target.path))
        return {_first_missing(_place(path)): None for path in targets}

    def written(self, name: str) -> dict[Path, str | None]:
        """The same for a tool that writes the file called NAME, with what it holds before."""
        place = Path(os.path.realpath(self._cwd / name))
        return {place: _blob(place)} if _exists(str(place)) else {_first_missing(place): None}

    def remember(self, touched: Mapping[Path, str | None]) -> None:
        """Take TOUCHED, if it is there, for the agent's own; what was known of it before counts."""
        for path, before in touched.items():
            if _exists(str(path)):
                self._before.setdefault(path, before)

    async def hazard(self, reading: Reading) -> str | None:
        """Why a person should know before the command in READING runs; None when nothing is lost that matters."""
        reasons: list[str] = []
        for harm in reading.harms:
            reason = harm.certain or await self._lost(harm)
            if reason:
                reasons.append(f"`{harm.command}`: {reason}" if harm.certain else f"`{harm.command}` would {reason}")
        return "; ".join(dict.fromkeys(reasons)) or None

    async def _lost(self, harm: Harm) -> str | None:
        follow = harm.loss == "overwritten"
        found = await asyncio.to_thread(_paths, harm.targets)  # a pattern may take long
        paths = [place for path in found if _exists(str(place := _place(path, follow=follow)))]
        paths = [path for path in paths if not self._made(path)]
        said: list[str] = []
        if harm.loss in VERBS:
            outside = [words for path in paths if (words := self._outside(path, harm)) is not None]
            said += [f"{VERBS[harm.loss]} {_listed(outside)}"] if outside else []
        if harm.loss not in ("moved", "overwritten"):
            repositories: dict[Path, list[Path]] = {}
            for path in paths:
                top = _top(path)
                if top is not None:
                    repositories.setdefault(top, []).append(path)
            for top, below in repositories.items():
                said += await self._lost_in(top, below, harm)
        return " and ".join(said) or None

    def _outside(self, path: Path, harm: Harm) -> str | None:
        """PATH in words, when it is not below the root, or is history."""
        if harm.loss == "overwritten" and not path.is_file():
            return None
        if path == self._root and not harm.names:
            return f"the working folder itself, {path}"
        if not path.is_relative_to(self._root):
            return f"{path}, outside the working folder {self._root}"
        below = (path / ".git").exists() and _meant(".git", harm.names)
        history = below or (".git" in path.parts and path.suffix != ".lock")
        return f"the history of a repository, {path}" if history and harm.loss == "deleted" else None

    async def _lost_in(self, top: Path, paths: Sequence[Path], harm: Harm) -> list[str]:
        try:
            changes = await self._changes(top, [top] if harm.loss == "reset" else paths)
            lost = [change for change in changes if change.lost_by(harm.loss) and _meant(change.path, harm.names)]
            lost = await self._not_own(top, lost)
        except Unanswered as error:
            return [f"delete what git could not be asked about ({error})"]
        names = [f"{change.path} ({'untracked' if change.untracked else 'changed'})" for change in lost]
        return [f"destroy what git cannot bring back: {_listed(names)}"] if names else []

    def _made(self, path: Path) -> bool:
        """Whether PATH was not there before the agent made it, or what it is in."""
        return any(self._before.get(part, "") is None for part in (path, *path.parents))

    async def _not_own(self, top: Path, changes: Iterable[_Change]) -> list[_Change]:
        """CHANGES without those of the agent alone: of what it made, or what was as it was committed before."""
        left = [change for change in changes if not self._made(top / change.path)]
        known = {change.path: before for change in left if (before := self._before.get(top / change.path))}
        if not known:
            return left
        entries = (await self._git(top, "ls-tree", "-rz", "HEAD", "--", *known)).split("\0")
        committed = {path: facts.rpartition(" ")[2] for facts, _, path in (entry.partition("\t") for entry in entries)}
        return [change for change in left if known.get(change.path, "") != committed.get(change.path)]

    async def _changes(self, top: Path, paths: Iterable[Path]) -> list[_Change]:
        """What git would not have back of PATHS. Raises Unanswered."""
        options = ("--porcelain=v1", "-z", "--untracked-files=all", "--no-renames")
        entries = (await self._git(top, "status", *options, "--", *map(str, paths))).split("\0")
        return [_Change(entry[3:], entry[:2]) for entry in entries if len(entry) > 3]

    async def _git(self, folder: Path, *words: str) -> str:
        environment = {**self._environment, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
        try:
            process = await asyncio.create_subprocess_exec(
                "git", "--literal-pathspecs", "-c", "core.fsmonitor=false", *words,
                cwd=folder, env=environment, start_new_session=True,
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
        except OSError as error:
            raise Unanswered(f"git: {error.strerror}") from None
        try:
            async with asyncio.timeout(GIT_SECONDS):
                output, errors = await process.communicate()
        except TimeoutError:
            raise Unanswered(f"git took longer than {GIT_SECONDS:g} s") from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
        if process.returncode:
            raise Unanswered(errors.decode(errors="replace").strip().partition("\n")[0] or "git failed")
        return os.fsdecode(output)


def _paths(targets: Iterable[Target]) -> list[str]:
    """The paths of TARGETS, patterns expanded as a shell does."""
    found: list[str] = []
    for target in targets:
        found += islice(iglob(target.path), MOST_PATHS) if target.pattern else [target.path]
    return found[:MOST_PATHS]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}"


def _exists(path: str) -> bool:
    try:
        return os.path.lexists(path)
    except ValueError:  # it holds a NUL
        return False


def _place(path: str, *, follow: bool = False) -> Path:
    """Where PATH is, links before its last part resolved, and with FOLLOW that one too."""
    whole = path.rstrip("/") or "/"
    folder, name = os.path.split(whole)
    if follow or name in ("", ".", ".."):
        return Path(os.path.realpath(whole))
    return Path(os.path.realpath(folder)) / name


def _first_missing(path: Path) -> Path:
    """PATH, or the folder that has to be made first for it."""
    while not path.parent.exists():
        path = path.parent
    return path


def _top(path: Path) -> Path | None:
    """The top of the repository that PATH is in; None where there is none."""
    folders = (path, *path.parents) if path.is_dir() and not path.is_symlink() else path.parents
    return next((folder for folder in folders if (folder / ".git").exists()), None)


def _meant(path: str, names: Sequence[str]) -> bool:
    """Whether PATH is none that programs make again, and has one of NAMES where there are some."""
    parts = path.split("/")
    if MADE_AGAIN & set(parts):
        return False
    return not names or any(fnmatch.fnmatch(part, name) for part in parts for name in names)


def _blob(path: Path) -> str | None:
    """Git's name of what is in PATH; empty where that is not known."""
    try:
        if path.stat().st_size > LARGEST_KNOWN:
            return ""
        content = path.read_bytes()
    except OSError:
        return ""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
