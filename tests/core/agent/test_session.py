"""Sessions: what is on disk when, what a damaged file still tells, and who may write it."""

import itertools
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beyond_ai.agent.json_line import json_line
from beyond_ai.agent.loop.conversation import MessageEntry
from beyond_ai.agent.loop.history import flaw
from beyond_ai.agent.session import Session, default_folder, latest, new_path
from beyond_ai.agent.session.codec import EntryReader
from beyond_ai.agent.session.journal import Journal, SessionError, parse_lines
from beyond_ai.agent.session.repair import LOST, STOPPED, legal
from beyond_ai.spec.conversation import (
    Image,
    JsonObject,
    Message,
    RedactedThinking,
    Text,
    Thinking,
    TokenUsage,
    ToolOutput,
    ToolUse,
)

CWD = Path("/work")


def user(text: str) -> Message:
    return Message(role="user", content=(Text(text=text),))


def said(text: str) -> Message:
    return Message(role="assistant", content=(Text(text=text),), model_id="m", stop_reason="end_turn")


def calls(*names: str) -> Message:
    uses = tuple(ToolUse(id=name, name="bash", input={"command": name}) for name in names)
    return Message(role="assistant", content=uses, model_id="m", stop_reason="tool_use")


def results(*names: str) -> Message:
    return Message(role="user", content=tuple(ToolOutput(tool_use_id=name, content="ok") for name in names))


def opened(path: Path, model: str | None = None) -> Session:
    return Session.open(path, cwd=CWD, model=model, default_model="m")


def add(session: Session, *messages: Message) -> None:
    for message in messages:
        session.conversation.append(message)
    session.checkpoint()


def kept(path: Path) -> tuple[Message, ...]:
    session = opened(path)
    session.close()
    return session.conversation.messages


def texts(path: Path) -> list[str]:
    return [message.text for message in kept(path)]


def entries(path: Path, kind: str) -> list[JsonObject]:
    return [value for value in parse_lines(path.read_bytes())[0] if value["type"] == kind]


EVERYTHING = (
    user("look \u2028 at\u2029 this \N{GRINNING FACE}"),
    Message(
        role="assistant",
        content=(
            Thinking(thinking="hm", signature="sig", field="reasoning"),
            RedactedThinking(data="xx"),
            Text(text="", id="t1", phase="final"),
            ToolUse(id="a", name="read", input={"path": "x", "n": [1, {"y": None}]}, signature="s"),
            ToolUse(id="b", name="read", input={}, malformed='{"pa'),
        ),
        model_id="m",
        usage=TokenUsage(input_tokens=3, output_tokens=2, cache_read_tokens=1),
        stop_reason="tool_use",
        error_message="cut",
    ),
    Message(
        role="user",
        content=(
            ToolOutput(tool_use_id="a", content="1", images=(Image(media_type="image/png", data="AAAA"),)),
            ToolOutput(tool_use_id="b", content="no", is_error=True),
        ),
    ),
)


def test_a_checkpoint_is_read_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "s.jsonl"
    session = opened(path)
    add(session, *EVERYTHING)
    session.conversation.spend(TokenUsage(input_tokens=7), "retry")
    session.conversation.switch("n", "high")
    session.checkpoint()
    session.close()
    assert kept(path) == EVERYTHING
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert b"\xe2\x80\xa8" not in path.read_bytes()
    assert len(path.read_text().splitlines()) == path.read_bytes().count(b"\n"), "a reader sees more lines than LF"
    again = opened(path).conversation
    assert (again.model, again.thinking, again.total_usage.input_tokens) == ("n", "high", 10)
    assert again.entries == session.conversation.entries


