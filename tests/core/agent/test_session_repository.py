"""Sessions as a person and a program handle them: branches, forks, names, the trash, lists and searches."""

import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beyond_ai.agent.session import Session, SessionError, SessionRepository
from beyond_ai.agent.session.journal import RESTATED_BYTES, parse_lines, read_content
from beyond_ai.spec.conversation import Message, Text, ToolOutput, ToolUse

CWD = Path("/work")
CALL = Message(role="assistant", content=(ToolUse(id="c", name="bash", input={"command": "grep Zürich"}),))
RESULT = Message(role="user", content=(ToolOutput(tool_use_id="c", content='He said "Grüezi"'),))


def message(role: str, text: str) -> Message:
    return Message(role="user" if role == "user" else "assistant", content=(Text(text=text),))


def say(session: Session, *texts: str) -> list[str]:
    """Add TEXTS in turns; the ids of all entries of the conversation."""
    for text in texts:
        last = session.conversation.last
        session.conversation.append(message("assistant" if last and last.role == "user" else "user", text))
    session.checkpoint()
    return [entry.id for entry in session.conversation.entries]


def texts(session: Session) -> list[str]:
    return [found.text for found in session.conversation.messages]


@pytest.fixture
def repository(tmp_path: Path) -> SessionRepository:
    return SessionRepository(tmp_path / "sessions")


def made(repository: SessionRepository, *said: str, title: str | None = None) -> Session:
    session = repository.create(cwd=CWD, model="m", title=title)
    say(session, *said)
    return session


def test_a_branch_goes_on_from_an_earlier_entry_and_loses_nothing(repository: SessionRepository) -> None:
    session = made(repository, "one", "two", "three", "four")
    before = session.path.read_bytes() if session.path else b""
    ids = [entry.id for entry in session.conversation.entries]
    session.branch(ids[1])
    say(session, "other")
    session.close()
    again = repository.open(session.id)
    assert texts(again) == ["one", "two", "other"]
    assert again.path is not None
    assert again.path.read_bytes().startswith(before)
    assert again.tree.tips()[0] == ids[3]
    again.branch(ids[3])
    assert texts(again) == ["one", "two", "three", "four"]
    again.branch(None)
    assert texts(again) == []
    say(again, "anew")
    again.close()
    assert texts(repository.open(session.id)) == ["anew"]
    assert len(again.tree.tips()) == 3


@pytest.mark.parametrize("place", [1, 2], ids=["behind an answer", "behind a question"])
def test_the_model_is_told_of_the_branch_that_was_left(repository: SessionRepository, place: int) -> None:
    session = made(repository, "one", "two", "three", "four")
    ids = [entry.id for entry in session.conversation.entries]
    session.branch(ids[place], "It failed.")
    say(session, "next")
    session.close()
    again = repository.open(session.id)
    told = next(found for found in again.conversation.messages if "It failed." in found.text)
    assert told.role == "user"
    assert told.text.startswith("next" if place == 1 else "three")
    assert [found.role for found in again.conversation.messages] == ["user", "assistant", "user", "assistant"][
        : len(again.conversation.messages)
    ]
    assert again.conversation.messages == session.conversation.messages
    stored = [value for value in read_content(again.path).entries if value["type"] == "branch_summary"]  # type: ignore[arg-type]
    assert [(value["from_id"], value["summary"]) for value in stored] == [(ids[3], "It failed.")]


def test_what_is_not_there_cannot_be_branched_from(repository: SessionRepository) -> None:
    session = made(repository, "one")
    for change in (lambda: session.branch("none"), lambda: session.label("none", "x")):
        with pytest.raises(SessionError, match="no entry none"):
            change()
    assert session.path is not None
    with pytest.raises(SessionError, match="no entry none"):
        repository.fork(session.path, "none")
    assert len(repository.list()) == 1


def test_a_fork_is_a_file_of_its_own(repository: SessionRepository) -> None:
    session = made(repository, "one", "two", "three", title="First")
    ids = [entry.id for entry in session.conversation.entries]
    session.label(ids[1], "good")
    before = session.path.read_bytes() if session.path else b""
    assert session.path is not None
    fork = repository.fork(session.path, ids[1])  # while it is in use
    assert texts(fork) == ["one", "two"]
    assert fork.tree.labels == {ids[1]: "good"}
    say(fork, "elsewhere")
    fork.close()
    shorter = repository.fork(session.path, ids[1], before=True)
    assert texts(shorter) == ["one"]
    shorter.close()
    assert session.path.read_bytes() == before
    info = repository.find(fork.id)
    assert (info.parent, info.title, info.cwd) == (session.id, "First", str(CWD))
    assert texts(repository.open(fork.id)) == ["one", "two", "elsewhere"]


def test_a_label_can_be_changed_and_taken_away(repository: SessionRepository) -> None:
    session = made(repository, "one", "two")
    first, second = (entry.id for entry in session.conversation.entries)
    session.label(first, "a")
    session.label(first, "b")
    session.label(second, "c")
    session.label(second, None)
    session.close()
    again = repository.open(session.id)
    assert again.tree.labels == {first: "b"}
    assert texts(again) == ["one", "two"]


