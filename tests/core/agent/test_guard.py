"""What the guard says of shell commands, in real folders and real repositories."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from beyond_ai import Allow, Block
from beyond_ai.agent.policy import Approval, Gate
from beyond_ai.agent.policy.approval import Answer, Question
from beyond_ai.agent.policy.guard import Guard
from beyond_ai.agent.policy.rules import Rules
from beyond_ai.spec.conversation import ToolUse
from beyond_ai.spec.tool import Tool, ToolResult

ENVIRONMENT = {
    **os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.com",
    "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@example.com",
}  # fmt: skip


def git(folder: Path, *words: str) -> None:
    subprocess.run(["git", *words], cwd=folder, env=ENVIRONMENT, check=True, capture_output=True)


def write(folder: Path, *names: str, text: str = "x\n") -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A repository with files of every kind, and others beside it."""
    work = tmp_path / "work"
    write(work, "clean.py", "changed.py", "src/a.py", "src/b.py", "staged.py")
    write(work, ".gitignore", text="build/\n*.log\nway-out\n")
    git(work, "init", "-q")
    git(work, "add", "-A")
    git(work, "commit", "-qm", "first")
    write(work, "changed.py", "staged.py", text="y\n")
    git(work, "add", "staged.py")
    write(work, "draft.md", "notes/one.md", "build/out.o", "run.log", "src/__pycache__/a.pyc")
    (work / "way-out").symlink_to(tmp_path)
    write(tmp_path, "outside.txt", "other/x")
    (tmp_path / "scratch").mkdir()
    return work


async def said(guard: Guard, command: str, folder: str = "") -> str | None:
    return await guard.hazard(guard.read(command, folder))


def guarding(work: Path, root: Path | None = None) -> Guard:
    return Guard(root or work, work, work.parent / "scratch", ENVIRONMENT)


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("rm ../outside.txt", "delete {up}/outside.txt, outside the working folder {up}/work"),
        ("rm way-out/outside.txt", "{up}/outside.txt, outside"),
        ("rm -rf way-out/*", "outside the working folder"),
        ("rm -rf .. /*", "outside the working folder"),
        (
            "rm ../outside.txt draft.md",
            "outside the working folder {up}/work and destroy what git cannot bring back: draft.md",
        ),
        ("cd src/.. && rm -rf $PWD", "the working folder itself"),
        ("find . -type f -delete", "the working folder itself"),
        ("echo > ../outside.txt", "overwrite {up}/outside.txt"),
        ("cp clean.py ../outside.txt", "overwrite {up}/outside.txt"),
        ("mv ../other .", "move away {up}/other"),
        ("git -C .. init; find ../other -name '*.q' -delete", "outside"),
        ("rm -rf .git", "the history of a repository"),
        ("rm draft.md clean.py", "destroy what git cannot bring back: draft.md (untracked)"),
        ("rm *.md", "draft.md (untracked)"),
        ("rm -r notes changed.py", "changed.py (changed), notes/one.md (untracked)"),
        ("find . -name '*.md' -exec rm {} +", "draft.md (untracked), notes/one.md (untracked)"),
        ("truncate -s 0 draft.md", "draft.md"),
        (": > draft.md", "draft.md (untracked)"),
        ("git clean -fd", "draft.md (untracked), notes/one.md (untracked)"),
        ("cd src && git clean -fd ..", "draft.md (untracked)"),
        ("git clean -fdx", "ignored files are deleted too"),
        ("git checkout -- .", "changed.py (changed)"),
        ("git checkout changed.py", "changed.py (changed)"),
        ("git restore .", "changed.py (changed)"),
        ("cd src; git reset --hard", "changed.py (changed), staged.py (changed)"),
        ("git rm -f changed.py", "changed.py"),
        ("rm 'draft.md", "cannot be read"),
        ('rm "$NOWHERE_SET/x"', "cannot be told"),
    ],
)
async def test_what_would_be_lost_is_said(work: Path, command: str, reason: str) -> None:
    assert reason.format(up=work.parent) in str(await said(guarding(work), command))


@pytest.mark.parametrize(
    "command",
    [
        "rm -rf build run.log", "rm clean.py; git rm -q src/a.py", "rm -r src", "rm staged.py", "rm missing.md *.none",
        "rm way-out", "rm .git/index.lock", "git checkout -- clean.py src", "git checkout main", "git clean -fd src",
        "find . -name '*.log' -delete", "find src -name __pycache__ -exec rm -rf {} +", "git stash", "echo > draft.md",
        "echo > ../new.txt", "cp clean.py ..", "cat ../outside.txt", "make > /dev/null 2>&1",
    ],
)  # fmt: skip
async def test_what_git_keeps_and_what_is_ignored_is_not_asked_about(work: Path, command: str) -> None:
    assert await said(guarding(work), command) is None


