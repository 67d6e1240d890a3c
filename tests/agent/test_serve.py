"""`agent serve` as a process, with a real gateway and a scripted model behind it."""

import base64
import io
import json
import signal
from pathlib import Path

import pytest
from tests.agent.agent_process import COMMAND, MODELS, Frame, Place, played
from tests.agent.conftest import Model
from tests.agent.plugins import install
from tests.agent.serve_process import served

from beyond_ai.client import AgentClient, AgentFailed
from beyond_ai.spec.conversation import Image
from beyond_ai.testing.model import says, tool_call, uses


def test_the_worked_exchange(place: Place, model: Model) -> None:
    go = place.cwd / "go"
    wait = f"until [ -e {go} ]; do sleep 0.02; done; echo listed"
    model(uses(tool_call("bash", command=wait), text="I look."), says("one file"))
    with served(place, "--session-file", str(place.home / "s.jsonl")) as far:
        assert list(far.seen[0])[:3] == ["type", "session_id", "model"]
        assert far.seen[0]["protocol"] == 1
        far.send({"id": "1", "type": "prompt", "message": "hi"})
        assert far.next() == {"type": "ack", "id": "1", "command": "prompt"}
        started = far.event("tool_start")
        assert (started["name"], started["input"]) == ("bash", {"command": wait})
        far.send({"id": "2", "type": "steer", "message": "also count"})
        assert far.answer("2") == {"type": "response", "id": "2", "command": "steer", "success": True}
        assert far.ask("get_state", "3")["data"]["is_streaming"] is True  # type: ignore[index]
        assert far.ask("new_session", "4")["code"] == "busy"
        assert far.ask("set_model", "5", model="claude-sonnet-4-5:high")["success"]
        go.touch()
        ended = far.event("tool_end")
        assert (ended["id"], ended["is_error"]) == (started["id"], False)
        assert "listed" in str(ended["result"])
        assert far.event("steered")["messages"] == 1
        assert far.event("agent_end")["steps"] == 2
        last = far.answer("1")
        assert (last["command"], last["success"], last["data"]["steps"]) == ("prompt", True, 2)  # type: ignore[index]
        stored = (place.home / "s.jsonl").read_text()
        assert "one file" in stored
        assert far.ask("get_last_assistant_text")["data"] == {"text": "one file"}
        events = [frame for frame in far.seen if frame["type"] == "event"]
        assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
        kinds = [event["event"]["kind"] for event in events]  # type: ignore[index]
        assert kinds[:2] == ["agent_start", "turn_start"]
        data = far.ask("attach", "a", from_seq=len(events) - 2)["data"]
        assert data["replayed"] == 2  # type: ignore[index]
        assert [frame["event"] for frame in far.seen[-3:-1]] == [event["event"] for event in events[-2:]]
        assert far.end() == 0


def test_bad_lines_are_answered_and_it_goes_on(place: Place) -> None:
    with served(place) as far:
        far.send(b"\r\n\n", b'{"id":"1", oops\r\n')
        bad = far.answer("1")
        assert (bad["command"], bad["success"]) == ("?", False)
        assert str(bad["error"]).startswith("invalid JSON")
        far.send(
            {"id": "2", "type": "nope"},
            {"id": "3", "type": "prompt", "images": [5]},
            {"id": "4", "type": "set_thinking"},
        )
        assert str(far.answer("2")["error"]).startswith("unknown command")
        assert "message" in str(far.answer("3")["error"])
        assert far.answer("4")["command"] == "set_thinking"
        far.send(b'{"id":"5","message":"' + b"x" * (8 * 1024 * 1024) + b'"}\n')
        assert far.answer("5")["code"] == "too_long"
        assert far.ask("steer", message="x")["success"] is False
        assert far.ask("abort")["success"] is True
        assert far.ask("switch_session", session_id="x")["code"] == "no_repository"
        assert far.end() == 0


def test_abort_answers_when_the_run_has_ended(place: Place, model: Model) -> None:
    model(uses(tool_call("bash", command="sleep 60")), says("again"))
    with served(place) as far:
        far.send({"id": "1", "type": "prompt", "message": "hi"})
        far.event("tool_start")
        far.send({"id": "2", "type": "abort"})
        first = far.answer("1")
        assert (first["success"], first["code"]) == (False, "cancelled")
        assert far.answer("2")["success"] is True
        assert far.ask("prompt", "3", message="again")["success"] is True


