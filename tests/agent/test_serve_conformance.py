"""Every command of the serve protocol in every state, whole and malformed, against docs/serve-protocol.md."""

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, get_args

import pytest
from pydantic_core import PydanticUndefined
from tests.agent.agent_process import Frame, Place, until
from tests.agent.conftest import Model
from tests.agent.serve_process import Served, served

from beyond_ai.agent.serve import frames
from beyond_ai.testing.model import Held, Reply, says, tool_call, uses

DOCUMENT: Final = (Path(__file__).parents[2] / "docs" / "serve-protocol.md").read_text()
COLUMNS: Final = {"idle": 0, "streaming": 1, "tool": 1, "approval": 1, "compacting": 2, "branching": 2}
MODELS: Final = {
    name: model
    for model in get_args(get_args(frames.AnyCommand)[0])
    for name in get_args(model.model_fields["type"].annotation)
}
TOLERANT: Final = ("images",)
"""Members of which what is malformed is passed over."""
ENDING: Final = ("approve", "abort")
"""What ends a state comes last."""


def table() -> dict[str, list[str]]:
    """By command, the code that it is refused with in each column, or empty."""
    found: dict[str, list[str]] = {}
    for line in DOCUMENT.partition("## What is answered when")[2].partition("\n## ")[0].splitlines():
        if line.startswith("| `"):
            names, *cells = line.strip("|").split("|")
            codes = [match[1] if (match := re.search(r"`(\w+)`", cell)) else "" for cell in cells]
            found |= dict.fromkeys(re.findall(r"`(\w+)`", names), codes)
    return found


@dataclass
class State:
    """A process that is held in a state. `release` lets it go on."""

    name: str
    far: Served
    release: Callable[[], None]
    request_id: str = "approval-0"

    def answer(self, line: bytes) -> Frame:
        """What LINE is answered with. What is held does not answer meanwhile."""
        self.far.send(line + b"\n")
        return self.far.until(lambda frame: frame["type"] == "response")

    def members(self, name: str) -> Frame:
        """Members with which the command NAME makes sense here."""
        match name:
            case "prompt" | "steer" | "follow_up":
                return {"message": "hi"}
            case "switch_session":
                return {"session_id": str(self.far.seen[0]["session_id"])[:12]}
            case "set_session_name":
                return {"title": "a name"}
            case "set_model":
                return {"model": "claude-sonnet-4-5:low"}
            case "set_thinking":
                return {"budget": 4096}
            case "attach":
                return {"from_seq": 10_000}
            case "approve":
                return {"request_id": self.request_id, "decision": "allow"}
            case "switch_branch":
                return {"target_id": self._entry(), "summarize": False}
        return {}

    def _entry(self) -> str:
        if not (found := self._messages()):
            assert self.far.ask("prompt", "first", message="hi")["success"]
            found = self._messages()
        return str(found[0]["id"])

    def _messages(self) -> list[Frame]:
        return self.far.ask("get_messages")["data"]["messages"]  # type: ignore[index,no-any-return]


@contextmanager
def held(name: str, place: Place, model: Model) -> Iterator[State]:
    """A process in the state NAME."""
    gate, reached = asyncio.Event(), asyncio.Event()
    go = place.cwd / "go"
    long = says("y" * 4_000)
    turns: dict[str, list[Reply]] = {
        "idle": [],
        "streaming": [Held(says("half an answer"), gate, after=2, reached=reached)],
        "tool": [uses(tool_call("bash", command=f"touch running; until [ -e {go} ]; do sleep 0.02; done"))],
        "approval": [uses(tool_call("write", path="a.txt", content="x"))],
        "compacting": [long, long, long, Held(says("a summary"), gate, reached=reached)],
        "branching": [says("one"), says("two"), Held(says("a summary"), gate, reached=reached)],
    }
    scripted = model(*turns[name], then=says("done"))

    def release() -> None:
        go.touch()
        scripted.set(gate)

    approve = ("--approve", "writes") if name == "approval" else ()
    with served(place, "--session-dir", str(place.home / "sessions"), *approve) as far:
        state = State(name, far, release)
        for number in range({"compacting": 3, "branching": 2}.get(name, 0)):
            assert far.ask("prompt", f"before-{number}", message="x" * 4_000)["success"]
        if name == "compacting":
            far.send({"id": "held", "type": "compact"})
        elif name == "branching":
            far.send({"id": "held", "type": "switch_branch", **state.members("switch_branch"), "summarize": True})
        elif name != "idle":
            far.send({"id": "held", "type": "prompt", "message": "hi"})
        if name == "approval":
            request = far.until(lambda frame: frame["type"] == "approval_request")
            state.request_id = str(request["request_id"])
        elif name == "tool":
            until((place.cwd / "running").exists)
        elif name != "idle":
            until(reached.is_set)
        yield state
        assert far.end() == 0