def test_each_checkpoint_adds_what_is_new_alone(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    session = opened(path)
    add(session, user("one"))
    before = path.read_bytes()
    add(session, said("two"), user("three"))
    session.checkpoint()
    assert path.read_bytes().startswith(before)
    assert [entry["role"] for entry in entries(path, "message")] == ["user", "assistant", "user"]
    parents = {entry["id"]: entry["parent_id"] for entry in entries(path, "message")}
    assert list(parents.values()) == [None, *list(parents)[:2]]


def test_a_summary_takes_the_place_of_what_it_stands_for(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    session = opened(path)
    add(session, user("one"), said("two"), user("three"), said("four"))
    for reason, start in (("threshold", 1), ("manual", 9)):
        session.conversation.compact(
            reason=reason,  # type: ignore[arg-type]
            message=user("so far"),
            kept_from=start,
            summary="so far",
            original_request="one",
            current_request="one",
            read_files=("a",),
            modified_files=(),
            tokens_before=9,
            tokens_after=3,
        )
        session.checkpoint()
        assert opened_again(session, path) == session.conversation.messages
        session = opened(path)
    assert entries(path, "compaction")[0]["first_kept"] == entries(path, "message")[1]["id"]
    assert "first_kept" not in entries(path, "compaction")[1]
    assert len(entries(path, "message")) == 4, "what was kept is written again"


def opened_again(session: Session, path: Path) -> tuple[Message, ...]:
    session.close()
    return kept(path)


def test_torn_lines_are_passed_over_wherever_they_are(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    session = opened(path)
    add(session, user("one"), said("two"), user("three"))
    session.close()
    lines = path.read_bytes().splitlines(keepends=True)
    lines.insert(2, b'{"type":"message","id":"torn","conte')
    path.write_bytes(b"".join(lines) + b'{"type":"message","id":"torn too"')
    session = opened(path)
    assert [message.text for message in session.conversation.messages] == [LOST, "two", "three"]
    add(session, said("four"))
    session.close()
    assert texts(path) == [LOST, "two", "three", "four"]


def test_a_line_lost_in_the_middle_makes_a_branch(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    session = opened(path)
    add(session, user("one"), said("two"), user("three"), said("four"))
    session.close()
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(line for line in lines if b'"three"' not in line))
    before = path.read_bytes()
    session = opened(path)
    add(session, user("five"))
    session.close()
    assert texts(path) == ["one", "two", LOST, "four", "five"]
    assert path.read_bytes().startswith(before)
    assert [entry["parent_id"] for entry in entries(path, "message")][3] == entries(path, "message")[1]["id"]


@given(st.integers(0, 2_000), st.binary(max_size=12))
@settings(max_examples=60, deadline=None)
def test_a_file_cut_anywhere_opens_and_takes_more(
    tmp_path_factory: pytest.TempPathFactory, cut: int, junk: bytes
) -> None:
    path = tmp_path_factory.mktemp("cut") / "s.jsonl"
    session = opened(path)
    add(session, *EVERYTHING)
    session.close()
    content = path.read_bytes()
    cut = max(cut % len(content), content.index(b"\n") + 1)  # with its header: a file without one may be anybody's
    path.write_bytes(content[:cut] + junk)
    session = opened(path)
    before = session.conversation.messages
    assert before == EVERYTHING[: len(before)]
    if session.conversation.unanswered:
        add(session, EVERYTHING[2])
    else:
        add(session, user("more") if len(before) % 2 == 0 else said("more"))
    session.close()
    assert kept(path) == session.conversation.messages
    assert len(kept(path)) == len(before) + 1


ID = itertools.count()
PIECES = st.sampled_from(
    [user("u"), said("a"), calls("x"), calls("x", "y"), results("x"), results("x", "y"), results("y"), results("z")]
)


@given(st.lists(PIECES, max_size=8))
@settings(deadline=None)
def test_whatever_was_lost_what_is_read_is_legal(messages: list[Message]) -> None:
    found = [MessageEntry(id=f"old{place}", message=message) for place, message in enumerate(messages)]
    mended = [entry for entry in legal(found, lambda: f"new{next(ID)}") if isinstance(entry, MessageEntry)]
    history = [entry.message for entry in mended]
    if history and history[-1].role == "assistant":
        closing = tuple(ToolOutput(tool_use_id=call.id, content="") for call in history[-1].tool_uses)
        history.append(Message(role="user", content=closing or (Text(text="."),)))
    assert not history or flaw(history) is None
    ids = [entry.id for entry in mended]
    assert len(set(ids)) == len(ids)
    sound = [name.startswith("old") for name in ids]
    assert sound == sorted(sound, reverse=True), "an entry hangs on one that is not its parent in the file"
    assert [e.message for e in legal(mended, lambda: "never") if isinstance(e, MessageEntry)] == history[: len(mended)]


def test_every_call_gets_one_result_whatever_follows_it() -> None:
    found = [
        MessageEntry(id=str(place), message=message)
        for place, message in enumerate([user("go"), calls("a", "b"), results("b"), calls("c"), said("what?")])
    ]
    mended = [entry.message for entry in legal(found, lambda: f"n{next(ID)}") if isinstance(entry, MessageEntry)]
    given = [[block.tool_use_id for block in m.content if isinstance(block, ToolOutput)] for m in mended]
    assert given == [[], [], ["a", "b"], [], ["c"], []]
    assert [b.content for b in mended[2].content if isinstance(b, ToolOutput)] == [STOPPED, "ok"]


def test_kinds_that_are_not_known_stay(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    session = opened(path)
    add(session, user("one"))
    session.close()
    parent = entries(path, "message")[0]["id"]
    strange = {"type": "label", "id": "feed", "parent_id": parent, "label": "here"}
    with path.open("ab") as file:
        file.write(json_line(strange))
    session = opened(path)
    add(session, said("two"))
    session.close()
    assert entries(path, "label") == [strange]
    assert entries(path, "message")[1]["parent_id"] == "feed"
    assert texts(path) == ["one", "two"]


def test_a_leaf_moves_what_is_read_and_what_is_added(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    session = opened(path)
    add(session, user("one"), said("two"), user("three"))
    session.close()
    target = entries(path, "message")[1]["id"]
    with path.open("ab") as file:
        file.write(json_line({"type": "leaf", "target_id": target}))
    assert texts(path) == ["one", "two"]
    session = opened(path)
    add(session, user("four"))
    session.close()
    assert entries(path, "message")[-1]["parent_id"] == target
    assert texts(path) == ["one", "two", "four"]


def test_a_block_of_a_kind_that_is_not_known_is_left_out() -> None:
    value = {
        "type": "message",
        "id": "1",
        "role": "user",
        "content": [{"type": "hologram"}, {"type": "text", "text": "x"}],
    }
    assert EntryReader().read(value) == MessageEntry(id="1", message=user("x"))
    for wrong in ({"role": "nobody", "content": []}, {"role": "user"}, {"role": "user", "content": [{"type": "text"}]}):
        assert EntryReader().read({"type": "message", "id": "1", **wrong}) is None


def test_half_a_surrogate_pair_does_not_spoil_the_message(tmp_path: Path) -> None:
    session = opened(tmp_path / "s.jsonl")
    add(session, user("file \udcff"))
    session.close()
    assert texts(tmp_path / "s.jsonl") == ["file ?"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"type":"session","version":2,"id":"x","cwd":"/"}\n', "has version 2, this is 1"),
        ("# A readme\n", "is no session"),
        ('{"name": "package"}\n', "is no session"),
    ],
)
def test_what_is_no_session_of_ours_is_refused_and_not_touched(tmp_path: Path, content: str, reason: str) -> None:
    path = tmp_path / "s.jsonl"
    path.write_text(content)
    with pytest.raises(SessionError, match=reason):
        opened(path)
    assert path.read_text() == content


def test_a_second_writer_is_told_who_the_first_is(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    code = (
        "import sys; from pathlib import Path; from beyond_ai.agent.session import Session\n"
        "s = Session.open(Path(sys.argv[1]), cwd=Path('/'), model='m'); print('open', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(SessionError, match=f"process {holder.pid} is using this session"):
            opened(path)
        holder.kill()
        holder.wait()
    opened(path).close()


def test_a_disk_that_is_full_fails_the_checkpoint_and_leaves_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    code = """
import resource, sys
from pathlib import Path
from beyond_ai.agent.session import Session
from beyond_ai.agent.session.journal import SessionError
from beyond_ai.spec.conversation import Message, Text
session = Session.open(Path(sys.argv[1]), cwd=Path("/"), model="m")
session.conversation.append(Message(role="user", content=(Text(text="one"),)))
session.checkpoint()
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
session.conversation.append(Message(role="assistant", content=(Text(text="x" * 5000),)))
try:
    session.checkpoint()
except SessionError as error:
    print(error.message)
    print(Path(sys.argv[1]).read_bytes()[-1:])
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
session.checkpoint()
"""
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert "cannot be written: File too large" in done.stdout
    assert "b'\\n'" in done.stdout, "half a line was left"
    assert texts(path) == ["one", "x" * 5000]


def test_another_model_is_noted_and_none_keeps_it(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    for model, used in (("a", "a"), ("a", "a"), ("other", "other"), (None, "other"), ("a", "a")):
        session = opened(path, model)
        assert session.conversation.model == used
        session.checkpoint()
        session.close()
    assert [entry["model"] for entry in entries(path, "model")] == ["other", "a"]


def test_a_session_in_memory_writes_nothing(tmp_path: Path) -> None:
    session = Session(model=None, default_model="m")
    add(session, user("one"))
    assert (session.conversation.messages, session.path, list(tmp_path.iterdir())) == ((user("one"),), None, [])
    assert len(session.id) >= 8


def test_two_folders_never_share_their_sessions(tmp_path: Path) -> None:
    folders = {default_folder(Path(cwd), tmp_path) for cwd in ("/a/b", "/a-b", "/a/b/", "/a b", "/" + "x" * 300)}
    assert len(folders) == 4
    assert all(len(folder.name) < 120 and folder.parent == tmp_path / ".beyond-ai" / "sessions" for folder in folders)


def test_the_latest_is_the_one_written_last_in_this_folder(tmp_path: Path) -> None:
    assert latest(tmp_path / "none", CWD) is None
    first, second, other = (new_path(tmp_path) for _ in range(3))
    for path, cwd in ((first, CWD), (second, CWD), (other, Path("/elsewhere"))):
        Journal.open(path, cwd=cwd, model="m").close()
    session = opened(first)
    add(session, user("later"))
    session.close()
    assert latest(tmp_path, CWD) == first