@pytest.mark.parametrize(("decision", "left"), [("allow", {"a.txt": b"x"}), ("deny", {}), (None, {})])
def test_approvals(place: Place, model: Model, decision: str | None, left: dict[str, bytes]) -> None:
    model(uses(tool_call("write", path="a.txt", content="x")), says("done"))
    timeout = "0.2" if decision is None else "60"
    with served(place, "--approve", "writes", "--approval-timeout", timeout) as far:
        far.send({"id": "1", "type": "prompt", "message": "hi"})
        request = far.until(lambda frame: frame["type"] == "approval_request")
        assert request["input"] == {"path": "a.txt", "content": "x"}
        assert (request["tool"], request["summary"]) == ("write", "a.txt")
        assert request["reason"] == "--approve writes asks before `write` runs"
        if decision is not None:
            far.send({"id": "2", "type": "approve", "request_id": request["request_id"], "decision": decision})
        resolved = far.until(lambda frame: frame["type"] == "approval_resolved")
        assert resolved["by"] == ("timeout" if decision is None else "client")
        far.answer("1")
        late = far.ask("approve", request_id=request["request_id"], decision="allow")
        assert late["code"] == "already_resolved"
    assert place.tree() == left


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_signals_end_it_with_a_last_record(place: Place, model: Model, number: int, code: int) -> None:
    model(uses(tool_call("bash", command="sleep 60")))
    with served(place) as far:
        far.send({"id": "1", "type": "prompt", "message": "hi"})
        far.event("tool_start")
        far.process.send_signal(number)
        assert far.answer("1")["success"] is False
        assert far.next()["code"] == code
        assert far.process.wait(10) == code


def test_the_end_of_input_cancels_and_keeps_the_session(place: Place, model: Model) -> None:
    model(uses(tool_call("bash", command="sleep 60")))
    path = place.home / "s.jsonl"
    with served(place, "--session-file", str(path)) as far:
        far.send({"id": "1", "type": "prompt", "message": "hi"})
        far.event("tool_start")
        assert far.end() == 0
    assert "tool_result" in path.read_text()


def test_stdout_is_frames_alone_and_a_thread_that_is_left_does_not_hold_it(
    place: Place, model: Model, tmp_path: Path
) -> None:
    source = """
        import threading, time
        from beyond_ai import AgentHook, Component, hookimpl
        print("loud at import")
        class Loud(AgentHook):
            async def on_event(self, event):
                print("loud", flush=True)
        def made(context):
            threading.Thread(target=time.sleep, args=(600,)).start()
            return Loud()
        @hookimpl
        def beyond_agent_hooks():
            yield Component(name="loud", summary="prints", create=made)
    """
    environment = dict(install(tmp_path / "plugin", "agent_hooks", "loud", source))
    model(says("hello"))
    with served(place, environment=environment) as far:
        assert far.ask("prompt", message="hi")["success"] is True
        assert far.end() == 0


def test_sessions_in_a_folder(place: Place, model: Model) -> None:
    model(says("one"), says("two"))
    with served(place, "--session-dir", str(place.home / "sessions")) as far:
        first = far.seen[0]["session_id"]
        assert far.ask("prompt", message="hi")["success"]
        assert far.ask("set_session_name", title="named")["success"]
        forked = far.ask("fork")["data"]["session_id"]  # type: ignore[index]
        assert far.ask("get_state")["data"]["message_count"] == 2  # type: ignore[index]
        assert far.ask("new_session")["data"]["session_id"] not in (first, forked)  # type: ignore[index]
        assert far.ask("get_messages")["data"]["messages"] == []  # type: ignore[index]
        assert far.ask("switch_session", session_id=str(first)[:12])["data"] == {"session_id": first}
        assert far.ask("get_state")["data"]["title"] == "named"  # type: ignore[index]
        assert len(far.ask("list_sessions")["data"]["sessions"]) == 3  # type: ignore[index]
        target = far.ask("get_messages")["data"]["messages"][0]["id"]  # type: ignore[index]
        assert far.ask("switch_branch", target_id=target)["success"]
        assert len(far.ask("list_branches")["data"]["branches"]) == 2  # type: ignore[index]
        assert far.ask("compact")["data"] == {"compacted": False, "reason": "too_small"}
        for query in ("get_session_stats", "get_commands", "get_available_models"):
            assert far.ask(query)["success"]
        assert far.ask("set_thinking", budget=None)["data"] == {"thinking": None, "level": "off"}