def malformed(name: str, whole: Frame) -> Iterator[Frame]:
    """The command NAME, whose members are WHOLE, without one, or with one of another type."""
    for member, field in MODELS[name].model_fields.items():
        if member in ("id", "type", *TOLERANT):
            continue
        if field.default is PydanticUndefined:
            yield {key: value for key, value in whole.items() if key != member}
        yield {**whole, member: {"no": ["such"]}}
    if "message" in whole:
        yield {**whole, "message": " \n"}


@pytest.mark.parametrize("name", COLUMNS)
def test_every_command_in_every_state(place: Place, model: Model, name: str) -> None:
    rows = table()
    assert set(rows) == frames.COMMANDS
    with held(name, place, model) as state:
        check_state(state)
        assert len(state.far.ask("get_state")["data"]["approvals"]) == (name == "approval")  # type: ignore[index]
        check_what_is_not_there(state, rows)
        check_lines_that_are_no_commands(state)
        for command in sorted(frames.COMMANDS - set(ENDING)) + list(ENDING):
            if command == "abort":
                state.far.ask("get_state", "before abort")
                check_state(state)
            expected = rows[command][COLUMNS[name]]
            if (command, name) == ("approve", "approval"):
                expected = ""
            check_command(state, command, expected)
        state.release()
        check_record(state)


def check_command(state: State, name: str, expected: str) -> None:
    """That NAME is answered with EXPECTED, and as malformed with `bad_request`, once each and with its id."""
    whole = {"type": name, **state.members(name)}
    for number, bad in enumerate(malformed(name, whole)):
        ident = f"{name}-bad-{number}"
        answer = state.answer(json.dumps({**bad, "id": ident}).encode())
        assert (answer.get("id"), answer["command"], answer.get("code")) == (ident, name, "bad_request"), bad
        assert answer["error"]
    for wrong in (5, ["x"], "x" * 2_000):
        answer = state.answer(json.dumps({**whole, "id": wrong}).encode())
        assert (answer.get("id"), answer["command"], answer.get("code")) == (None, name, "bad_request")
    for members in ({"id": f"{name}-ok"}, {}, {"id": f"{name}-more", "unknown": {"member": 1}}):
        if name in ENDING and state.name != "idle" and "unknown" not in members:
            continue  # it ends the state, so that there is one of it
        answer = state.answer(json.dumps({**whole, **members}).encode())
        if name == "abort" and answer.get("id") == "held":
            assert answer["success"] is False
            answer = state.far.until(lambda frame: frame["type"] == "response")
        assert (answer.get("id"), answer["command"]) == (members.get("id"), name)
        assert (answer.get("code", ""), answer["success"]) == (expected, not expected), (state.name, whole)
        assert ("error" in answer) == bool(expected)


def check_what_is_not_there(state: State, rows: dict[str, list[str]]) -> None:
    """That what is named and is not there is refused, where the command is not refused anyway."""
    named: dict[str, tuple[Frame, str]] = {
        "get_messages": ({"since": "zzz"}, "session"),
        "switch_session": ({"session_id": "zzz"}, "session"),
        "switch_branch": ({"target_id": "zzz"}, "session"),
        "fork": ({"upto": 999}, "bad_request"),
    }
    for name, (members, code) in named.items():
        answer = state.answer(json.dumps({"type": name, **members}).encode())
        assert (answer["command"], answer.get("code")) == (name, rows[name][COLUMNS[state.name]] or code)


