"""Checkpoints of real repositories: what is in them, what is not touched, and that nothing is ever lost."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from beyond_ai import Allow, BeyondError, Block
from beyond_ai.spec.conversation import ToolUse
from git_checkpoint.checkpoints import Checkpoints
from git_checkpoint.git import REF, Repository
from git_checkpoint.hook import GitCheckpoint, GitCheckpointSettings

README = (Path(__file__).parents[1] / "README.md").read_text()


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=A User", "-c", "user.email=user@example.com")
    done = subprocess.run(["git", *who, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


def tree(folder: Path) -> dict[str, bytes | str]:
    """Every file and link of FOLDER but git's own."""
    found = (path for path in folder.rglob("*") if ".git" not in path.relative_to(folder).parts)
    return {
        path.relative_to(folder).as_posix(): os.readlink(path) if path.is_symlink() else path.read_bytes()
        for path in found
        if path.is_symlink() or not path.is_dir()
    }


def theirs(folder: Path) -> tuple[str, ...]:
    """What is the user's own in the repository."""
    refs = git(folder, "for-each-ref", "refs/heads", "refs/tags", "refs/stash")
    return refs, git(folder, "symbolic-ref", "HEAD"), git(folder, "ls-files", "--stage", "--debug")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A repository with changes that are staged, not staged, and in new files."""
    place = tmp_path / "work"
    place.mkdir()
    git(place, "init", "--quiet")
    (place / ".gitignore").write_text("*.log\n")
    (place / ".gitattributes").write_text("*.txt text eol=lf\n")
    for name in ("a.txt", "b.txt", "run.sh"):
        (place / name).write_text(f"{name} as committed\n")
    git(place, "add", ".")
    git(place, "commit", "--quiet", "--message", "first")
    (place / "a.txt").write_text("staged\n")
    git(place, "add", "a.txt")
    (place / "b.txt").write_bytes(b"line ends of\r\nboth kinds\n")
    (place / "run.sh").chmod(0o755)
    (place / "new").mkdir()
    (place / "new" / "caf\u00e9 \n.txt").write_text("untracked\n")
    (place / "link").symlink_to("nowhere")
    (place / "debug.log").write_text("ignored\n")
    return place


@pytest.fixture
def checkpoints(folder: Path) -> Checkpoints:
    repository = Repository.around(folder / "new")
    assert repository is not None
    return Checkpoints(repository)


def test_a_checkpoint_has_all_but_what_is_ignored_and_touches_nothing(folder: Path, checkpoints: Checkpoints) -> None:
    before, user = tree(folder), theirs(folder)
    commit = checkpoints.make("before write a.txt")
    assert (tree(folder), theirs(folder)) == (before, user)
    names = git(folder, "ls-tree", "-r", "-z", "--name-only", commit).split("\0")
    assert set(filter(None, names)) == set(before) - {"debug.log"}
    assert git(folder, "status", "--porcelain").startswith("M  a.txt\n M b.txt\n")
    assert checkpoints.make("again") == commit  # nothing has changed
    assert [(found.commit, found.reason) for found in checkpoints.all()] == [(commit, "before write a.txt")]


def test_a_rollback_gives_every_byte_back_and_can_be_taken_back(folder: Path, checkpoints: Checkpoints) -> None:
    before, user = tree(folder), theirs(folder)
    commit = checkpoints.make("before")
    (folder / "a.txt").unlink()
    (folder / "b.txt").write_text("written by the agent\n")
    (folder / "run.sh").chmod(0o644)
    (folder / "link").unlink()
    (folder / "link").mkdir()
    (folder / "link" / "file").write_text("a folder now\n")
    (folder / "more" / "deep").mkdir(parents=True)
    (folder / "more" / "deep" / "file").write_text("added\n")
    after = tree(folder)
    target, kept = checkpoints.roll_back(commit[:10])
    assert target.commit == commit
    assert tree(folder) == before
    assert theirs(folder) == user
    assert os.access(folder / "run.sh", os.X_OK)
    assert not (folder / "more").exists()
    checkpoints.roll_back(kept)
    assert tree(folder) == after
    assert not os.access(folder / "run.sh", os.X_OK)


def test_an_ignored_file_in_the_way_is_kept_too(folder: Path, checkpoints: Checkpoints) -> None:
    (folder / "notes").mkdir()
    (folder / "notes" / "x").write_text("then\n")
    (folder / "secret").write_text("then\n")
    commit = checkpoints.make("before")
    before = tree(folder)
    (folder / ".gitignore").write_text("notes\nsecret\n*.log\n")
    (folder / "notes" / "x").unlink()
    (folder / "notes").rmdir()
    (folder / "notes").write_text("the user's, and ignored now\n")
    (folder / "secret").unlink()
    (folder / "secret").mkdir()
    (folder / "secret" / "y").write_text("the user's, and ignored now\n")
    after = tree(folder)
    _, kept = checkpoints.roll_back(commit)
    assert tree(folder) == before
    checkpoints.roll_back(kept)
    assert tree(folder) == after


def test_repositories_within_are_left_alone_or_refused(folder: Path, checkpoints: Checkpoints) -> None:
    commit = checkpoints.make("before")
    inner = folder / "inner"
    inner.mkdir()
    git(inner, "init", "--quiet")  # and without a commit
    (inner / "file").write_text("theirs\n")
    checkpoints.roll_back(commit)
    assert (inner / "file").read_text() == "theirs\n"
    (inner / "file").unlink()
    git(inner, "commit", "--quiet", "--allow-empty", "--message", "first")
    (folder / "b.txt").unlink()
    inner.rename(folder / "b.txt")
    (folder / "a.txt").write_text("changed\n")
    with pytest.raises(BeyondError, match=r"b\.txt is a repository of its own"):
        checkpoints.roll_back(commit)
    assert (folder / "a.txt").read_text() == "changed\n"
    assert (folder / "b.txt" / ".git").is_dir()


def test_a_repository_without_a_commit_and_one_in_a_merge_have_checkpoints(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    (tmp_path / "a").write_text("1\n")
    repository = Repository.around(tmp_path)
    assert repository is not None
    checkpoints = Checkpoints(repository)
    first = checkpoints.make("nothing committed yet")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "--quiet", "--message", "1")
    git(tmp_path, "checkout", "--quiet", "-b", "side")
    for branch, text in (("side", "2\n"), ("main", "3\n")):
        git(tmp_path, "checkout", "--quiet", branch)
        (tmp_path / "a").write_text(text)
        git(tmp_path, "commit", "--quiet", "--all", "--message", text)
    with pytest.raises(subprocess.CalledProcessError):
        git(tmp_path, "merge", "side")
    user = git(tmp_path, "ls-files", "--stage")
    _, kept = checkpoints.roll_back(first)
    assert tree(tmp_path) == {"a": b"1\n"}
    checkpoints.roll_back(kept)
    assert b"<<<<<<<" in tree(tmp_path)["a"].__str__().encode()
    assert git(tmp_path, "ls-files", "--stage") == user


@pytest.mark.parametrize("name", ["", "abc", "0000000000", "HEAD", "--help"])
def test_what_is_no_checkpoint_changes_nothing(folder: Path, checkpoints: Checkpoints, name: str) -> None:
    checkpoints.make("before")
    (folder / "a.txt").write_text("changed\n")
    before = tree(folder)
    with pytest.raises(BeyondError, match="there is no checkpoint"):
        checkpoints.roll_back(name)
    assert tree(folder) == before
    assert len(checkpoints.all()) == 1


def call(name: str) -> ToolUse:
    return ToolUse(id="1", name=name, input={"path": "a.txt"})


async def test_the_hook_makes_one_before_writes_only(folder: Path, checkpoints: Checkpoints) -> None:
    said: list[str] = []
    hook = GitCheckpoint(GitCheckpointSettings(), folder, said.append)
    assert await hook.before_tool_call(call("read")) == Allow()
    assert checkpoints.all() == []
    assert await hook.before_tool_call(call("write")) == Allow()
    assert [found.reason for found in checkpoints.all()] == ["before write a.txt"]
    assert said == []


async def test_without_a_repository_it_says_so_once(tmp_path: Path) -> None:
    said: list[str] = []
    hook = GitCheckpoint(GitCheckpointSettings(), tmp_path, said.append)
    for _ in range(2):
        assert await hook.before_tool_call(call("write")) == Allow()
    assert len(said) == 1
    assert "in no git repository" in said[0]


async def test_a_checkpoint_that_cannot_be_made_blocks_the_call(folder: Path) -> None:
    hook = GitCheckpoint(GitCheckpointSettings(), folder, lambda _text: None)
    lock = folder / ".git" / f"{REF}.lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    verdict = await hook.before_tool_call(call("write"))
    assert isinstance(verdict, Block)
    assert "no checkpoint could be made before it (git update-ref: " in verdict.reason


def test_the_readme_shows_each_setting_with_its_default() -> None:
    [shown] = re.findall(r"^```toml\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert tomllib.loads(shown)["plugins"]["git_checkpoint"] == GitCheckpointSettings().model_dump(mode="json")