def test_a_list_finds_names_in_long_files(repository: SessionRepository) -> None:
    session = made(repository, "the first prompt")
    session.rename("Über \N{GRINNING FACE}")
    for _ in range(12):
        say(session, "x" * (RESTATED_BYTES // 3))
    session.close()
    other = made(repository, "another", title="Second")
    listed = repository.list()
    assert [(info.title, info.prompt) for info in listed] == [
        ("Second", "another"),
        ("Über \N{GRINNING FACE}", "the first prompt"),
    ]
    assert listed[1].size > 4 * RESTATED_BYTES
    with pytest.raises(SessionError, match="is using this session"):
        repository.rename(other.id, "Third")
    other.rename(None)
    assert repository.list()[0].title is None
    other.close()
    assert repository.rename(other.id, "Third").title == "Third"
    assert repository.open(other.id).title == "Third"


def test_an_id_may_be_shortened_until_it_is_no_more_one(repository: SessionRepository) -> None:
    sessions = [made(repository, str(number)) for number in range(17)]  # two of them begin alike
    for session in sessions:
        session.close()
        assert repository.find(session.id[:16]).id == session.id
        assert session.path is None
    start = next(a.id[0] for a, b in itertools.combinations(sessions, 2) if a.id[0] == b.id[0])
    alike = [session.id for session in sessions if session.id[0] == start]
    with pytest.raises(SessionError, match=f"may be {len(alike)} sessions") as caught:
        SessionRepository(repository.folder).find(start)
    assert all(name in caught.value.message for name in alike[:10])
    for wrong in ("", "zzz"):
        with pytest.raises(SessionError, match="no session's id begins with"):
            repository.find(wrong)


def test_the_trash_gives_back_what_was_deleted(repository: SessionRepository) -> None:
    session = made(repository, "one", "two")
    with pytest.raises(SessionError, match="is using this session"):
        repository.delete(session.id)
    session.close()
    path = repository.find(session.id).path
    content = path.read_bytes()
    repository.delete(session.id[:10])
    assert (repository.list(), [info.id for info in repository.list_trash()]) == ([], [session.id])
    path.write_text("somebody else's")
    with pytest.raises(SessionError, match="File exists"):
        repository.restore(session.id)
    path.unlink()
    repository.restore(session.id[:10])
    assert path.read_bytes() == content
    assert not repository.list_trash()


def test_a_search_looks_at_words_calls_and_results(repository: SessionRepository) -> None:
    session = made(repository, "Where is it?")
    session.conversation.append(CALL)
    session.conversation.append(RESULT)
    session.checkpoint()
    made(repository, "nothing here", title="Zoo").close()
    ids = [entry.id for entry in session.conversation.entries]
    for query, entry in (("zürich GREP", ids[1]), ('"grüezi" he', ids[2]), ("where", ids[0])):
        assert [(hit.session.id, hit.entry_id) for hit in repository.search(query)] == [(session.id, entry)], query
    assert [hit.snippet for hit in repository.search('"grüezi"')] == ['He said "Grüezi"']
    assert [hit.session.title for hit in repository.search("zoo")] == ["Zoo"]
    for query in ("where zürich", "command_that_is_not_there", ""):
        assert not list(repository.search(query)), query


def test_other_files_are_no_sessions(repository: SessionRepository) -> None:
    made(repository, "one").close()
    (repository.folder / "notes.jsonl").write_text('{"a":1}\n')
    (repository.folder / "empty.jsonl").touch()
    (repository.folder / "binary.jsonl").write_bytes(b"\xff\x00\n" * 40)
    assert len(repository.list()) == 1
    assert len(list(repository.search("one"))) == 1


def written(path: Path) -> list[tuple[int, int]]:
    """Write a session; after each acknowledged step the size of the file, and how many entries are in it."""
    session = Session.open(path, cwd=CWD, model="m")
    marks = []
    for step in range(6):
        say(session, f"text \N{GRINNING FACE} {step}" * (step + 1))
        if step == 2:
            session.rename("named")
            session.label(session.conversation.entries[0].id, "start")
        if step == 3:
            session.branch(session.conversation.entries[1].id, "left")
        marks.append((path.stat().st_size, len(session.tree.nodes)))
    session.close()
    return marks


@pytest.fixture(scope="module")
def a_file(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[tuple[int, int]], bytes]:
    path = tmp_path_factory.mktemp("written") / "s.jsonl"
    return written(path), path.read_bytes()


@given(st.integers(0, 5_000))
@settings(max_examples=80, deadline=None)
def test_any_start_of_a_file_opens_with_all_that_was_acknowledged(
    tmp_path_factory: pytest.TempPathFactory, a_file: tuple[list[tuple[int, int]], bytes], at: int
) -> None:
    path = tmp_path_factory.mktemp("prefix") / "s.jsonl"
    marks, content = a_file
    ids = [str(value["id"]) for value in parse_lines(content)[0] if "parent_id" in value]
    cut = at % (len(content) + 1)
    path.write_bytes(content[:cut])
    acknowledged = max((count for size, count in marks if size <= cut), default=0)
    session = Session.open(path, cwd=CWD, model="m")
    assert list(session.tree.nodes)[:acknowledged] == ids[:acknowledged]
    count = len(session.conversation.messages)
    say(session, "more")
    session.close()
    assert path.read_bytes().startswith(content[:cut])
    again = Session.open(path, cwd=CWD, model="m")
    assert len(again.conversation.messages) == count + 1
    again.close()