def test_many_messages_come_in_pages(place: Place, model: Model) -> None:
    model(then=says("y" * 500_000))
    with served(place) as far:
        for _ in range(3):
            assert far.ask("prompt", message="hi")["success"]
        found: list[str] = []
        data: Frame = {"next_since": None}
        while "next_since" in data:
            data = far.ask("get_messages", since=data["next_since"])["data"]  # type: ignore[assignment]
            found += [message["role"] for message in data["messages"]]  # type: ignore[attr-defined]
        assert found == ["user", "assistant"] * 3


def test_many_sessions_come_in_pages(place: Place) -> None:
    folder = place.home / "sessions"
    folder.mkdir()
    for number in range(1_500):
        header = {"type": "session", "version": 1, "id": f"{number:032}", "cwd": "/srv/" + "x" * 300, "model": "m"}
        (folder / f"{number}.jsonl").write_text(json.dumps(header) + "\n")
    with served(place, "--session-dir", str(folder)) as far:
        found: list[str] = []
        data: Frame = {"next_offset": 0}
        while "next_offset" in data:
            data = far.ask("list_sessions", offset=data["next_offset"])["data"]  # type: ignore[assignment]
            found += [session["id"] for session in data["sessions"]]  # type: ignore[attr-defined]
        assert len(found) == len(set(found)) == 1_501
        some = far.ask("list_sessions", offset=1, limit=2)["data"]
        assert [session["id"] for session in some["sessions"]] == found[1:3]  # type: ignore[index]
        assert some["next_offset"] == 3  # type: ignore[index]
        assert far.ask("set_session_name", title="x" * 1_001)["code"] == "bad_request"


def test_a_hook_that_asks_becomes_a_request(place: Place, model: Model, tmp_path: Path) -> None:
    source = """
        from beyond_ai import AgentHook, Ask, Component, hookimpl
        class Careful(AgentHook):
            async def before_tool_call(self, call):
                return Ask("careful asks")
        @hookimpl
        def beyond_agent_hooks():
            yield Component(name="careful", summary="asks", create=lambda context: Careful())
    """
    environment = dict(install(tmp_path / "plugin", "agent_hooks", "careful", source))
    model(uses(tool_call("ls")), says("done"))
    with served(place, environment=environment) as far:
        far.send({"id": "1", "type": "prompt", "message": "hi"})
        request = far.until(lambda frame: frame["type"] == "approval_request")
        assert "careful asks" in str(request["reason"])
        far.send({"id": "2", "type": "abort"})
        assert far.until(lambda frame: frame["type"] == "approval_resolved")["by"] == "cancelled"
        assert far.answer("2")["success"] is True


def test_an_image_that_is_too_large_does_not_spoil_the_session(place: Place, model: Model) -> None:
    pillow = pytest.importorskip("PIL.Image")
    file = io.BytesIO()
    pillow.new("RGB", (3_000, 1_500), "red").save(file, "PNG")
    large = {"media_type": "image/png", "data": base64.b64encode(file.getvalue()).decode()}
    small = {"media_type": "image/png", "data": "aGk="}
    damaged = {"media_type": "image/png", "data": base64.b64encode(b"x" * 5_000_000).decode()}
    playing = model(says("red"))
    with served(place) as far:
        nothing: list[Frame] = [
            {"media_type": "image/png", "data": "x"},
            {"media_type": "image/png", "data": "aGk=!!"},
            {"media_type": "image/png", "data": ""},
            {"media_type": "text/plain", "data": "aGk="},
        ]
        for bad in (damaged, *nothing):
            refused = far.ask("prompt", message="look", images=[small, bad])
            assert (refused["success"], refused["code"]) == (False, "bad_request")
            assert str(refused["error"]).startswith("images[1]: ")
        assert far.ask("prompt", message="look", images=[large, small])["success"] is True
    first, second = (block for block in playing.asked[0].messages[0].content if isinstance(block, Image))
    assert pillow.open(io.BytesIO(base64.b64decode(first.data))).size == (2_000, 1_000)
    assert second.data == "aGk="


async def test_the_client(place: Place, model: Model) -> None:
    model(then=played(says("hello")))
    seen: list[Frame] = []
    words = [str(COMMAND), "agent", "serve", "--model", MODELS["messages"]]
    async with AgentClient(*words, env=place.environ(), cwd=str(place.cwd), on_frame=seen.append) as client:
        assert (await client.call("prompt", message="hi"))["steps"] == 1
        with pytest.raises(AgentFailed, match="unknown command"):
            await client.call("nope")
    assert seen[0]["type"] == "ack"
    assert client.exit == {"type": "exit", "code": 0, "reason": "end of input"}
