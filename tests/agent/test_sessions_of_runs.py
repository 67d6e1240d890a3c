"""Sessions of real runs: continued, locked, and left whole by what kills a run or fills its disk."""

import asyncio
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.agent.agent_process import Place, until
from tests.agent.conftest import Model

from beyond_ai.agent.session import Session
from beyond_ai.agent.session.journal import parse_lines
from beyond_ai.spec.conversation import Message, Text, ToolOutput, ToolUse
from beyond_ai.testing.model import Held, says, tool_call, uses


def whole_lines(place: Place) -> None:
    """Every line of the session is whole."""
    content = place.session().read_bytes()
    assert content.endswith(b"\n")
    assert parse_lines(content)[1] == 0


def test_a_session_is_continued_where_it_was_left(place: Place, model: Model) -> None:
    playing = model(uses(tool_call("ls")), says("one"), says("two"), says("three"))
    assert place.run("first").code == 0
    assert place.run("-c", "second", "third").code == 0
    assert [message.text for message in playing.asked[-1].messages if message.text] == [
        "first", "one", "second", "two", "third",
    ]  # fmt: skip
    whole_lines(place)
    opened = [value["type"] for value in parse_lines(place.session().read_bytes())[0]].count("opened")
    assert opened == 2


def test_a_session_has_its_model_and_a_file_of_its_own(place: Place, model: Model) -> None:
    place.nursery = None
    playing = model(then=says("fine"))
    assert place.run("--session", "mine.jsonl", "--thinking", "low", "first").code == 0
    again = [word for word in place.arguments("--session", "mine.jsonl", "second") if word != "--model"]
    again.remove("claude-opus-4-8")
    place.arguments = lambda *words, wire="messages": again  # type: ignore[method-assign]
    assert place.run().code == 0
    assert (playing.asked[-1].model, len(playing.asked[-1].messages)) == ("claude-opus-4-8", 3)
    assert not (place.home / ".beyond-ai").exists()


def test_two_agents_do_not_write_one_session(place: Place, model: Model) -> None:
    place.nursery = None
    held = Held(says("slow"), asyncio.Event())
    playing = model(held)
    with place.start("--session", "s.jsonl", "first") as process:
        playing.wait_for_requests(1)
        second = place.run("--json", "--session", "s.jsonl", "second")
        assert second.code == 1
        assert f"process {process.pid} is using this session" in second.stderr
        assert second.result["exit_code"] == 1
        playing.set(held.gate)
        assert process.wait(15) == 0


def test_kill_9_in_a_tool_runs_nothing_twice(place: Place, model: Model) -> None:
    place.nursery = None
    command = "echo begun >> begun; sleep 15"
    model(uses(tool_call("bash", command=command), text="Let me see."))
    with place.start("--json", "go") as process:
        until(lambda: (place.cwd / "begun").exists())
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    whole_lines(place)
    playing = model(says("I look first."))
    ran = place.run("--json", "-c", "what happened?")
    assert ran.code == 0, ran
    (result,) = [b for m in playing.asked[-1].messages for b in m.content if isinstance(b, ToolOutput)]
    assert "The agent ended before this call had a result" in result.content
    assert playing.asked[-1].messages[-1].text.endswith("what happened?")
    assert place.tree()["begun"] == b"begun\n", "the command ran twice"


def test_kill_9_while_the_model_answers(place: Place, model: Model) -> None:
    place.nursery = None
    held = Held(says("some words to be cut"), asyncio.Event(), after=5)
    playing = model(held)
    with place.start("--json", "go") as process:
        playing.wait_for_requests(1)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    playing = model(says("fine"))
    assert place.run("-c", "again").code == 0
    assert [message.role for message in playing.asked[-1].messages] == ["user", "assistant", "user"]


