"""Sessions: what is on disk when, what a damaged file still tells, and who may write it."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beyond_ai.agent.session import Session, default_folder, latest, new_path
from beyond_ai.agent.session.codec import MessageReader, encode_message, line_of
from beyond_ai.agent.session.journal import Journal, SessionError, parse_lines
from beyond_ai.agent.session.repair import STOPPED, close_calls, with_prompt
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


def opened(path: Path, model: str = "m") -> Session:
    return Session.open(path, cwd=CWD, model=model)


def kept(path: Path) -> tuple[Message, ...]:
    session = opened(path)
    session.close()
    return session.messages


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
    session.checkpoint(EVERYTHING)
    session.close()
    assert kept(path) == EVERYTHING
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert b"\xe2\x80\xa8" not in path.read_bytes()
    assert len(path.read_text().splitlines()) == path.read_bytes().count(b"\n"), "a reader sees more lines than LF"


def test_each_checkpoint_adds_what_is_new_alone(tmp_path: Path) -> None:
    session = opened(tmp_path / "s.jsonl")
    one, two, three = user("one"), said("two"), user("three")
    session.checkpoint([one])
    before = (tmp_path / "s.jsonl").read_bytes()
    session.checkpoint([one, two, three])
    session.checkpoint([one, two, three])
    after = (tmp_path / "s.jsonl").read_bytes()
    assert after.startswith(before)
    assert [entry["role"] for entry in entries(tmp_path / "s.jsonl", "message")] == ["user", "assistant", "user"]
    parents = {entry["id"]: entry["parent_id"] for entry in entries(tmp_path / "s.jsonl", "message")}
    assert list(parents.values()) == [None, *list(parents)[:2]]


def test_a_summary_takes_the_place_of_what_it_stands_for(tmp_path: Path) -> None:
    session = opened(tmp_path / "s.jsonl")
    old = [user("one"), said("two"), user("three"), said("four")]
    session.checkpoint(old)
    summary = user("so far: one, two")
    session.checkpoint([summary, *old[2:], user("five")])
    session.close()
    (entry,) = entries(tmp_path / "s.jsonl", "compaction")
    assert entry["first_kept_id"] == entries(tmp_path / "s.jsonl", "message")[2]["id"]
    assert len(entries(tmp_path / "s.jsonl", "message")) == 5, "what was kept is written again"
    assert [message.text for message in kept(tmp_path / "s.jsonl")] == ["so far: one, two", "three", "four", "five"]


@pytest.mark.parametrize("keep", [[], [0], [0, 1], [0, 2, 3], [1, 2]])
def test_a_conversation_that_shrinks_is_a_branch(tmp_path: Path, keep: Sequence[int]) -> None:
    session = opened(tmp_path / "s.jsonl")
    old = [user("one"), said("two"), user("three"), said("four")]
    session.checkpoint(old)
    session.checkpoint([old[place] for place in keep])
    session.close()
    assert kept(tmp_path / "s.jsonl") == tuple(old[place] for place in keep)
    assert [entry["content"] for entry in entries(tmp_path / "s.jsonl", "message")][:4] == [
        encode_message(message)["content"] for message in old
    ]


def test_torn_lines_are_passed_over_wherever_they_are(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    session = opened(path)
    session.checkpoint([user("one"), said("two"), user("three")])
    session.close()
    lines = path.read_bytes().splitlines(keepends=True)
    lines.insert(2, b'{"type":"message","id":"torn","conte')
    path.write_bytes(b"".join(lines) + b'{"type":"message","id":"torn too"')
    session = opened(path)
    assert [message.text for message in session.messages] == ["two", "three"]  # `one` stood on the torn line
    session.checkpoint([*session.messages, said("four")])
    session.close()
    assert [message.text for message in kept(path)] == ["two", "three", "four"]


@given(st.integers(0, 2_000), st.binary(max_size=12))
@settings(max_examples=60, deadline=None)
def test_a_file_cut_anywhere_opens_and_takes_more(
    tmp_path_factory: pytest.TempPathFactory, cut: int, junk: bytes
) -> None:
    path = tmp_path_factory.mktemp("cut") / "s.jsonl"
    session = opened(path)
    session.checkpoint(EVERYTHING)
    session.close()
    content = path.read_bytes()
    cut = max(cut % len(content), content.index(b"\n") + 1)  # with its header: a file without one may be anybody's
    path.write_bytes(content[:cut] + junk)
    session = opened(path)
    assert close_calls(session.messages) == list(session.messages)
    assert [message.role for message in session.messages] == ["user", "assistant", "user"][: len(session.messages)]
    more = [*session.messages, said("more")]
    session.checkpoint(more)
    session.close()
    assert kept(path) == tuple(more)


def test_calls_without_a_result_are_closed_and_not_run(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    session = opened(path)
    session.checkpoint([user("go"), calls("a", "b")])
    session.close()
    last = kept(path)[-1]
    assert last == Message(
        role="user",
        content=tuple(ToolOutput(tool_use_id=name, content=STOPPED, is_error=True) for name in ("a", "b")),
    )


def test_every_call_gets_one_result_whatever_follows_it() -> None:
    closed = close_calls([user("go"), calls("a", "b"), results("b"), calls("c"), said("what?"), calls("d")])
    assert [[block.tool_use_id for block in m.content if isinstance(block, ToolOutput)] for m in closed] == [
        [], [], ["a", "b"], [], ["c"], [], [], ["d"],
    ]  # fmt: skip


def test_a_prompt_joins_a_question_that_was_not_answered() -> None:
    prompt = (Text(text="again"),)
    assert with_prompt([said("hi")], prompt)[-1] == Message(role="user", content=prompt)
    (joined,) = with_prompt([user("go")], prompt)
    assert joined.content == (Text(text="go"), *prompt)


def test_kinds_that_are_not_known_stay(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    session = opened(path)
    session.checkpoint([user("one")])
    session.close()
    parent = entries(path, "message")[0]["id"]
    strange = {"type": "label", "id": "feed", "parent_id": parent, "label": "here"}
    with path.open("ab") as file:
        file.write(line_of(strange))
    session = opened(path)
    session.checkpoint([*session.messages, said("two")])
    session.close()
    assert entries(path, "label") == [strange]
    assert entries(path, "message")[1]["parent_id"] == "feed"
    assert [message.text for message in kept(path)] == ["one", "two"]


def test_a_block_of_a_kind_that_is_not_known_is_left_out() -> None:
    value = {"role": "user", "content": [{"type": "hologram"}, {"type": "text", "text": "x", "shade": 1}]}
    assert MessageReader().read(value) == user("x")
    for wrong in ({"role": "nobody", "content": []}, {"role": "user"}, {"role": "user", "content": [{"type": "text"}]}):
        assert MessageReader().read(wrong) is None


def test_half_a_surrogate_pair_is_written_and_read(tmp_path: Path) -> None:
    session = opened(tmp_path / "s.jsonl")
    session.checkpoint([user("file \udcff")])
    session.close()
    assert kept(tmp_path / "s.jsonl")[0].text == "file \udcff"


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
first = Message(role="user", content=(Text(text="one"),))
session.checkpoint([first])
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
try:
    session.checkpoint([first, Message(role="assistant", content=(Text(text="x" * 5000),))])
except SessionError as error:
    print(error.message)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
session.checkpoint([first, Message(role="assistant", content=(Text(text="y"),))])
"""
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert "cannot be written: File too large" in done.stdout
    assert [message.text for message in kept(path)] == ["one", "y"]
    assert opened(path).journal is not None
    assert parse_lines(path.read_bytes())[1] == 0, "a torn line was left"


def test_a_journal_of_another_model_notes_the_change(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    for model in ("m", "m", "other", "other", "m"):
        session = opened(path, model)
        assert session.model == model
        session.close()
    assert [entry["model"] for entry in entries(path, "model_change")] == ["other", "m"]


def test_a_session_in_memory_writes_nothing(tmp_path: Path) -> None:
    session = Session()
    session.checkpoint([user("one")])
    assert (session.messages, session.path, list(tmp_path.iterdir())) == ((user("one"),), None, [])
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
    session.checkpoint([user("later")])
    session.close()
    assert json.loads(first.read_text().partition("\n")[0])["cwd"] == str(CWD)
    assert latest(tmp_path, CWD) == first
