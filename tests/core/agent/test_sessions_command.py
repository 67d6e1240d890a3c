"""`beyond-ai agent sessions`, as a person and as a program use it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from beyond_ai.agent.session import SessionRepository
from beyond_ai.cli import app
from beyond_ai.spec.conversation import Message, Text


@pytest.fixture
def repository(tmp_path: Path) -> SessionRepository:
    return SessionRepository(tmp_path / "sessions")


def made(repository: SessionRepository, prompt: str, title: str | None = None) -> str:
    session = repository.create(cwd=Path("/work"), model="model-1", title=title)
    session.conversation.append(Message(role="user", content=(Text(text=prompt),)))
    session.checkpoint()
    session.close()
    return session.id


def sessions(repository: SessionRepository, *words: str) -> Result:
    return CliRunner().invoke(app, ["agent", "sessions", *words, "--session-dir", str(repository.folder)])


def test_a_session_is_listed_shown_deleted_and_restored(repository: SessionRepository) -> None:
    first, second = made(repository, "Find the bug"), made(repository, "Other", "Named")
    assert [row["id"] for row in json.loads(sessions(repository, "list", "--json").stdout)] == [second, first]
    table = sessions(repository, "list").stdout
    assert "Named" in table
    assert "Find the bug" in table
    assert [row["id"] for row in json.loads(sessions(repository, "list", "--json", "--search", "BUG").stdout)] == [
        first
    ]
    shown = json.loads(sessions(repository, "show", first[:12], "--json").stdout)
    assert [turn["text"] for turn in shown["turns"]] == ["Find the bug"]
    assert shown["branches"] == [shown["leaf"]]
    assert "Find the bug" in sessions(repository, "show", first[:12]).stdout
    assert sessions(repository, "delete", first[:12]).exit_code == 0
    assert len(json.loads(sessions(repository, "list", "--json").stdout)) == 1
    assert [row["id"] for row in json.loads(sessions(repository, "list", "--trash", "--json").stdout)] == [first]
    assert json.loads(sessions(repository, "restore", first[:12], "--json").stdout)["id"] == first
    assert len(json.loads(sessions(repository, "list", "--json").stdout)) == 2


def test_a_session_is_named_labelled_and_forked(repository: SessionRepository) -> None:
    name = made(repository, "Find the bug")
    assert json.loads(sessions(repository, "rename", name[:12], "The bug", "--json").stdout)["title"] == "The bug"
    assert "The bug" in sessions(repository, "list").stdout
    (turn,) = json.loads(sessions(repository, "show", name, "--json").stdout)["turns"]
    assert sessions(repository, "label", name, turn["id"], "start here").exit_code == 0
    assert "[start here]: Find the bug" in sessions(repository, "show", name).stdout
    forked = json.loads(sessions(repository, "fork", name, "--upto", turn["id"], "--json").stdout)
    assert (forked["parent"], forked["title"]) == (name, "The bug")
    (copied,) = json.loads(sessions(repository, "show", forked["id"], "--json").stdout)["turns"]
    assert (copied["text"], copied["label"]) == ("Find the bug", "start here")
    assert sessions(repository, "label", name, turn["id"]).exit_code == 0
    assert sessions(repository, "rename", name).exit_code == 0
    (turn,) = json.loads(sessions(repository, "show", name, "--json").stdout)["turns"]
    assert not turn["label"]
    assert repository.find(name).title is None


def test_one_that_is_in_use_can_be_forked_only(repository: SessionRepository) -> None:
    name = made(repository, "Find the bug")
    held = repository.open(name)
    for words in (["rename", name, "x"], ["label", name, "y", "x"], ["delete", name]):
        refused = sessions(repository, *words)
        assert (refused.exit_code, "process" in refused.stderr) == (1, True), words
    assert sessions(repository, "fork", name).stdout.startswith(f"forked {name} as ")
    held.close()


def test_an_export_is_what_its_file_is_called(repository: SessionRepository, tmp_path: Path) -> None:
    name = made(repository, "Find the bug")
    assert sessions(repository, "export", name).stdout.startswith("# Find the bug\n")
    assert sessions(repository, "export", name, "--format", "html").stdout.startswith("<!doctype html>")
    page = tmp_path / "page.html"
    assert sessions(repository, "export", name, "-o", str(page)).exit_code == 0
    assert page.read_text().startswith("<!doctype html>")
    assert page.stat().st_mode & 0o777 == 0o600


def test_what_goes_wrong_is_a_line(repository: SessionRepository, tmp_path: Path) -> None:
    names = [made(repository, str(number)) for number in range(17)]
    alike = [name for name in names if sum(other[0] == name[0] for other in names) > 1]
    same = [name for name in names if name[0] == alike[0][0]]
    ambiguous = sessions(repository, "show", same[0][0])
    assert ambiguous.exit_code == 1
    assert all(name in ambiguous.stderr for name in same[:10])
    for words in (
        ["show", "zzz"],
        ["export", names[0], "--branch", "nowhere"],
        ["export", names[0], "-o", str(tmp_path / "no" / "folder.md")],
        ["restore", names[0]],
        ["label", names[0], "nowhere", "x"],
        ["fork", names[0], "--upto", "nowhere"],
    ):
        failed = sessions(repository, *words)
        assert failed.exit_code == 1, words
        assert failed.stderr.startswith("error: "), words
