"""Commands that would destroy what cannot be had back: asked about, and denied where nobody answers."""

import subprocess
from pathlib import Path

import pytest
from tests.agent.agent_process import Place
from tests.agent.conftest import Model
from tests.agent.serve_process import served
from tests.agent.test_gates import on_terminal

from beyond_ai.testing.model import says, tool_call, uses

DELETING = "rm draft.md ../outside.txt"


@pytest.fixture
def draft(place: Place, tmp_path: Path) -> Path:
    """An untracked file in a repository, and another beside it."""
    subprocess.run(["git", "init", "-q"], cwd=place.cwd, check=True)
    place.write({"draft.md": "of a day\n"})
    (tmp_path / "outside.txt").write_text("the user's\n")
    return place.cwd / "draft.md"


def test_where_nobody_can_be_asked_it_is_denied(place: Place, model: Model, draft: Path, tmp_path: Path) -> None:
    commands = ("rm ../outside.txt", "rm draft.md", "find . -name '*.md' -delete", "git clean -fdq", "rm -rf .git")
    playing = model(uses(*(tool_call("bash", command=command) for command in commands)), says("I may not."))
    ran = place.run("--json", "--no-session", "tidy up")
    assert (ran.code, ran.result["status"]) == (3, "refused"), ran
    told = [result.content for result in playing.asked[-1].results]
    assert f"delete {tmp_path}/outside.txt, outside the working folder {place.cwd}" in told[0]
    assert all("draft.md (untracked)" in text for text in told[1:4])
    assert all("nobody can be asked here: denied" in text for text in told)
    assert draft.exists()
    assert (tmp_path / "outside.txt").exists()
    assert (place.cwd / ".git").exists()


def test_what_is_the_agents_own_goes_without_a_question(place: Place, model: Model, draft: Path) -> None:
    model(
        uses(tool_call("write", path="repro.py", content="print(1)\n")),
        uses(tool_call("bash", command="mkdir -p ../x; echo 1 > log.md; python3 repro.py > out.md")),
        uses(tool_call("bash", command="rm -r repro.py log.md out.md ../x; d=$(mktemp -d); rm -r $d")),
        says("clean"),
    )
    ran = place.run("--json", "--no-session", "try it")
    assert (ran.code, set(place.tree())) == (0, {"draft.md"}), ran
    assert draft.exists()


def test_it_can_be_allowed(place: Place, model: Model, draft: Path, tmp_path: Path) -> None:
    model(uses(tool_call("bash", command=DELETING)), says("gone"))
    assert place.run("--no-session", "--allow-destructive", "tidy up").code == 0
    assert not draft.exists()
    assert not (tmp_path / "outside.txt").exists()


def test_a_person_on_a_terminal_is_asked(place: Place, model: Model, draft: Path, tmp_path: Path) -> None:
    model(uses(tool_call("bash", command="rm draft.md")), uses(tool_call("bash", command=DELETING)), says("done"))
    ran, asked = on_terminal(place, "--no-session", "tidy up", answers=["y", "n"])
    assert (ran.code, len(asked)) == (0, 2), ran
    assert "destroy what git cannot bring back: draft.md (untracked)" in asked[0].replace("\r\n", " ")
    assert "outside the working folder" in asked[1]
    assert not draft.exists()
    assert (tmp_path / "outside.txt").exists()


@pytest.mark.parametrize("decision", ["allow", "deny", None])
def test_a_program_is_asked_and_no_answer_is_a_no(
    place: Place, model: Model, draft: Path, decision: str | None
) -> None:
    model(uses(tool_call("bash", command="rm draft.md")), says("done"))
    with served(place, "--approval-timeout", "0.2" if decision is None else "60") as far:
        far.send({"id": "1", "type": "prompt", "message": "tidy up"})
        request = far.until(lambda frame: frame["type"] == "approval_request")
        assert "draft.md (untracked)" in str(request["reason"])
        if decision is not None:
            far.send({"id": "2", "type": "approve", "request_id": request["request_id"], "decision": decision})
        assert far.event("tool_end")["is_error"] is (decision != "allow")
        assert far.answer("1")["success"] is True
    assert draft.exists() is (decision != "allow")


def test_a_program_can_allow_it_from_the_start(place: Place, model: Model, draft: Path) -> None:
    model(uses(tool_call("bash", command="rm draft.md")), says("done"))
    with served(place, "--allow-destructive") as far:
        assert far.ask("prompt", "1", message="tidy up")["success"] is True
    assert not draft.exists()