def limited(size: int) -> Callable[[], None]:
    """No file of the process may grow beyond SIZE bytes: what a full disk is to a program."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def test_a_disk_that_is_full_for_a_tool_leaves_no_half_file(place: Place, model: Model) -> None:
    place.write({"old.txt": "kept\n" * 30_000})
    before = place.tree()
    big = "x" * 200_000
    calls = (
        tool_call("write", path="new/big.txt", content=big),
        tool_call("edit", path="old.txt", old_string="kept", new_string="longer", replace_all=True),
    )
    playing = model(uses(*calls), says("I see"))
    ran = place.run("--json", "--no-session", "go", prepare=limited(160_000))
    assert ran.code == 0, ran
    assert [end["is_error"] for end in ran.of("tool_end")] == [True, True]
    assert "larger than is allowed" in playing.asked[-1].results[0].content
    assert place.tree() == before


def test_a_disk_that_is_full_for_the_session_runs_no_tool(place: Place, model: Model) -> None:
    model(uses(tool_call("bash", command="touch ran"), text="word " * 2000), says("fine"))
    ran = place.run("--json", "go", prepare=limited(4_000))
    assert ran.code == 1, ran
    assert ran.result["code"] == "internal"
    assert "could not be saved, so no tool was run" in str(ran.result["message"])
    assert ran.of("notice") == [], "it is told once"
    assert place.tree() == {}
    whole_lines(place)
    playing = model(says("fine"))
    assert place.run("-c", "again").code == 0
    assert playing.asked[-1].messages[0].text == "go"


def test_a_disk_that_is_full_for_an_output_is_said(place: Place, model: Model) -> None:
    playing = model(uses(tool_call("bash", command="seq 100000")), says("I see"))
    ran = place.run("--json", "--no-session", "go", prepare=limited(160_000))
    assert ran.code == 0, ran
    told = playing.asked[-1].results[0].content
    assert re.search(r"Only the first 160,000 bytes are in \S+, the rest is lost \(File too large\)", told), told[-300:]
    assert "Full output" not in told


AS_ROOT_WITHOUT_ITS_POWERS = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--")


def test_permission_denied_is_told_and_changes_nothing(place: Place, model: Model) -> None:
    if os.geteuid() == 0:
        place.via = AS_ROOT_WITHOUT_ITS_POWERS
        if shutil.which("setpriv") is None:
            pytest.skip("root may do everything, and there is no setpriv")
    place.write({"mine.txt": "x\n", "locked/in.txt": "y\n"})
    before = place.tree()
    (place.cwd / "mine.txt").chmod(0o000)
    (place.cwd / "locked").chmod(0o555)
    calls = (
        tool_call("read", path="mine.txt"),
        tool_call("write", path="locked/new.txt", content="z"),
        tool_call("edit", path="locked/in.txt", old_string="y", new_string="z"),
    )
    playing = model(uses(*calls), says("I see"))
    ran = place.run("--json", "go")
    assert ran.code == 0, ran
    assert [end["is_error"] for end in ran.of("tool_end")] == [True, True, True]
    assert all("ermission denied" in block.content for block in playing.asked[-1].results)
    (place.cwd / "locked").chmod(0o755)
    (place.cwd / "mine.txt").chmod(0o600)
    assert place.tree() == before


def test_a_folder_that_cannot_hold_sessions_is_said_at_once(place: Place) -> None:
    (place.home / ".beyond-ai").mkdir()
    (place.home / ".beyond-ai" / "sessions").write_text("a file")
    ran = place.run("--json", "go")
    assert ran.code == 1
    assert "cannot be opened" in ran.stderr
    assert ran.result["exit_code"] == 1


NOBODY = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--")


def test_what_is_read_only_stays_so_for_a_user_without_powers(place: Place, model: Model) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place.cwd, place.home = (Path(folder) / name for name in ("work", "home"))
        place.write({"fixed.txt": "x\n", "locked/in.txt": "y\n"})
        place.home.mkdir()
        (place.cwd / "fixed.txt").chmod(0o444)
        (place.cwd / "locked").chmod(0o555)
        if os.geteuid() == 0:
            if shutil.which("setpriv") is None:
                pytest.skip("there is no setpriv to be another user with")
            Path(folder).chmod(0o755)
            for path in (place.cwd, place.home, *place.cwd.rglob("*")):
                os.chown(path, 65534, 65534)
            place.via, place.environment = NOBODY, {"PYTHONDONTWRITEBYTECODE": "1"}
            if subprocess.run([*NOBODY, sys.executable, "-c", "import beyond_ai"], check=False).returncode:
                pytest.skip("another user cannot read what is installed here")
        before = place.tree()
        calls = (
            tool_call("write", path="fixed.txt", content="z"),
            tool_call("edit", path="fixed.txt", old_string="x", new_string="z"),
            tool_call("write", path="locked/new.txt", content="z"),
            tool_call("bash", command="echo z > locked/new.txt"),
            tool_call("read", path="fixed.txt"),
        )
        playing = model(uses(*calls), says("I see"))
        ran = place.run("--json", "go")
        assert ran.code == 0, ran
        assert [end["is_error"] for end in ran.of("tool_end")] == [True, True, True, True, False]
        assert all("ermission denied" in block.content for block in playing.asked[-1].results[2:4])
        assert all("fixed.txt" in block.content for block in playing.asked[-1].results[:2])
        assert place.tree() == before
        whole_lines(place)


def test_a_session_of_20_mb_is_opened_and_continued(place: Place, model: Model) -> None:
    path = place.home / "long.jsonl"
    session = Session.open(path, cwd=place.cwd, model="claude-opus-4-8")
    conversation = session.conversation
    result = "line\u2028 of output\n" * 2_000
    for number in range(550):
        call = ToolUse(id=f"c{number}", name="bash", input={"command": "make"})
        text = Text(text="go") if number == 0 else ToolOutput(tool_use_id=f"c{number - 1}", content=result)
        conversation.append(Message(role="user", content=(text,)))
        conversation.append(Message(role="assistant", content=(call,), stop_reason="tool_use"))
    session.checkpoint()
    conversation.compact(
        reason="manual", message=Message(role="user", content=(Text(text="THE GIST"),)), kept_from=1_099,
        summary="THE GIST", original_request="go", current_request="go", read_files=(), modified_files=(),
        tokens_before=9, tokens_after=1,
    )  # fmt: skip
    session.checkpoint()
    session.close()
    assert path.stat().st_size > 20_000_000
    playing = model(says("GOING ON"), says("STILL"))
    for word in ("more", "and more"):
        ran = place.run("--json", "--session", str(path), word)
        assert ran.code == 0, ran
    messages = playing.asked[-1].messages
    assert "THE GIST" in messages[0].text
    assert [message.text for message in messages[-3:]] == ["more", "GOING ON", "and more"]
    assert parse_lines(path.read_bytes())[1] == 0