def check_lines_that_are_no_commands(state: State) -> None:
    """That each has one answer, with its id where that can be read."""
    lines: list[tuple[bytes, str | None, str, str]] = [
        (b'{"id":"b1","type":"nope"}', "b1", "nope", "unknown_command"),
        (b'{"type":"nope"}', None, "nope", "unknown_command"),
        (b'{"id":"b2"}', "b2", "?", "bad_request"),
        (b'{"id":"b3","type":5}', "b3", "?", "bad_request"),
        (b'{"id":"b4","type":"prompt","message":', "b4", "?", "bad_request"),
        (b'{"type":"prompt","id":"b5",,}', "b5", "?", "bad_request"),
        (b"{nonsense", None, "?", "bad_request"),
        (b'["id","b6"]', None, "?", "bad_request"),
        (b"null", None, "?", "bad_request"),
        (b"[" * 100_000, None, "?", "bad_request"),
        (b'{"id":"b7","type":"get_state","x":"\xff\xfe"}', "b7", "?", "bad_request"),
        (b'{"id":"\\ud800","type":"get_state"}', None, "get_state", "bad_request"),
    ]
    for line, ident, command, code in lines:
        answer = state.answer(line)
        found = (answer.get("id"), answer["command"], answer["success"], answer.get("code"))
        assert found == (ident, command, False, code), line[:80]


def check_state(state: State) -> None:
    """That nothing so far has ended what is held."""
    data = state.far.ask("get_state")["data"]
    assert data["is_streaming"] is (COLUMNS[state.name] == 1)  # type: ignore[index]
    assert data["is_compacting"] is (state.name == "compacting")  # type: ignore[index]


def check_record(state: State) -> None:
    """That each id was answered once, what was taken up too, and the events are without a gap."""
    ids = [frame["id"] for frame in state.far.seen if frame["type"] == "response" and "id" in frame]
    assert state.name == "idle" or ids.count("held") == 1
    assert all(ids.count(ident) == 1 for ident in ids if ident != "q"), "q is a query of the test itself"
    assert {frame["id"] for frame in state.far.seen if frame["type"] == "ack" and "id" in frame} <= set(ids)
    numbers = [frame["seq"] for frame in state.far.seen if frame["type"] == "event"]
    assert numbers == list(range(1, len(numbers) + 1))


EXCHANGE: Final = """\
out {"type":"ready","session_id":"*","model":"*"}
in  {"id":"1","type":"prompt","message":"hi"}
out {"type":"event","event":{"kind":"agent_start"}}
out {"type":"event","event":{"kind":"turn_start","step":"*"}}
out {"type":"event","event":{"kind":"stream","type":"text_delta","text":"*"}}
out {"type":"event","event":{"kind":"turn_end","stop_reason":"tool_use","step":1}}
out {"type":"event","event":{"kind":"tool_start","id":"*","name":"bash","input":{"command":"ls"}}}
in  {"id":"2","type":"steer","message":"also count"}
out {"type":"response","id":"2","command":"steer","success":true}
out {"type":"event","event":{"kind":"tool_end","id":"*","name":"bash","result":"*","is_error":false}}
out {"type":"event","event":{"kind":"steered","messages":1}}
out {"type":"event","event":{"kind":"agent_end","steps":2}}
out {"type":"response","id":"1","command":"prompt","success":true,"data":{"steps":2}}
"""
"""What a client of an early agent relies on. A star is any value; members that are not here may be there."""


def test_an_early_client_reads_what_it_expects(place: Place, model: Model) -> None:
    model(uses(tool_call("bash", command="ls"), text="I look."), says("one file"))
    with served(place, "--approve", "writes", "--session-file", str(place.home / "s.jsonl")) as far:
        for line in EXCHANGE.splitlines():
            direction, _, text = line.partition(" ")
            wanted = json.loads(text)
            if direction == "in":
                far.send(wanted)
                continue
            found = far.seen[0] if wanted["type"] == "ready" else far.until(partial(has, wanted=wanted))
            assert has(found, wanted)
            if wanted.get("command") == "steer":
                assert json.dumps(found, separators=(",", ":")) == text.strip(), "byte for byte"
                allow(far)


def allow(far: Served) -> None:
    """Let the call run that waits for it: so the message came in its midst."""
    asked = [frame for frame in far.seen if frame["type"] == "approval_request"]
    request = asked[0] if asked else far.until(lambda frame: frame["type"] == "approval_request")
    far.send({"type": "approve", "request_id": request["request_id"], "decision": "allow"})


def has(found: object, wanted: object) -> bool:
    """Whether FOUND is WANTED, with more members perhaps."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(name in found and has(found[name], wanted[name]) for name in wanted)
    return wanted == "*" or found == wanted
