"""Words that wait, and words that are refused: what becomes of them is always said."""

import asyncio
from pathlib import Path

import pytest
from tests.agent.agent_process import Place, until
from tests.agent.conftest import Model
from tests.agent.serve_process import Served, served

from beyond_ai.testing.model import Held, HttpError, says, tool_call, uses

PNG = {"media_type": "image/png", "data": "iVBORw0KGgo="}


def say(far: Served) -> None:
    """Let one word wait in each lane."""
    assert far.ask("follow_up", message="then this")["success"]
    assert far.ask("steer", message="mind that")["success"]


def queues(far: Served) -> object:
    return far.ask("get_state")["data"]["queues"]  # type: ignore[index]


def test_abort_gives_back_what_waited(place: Place, model: Model) -> None:
    model(uses(tool_call("bash", command="sleep 60")), says("again"))
    with served(place) as far:
        far.send({"id": "1", "type": "prompt", "message": "hi"})
        far.event("tool_start")
        say(far)
        far.send({"id": "2", "type": "abort"}, {"id": "3", "type": "abort"})
        assert far.answer("1")["code"] == "cancelled"
        assert far.answer("2")["data"] == {"cleared": ["mind that", "then this"]}
        assert far.answer("3") == {"type": "response", "id": "3", "command": "abort", "success": True}
        assert queues(far) == {"steer": [], "follow_up": []}
        assert far.ask("clear_queue")["data"] == {"cleared": []}
        assert far.ask("prompt", message="again")["success"]
        assert far.ask("abort", "4") == {"type": "response", "id": "4", "command": "abort", "success": True}


def test_what_waited_when_a_prompt_failed_goes_with_the_next(place: Place, model: Model) -> None:
    go = place.cwd / "go"
    wait = uses(tool_call("bash", command=f"until [ -e {go} ]; do sleep 0.02; done"))
    scripted = model(wait, HttpError(400, "no"), says("one"), says("two"))
    with served(place) as far:
        far.send({"id": "1", "type": "prompt", "message": "hi"})
        far.event("tool_start")
        say(far)
        go.touch()
        assert far.answer("1")["code"] == "bad_request"
        assert queues(far) == {"steer": [], "follow_up": ["then this"]}, "a steer went with the results"
        assert far.ask("prompt", message="once more")["success"]
        assert queues(far) == {"steer": [], "follow_up": []}
    assert [call.messages[-1].text for call in scripted.asked[1:]] == ["mind that", "once more", "then this"]


def test_a_message_without_words_needs_an_image(place: Place, model: Model) -> None:
    playing = model(says("a dot"))
    with served(place) as far:
        for images in ([], [5]):
            assert far.ask("prompt", message="", images=images)["code"] == "bad_request"
        assert far.ask("prompt", message="", images=[PNG])["success"]
    assert [block["type"] for block in playing.asked[0].body["messages"][0]["content"]] == ["image"]  # type: ignore[index]


def test_messages_since_one_that_is_not_there_are_refused(place: Place, model: Model) -> None:
    model(says("one"))
    with served(place) as far:
        assert far.ask("prompt", message="hi")["success"]
        assert far.ask("get_messages", since="zzz")["code"] == "session"
        known = far.ask("get_messages", since=None)["data"]["messages"]  # type: ignore[index]
        assert [message["role"] for message in known] == ["user", "assistant"]
        assert far.ask("get_messages", since=known[0]["id"])["data"]["messages"] == known[1:]  # type: ignore[index]
        assert far.ask("new_session")["success"]
        assert far.ask("get_messages", since=known[0]["id"])["code"] == "session", "it is on another branch now"


def test_counters_are_of_the_branch_in_use(place: Place, model: Model) -> None:
    model(says("one"))
    path: Path = place.home / "s.jsonl"
    with served(place, "--session-file", str(path)) as far:
        far.ask("set_model", model="claude-sonnet-4-5")
        used = far.ask("prompt", message="hi")["data"]
        assert used["steps"] == 1  # type: ignore[index]
        (branch,) = far.ask("list_branches")["data"]["branches"]  # type: ignore[index]
        assert (branch["current"], branch["messages"]) == (True, 2)
        assert branch["entries"] > branch["messages"]
        assert far.ask("new_session")["data"]["session_id"] == far.seen[0]["session_id"]  # type: ignore[index]
        assert set(far.ask("get_session_stats")["data"].values()) == {0}  # type: ignore[attr-defined]
        assert far.ask("switch_branch", target_id=branch["leaf_id"])["success"]
        assert far.ask("get_session_stats")["data"] == used


def test_refusals_say_what_can_be_done(place: Place, model: Model) -> None:
    gate, reached = asyncio.Event(), asyncio.Event()
    long = says("y" * 4_000)
    scripted = model(long, long, long, Held(says("a summary"), gate, reached=reached))
    with served(place) as far:
        idle = str(far.ask("steer", message="hi")["error"])
        assert idle == "`steer` is for a running prompt: none is going on, send `prompt`"
        for _ in range(3):
            far.ask("prompt", message="x" * 4_000)
        far.send({"id": "1", "type": "compact"})
        until(reached.is_set)
        busy = str(far.ask("prompt", message="hi", streaming_behavior="steer")["error"])
        assert busy == "busy: `compact` is going on; wait for its answer, or `abort` it"
        assert far.ask("get_state")["data"]["busy"] is True  # type: ignore[index]
        scripted.set(gate)
        assert far.answer("1")["success"]


@pytest.mark.parametrize(("command", "members"), [("set_model", {"model": "claude-sonnet-4-5:high"}), ("compact", {})])
def test_answers_hold_what_became_of_it(place: Place, command: str, members: dict[str, object]) -> None:
    expected = (
        {"model": "claude-sonnet-4-5", "level": "high"} if members else {"compacted": False, "reason": "too_small"}
    )
    with served(place) as far:
        assert far.ask(command, "1", **members)["data"] == expected


def test_a_call_without_arguments_has_a_summary(place: Place, model: Model) -> None:
    model(uses(tool_call("ls")), says("done"))
    with served(place, "--approve", "all") as far:
        far.send({"id": "1", "type": "prompt", "message": "hi"})
        assert far.event("tool_start")["summary"] == "."
        request = far.until(lambda frame: frame["type"] == "approval_request")
        assert (request["tool"], request["summary"]) == ("ls", ".")
        far.send({"type": "approve", "request_id": request["request_id"], "decision": "deny"})
        assert far.answer("1")["success"]
