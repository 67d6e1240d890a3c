"""Who takes up an agent that went on: what is open comes again, and another process is never taken for the first."""

import os
import re
import signal
import subprocess
from pathlib import Path
from typing import Final

from tests.agent.agent_process import COMMAND, MODELS, Frame, Place, until
from tests.agent.conftest import Model
from tests.agent.serve_process import Served, served

from beyond_ai.testing.model import says, tool_call, uses

PAGE: Final = (Path(__file__).parents[2] / "docs" / "serve-protocol.md").read_text()


def attached(far: Served, **members: object) -> tuple[Frame, list[Frame]]:
    """What `attach` is answered, and the frames before that."""
    before = len(far.seen)
    data = far.ask("attach", "a", **members)["data"]
    assert isinstance(data, dict)
    return data, far.seen[before:-1]


def test_a_request_that_is_open_comes_again(place: Place, model: Model) -> None:
    model(uses(tool_call("write", path="a.txt", content="x")), says("done"))
    with served(place, "--approve", "writes") as far:
        far.send({"id": "1", "type": "prompt", "message": "hi"})
        request = far.until(lambda frame: frame["type"] == "approval_request")
        listed = far.ask("get_state")["data"]["approvals"]  # type: ignore[index]
        assert listed == [{name: request[name] for name in ("request_id", "tool", "call_id", "summary")}]
        seq = far.ask("get_state")["data"]["seq"]  # type: ignore[index]
        data, before = attached(far, from_seq=seq)
        (again,) = before
        assert data["replayed"] == 0
        assert again.pop("replayed") is True
        left, whole = again.pop("timeout_seconds"), request.pop("timeout_seconds")
        assert 0 < left <= whole == 300  # type: ignore[operator]
        assert again == request
        _, before = attached(far, from_seq=0)
        assert [frame["type"] for frame in before[-2:]] == ["event", "approval_request"], "it comes behind its call"
        assert far.ask("approve", request_id=again["request_id"], decision="allow")["success"]
        far.answer("1")
        assert far.ask("get_state")["data"]["approvals"] == []  # type: ignore[index]
        _, before = attached(far, from_seq=0)
        assert {frame["type"] for frame in before} == {"event"}
    assert place.tree() == {"a.txt": b"x"}


def test_another_process_is_not_taken_for_the_first(place: Place, model: Model) -> None:
    model(then=says("hello"))
    path = str(place.home / "s.jsonl")
    with served(place, "--session-file", path) as far:
        far.ask("prompt", message="hi")
        first = far.seen[0]
        data, before = attached(far, from_seq=1, instance=first["instance"])
        assert (data["other"], data["truncated"], data["replayed"]) == (False, False, len(before))
        state = far.ask("get_state")["data"]
        for known in (data, state):
            assert (known["instance"], known["pid"]) == (first["instance"], first["pid"])  # type: ignore[index]
        assert far.end() == 0
    with served(place, "--session-file", path) as far:
        for _ in range(2):
            far.ask("prompt", message="on")
        assert far.seen[0]["instance"] != first["instance"]
        data, before = attached(far, from_seq=1, instance=first["instance"])
        assert (data["other"], data["truncated"], data["replayed"], before) == (True, True, 0, [])
        assert data["instance"] == far.seen[0]["instance"]
        assert data["seq"] > 1  # type: ignore[operator]  # by its numbers alone it would pass for the first
        data, before = attached(far, from_seq=1)
        assert (data["other"], data["replayed"]) == (False, len(before)), "who names none gets what he asks for"


def test_the_recipe_for_an_agent_that_outlives_its_clients(place: Place, model: Model) -> None:
    model(says("hello"))
    start, link = re.findall(r"^```bash\n(.*?)^```$", PAGE.partition("## A lost pipe")[2], re.MULTILINE | re.DOTALL)
    path = f"{COMMAND.parent}:{os.environ['PATH']}"
    environment = place.environ({"PATH": path, "AI_AGENT_MODEL": MODELS["messages"]})
    home = place.home / "agent-1"

    def client() -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            ["sh", "-c", link], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=place.cwd
        )

    # the shell that started it is left, to take its end: a process whose end nobody took counts as alive
    shell = subprocess.Popen(["sh", "-c", f"{start}wait"], env=environment, cwd=place.cwd)
    until(lambda: (home / "pid").exists() and (home / "pid").read_text().endswith("\n"))
    pid = int((home / "pid").read_text())
    try:
        with client() as process:
            far = Served(process)
            ready = far.next()
            assert ready["pid"] == pid
            assert far.ask("prompt", message="hi")["success"]
        with client() as process:
            data, before = attached(Served(process), from_seq=1, instance=ready["instance"])
            assert data["replayed"] == len(before) > 0
        assert not list(place.cwd.iterdir()), "the pipes are elsewhere"
    finally:
        os.kill(pid, signal.SIGTERM)
        shell.wait(10)
    left = subprocess.run(["sh", "-c", link], env=environment, cwd=place.cwd, timeout=10, check=False)
    assert left.returncode != 0, "it does not wait for an agent that is gone"