async def test_a_reset_without_changes_loses_nothing(work: Path) -> None:
    git(work, "reset", "-q", "--hard")
    assert await said(guarding(work), "git reset --hard HEAD~1") is None


async def test_the_folder_of_the_call_and_the_root_count(work: Path) -> None:
    guard = guarding(work)
    assert "draft.md" in str(await said(guard, "rm draft.md", str(work)))
    assert "draft.md" in str(await said(guard, "rm ../draft.md", "src"))
    assert await said(guard, "rm draft.md", "src") is None
    assert "changed.py, outside" in str(await said(guarding(work, work / "src"), "rm changed.py"))
    assert await said(guarding(work, work.parent), "rm ../outside.txt") is None


async def test_without_git_only_the_folder_is_guarded(tmp_path: Path) -> None:
    work = tmp_path / "work"
    write(work, "a.txt")
    assert await said(guarding(work), "rm a.txt") is None
    assert "itself" in str(await said(guarding(work), "rm -rf ../work"))


async def test_where_git_does_not_answer_it_is_a_hazard(work: Path) -> None:
    guard = Guard(work, work, work.parent / "scratch", {"PATH": "/nowhere"})
    assert "git could not be asked" in str(await said(guard, "rm clean.py"))
    (work / ".git" / "HEAD").write_text("nonsense")
    assert "git could not be asked" in str(await said(guarding(work), "rm clean.py"))


async def test_what_the_agent_has_made_is_its_own(work: Path) -> None:
    guard = guarding(work)

    def ran(touched: dict[Path, str | None], run: Callable[[], None]) -> None:
        run()
        guard.remember(touched)

    ran(guard.made(guard.read("mkdir ../mine && echo > made.txt")), lambda: write(work, "made.txt", "../mine/deep/x"))
    ran(guard.written("new/pkg/a.py"), lambda: write(work, "new/pkg/a.py", "new/b.py"))
    assert await said(guard, "rm -rf ../mine made.txt new") is None
    assert await said(guard, "git clean -fd new; rm ../scratch/*") is None
    assert "draft.md" in str(await said(guard, "rm made.txt draft.md"))
    assert "outside" in str(await said(guard, "rm -rf ../mine ../other"))


async def test_the_agent_may_take_back_its_own_change_and_no_other(work: Path) -> None:
    guard = guarding(work)
    for name in ("clean.py", "changed.py"):
        before = guard.written(name)
        write(work, name, text="the agent's\n")
        guard.remember(before)
    assert await said(guard, "git checkout -- clean.py") is None
    assert "changed.py" in str(await said(guard, "git checkout -- clean.py changed.py"))
    assert "draft.md" in str(await said(guard, "echo new > draft.md; rm draft.md")), "it was there before"


# In the gate

SHELL = Tool(name="shell", description="", arguments=object, run=print)  # type: ignore[arg-type]


@pytest.mark.parametrize(("answer", "runs"), [("once", True), ("no", False), (None, False)])
async def test_a_person_is_asked_whatever_the_mode_says(work: Path, answer: Answer | None, runs: bool) -> None:
    asked: list[str] = []

    async def person(question: Question) -> Answer:
        asked.append(question.reason)
        assert answer is not None
        return answer

    approval = Approval("never", {"shell": SHELL}, person if answer else None)
    gate = Gate(Rules(), approval, lambda: guarding(work))
    verdict = await gate.before_tool_call(ToolUse(id="1", name="shell", input={"command": "rm draft.md"}))
    assert isinstance(verdict, Allow if runs else Block)
    if answer is None:
        assert isinstance(verdict, Block)
        assert "--allow-destructive" in verdict.reason
        assert approval.unanswered == 1
    else:
        assert len(asked) == 1
        assert "`rm draft.md` would destroy what git cannot bring back: draft.md (untracked)" in asked[0]
    assert (
        await Gate(Rules(), approval).before_tool_call(ToolUse(id="2", name="shell", input={"command": "rm draft.md"}))
        == Allow()
    )


async def test_what_a_call_has_made_is_known_to_the_next(work: Path) -> None:
    gate = Gate(Rules(), Approval("never", {"shell": SHELL}, None), lambda: guarding(work))
    making = ToolUse(id="1", name="shell", input={"command": "echo > made.txt"})
    removing = ToolUse(id="2", name="shell", input={"command": "rm made.txt"})
    assert await gate.before_tool_call(making) == Allow()
    write(work, "made.txt")
    assert isinstance(await gate.before_tool_call(removing), Block)
    assert await gate.after_tool_call(making, ToolResult("done")) == ToolResult("done")
    assert await gate.before_tool_call(removing) == Allow()
