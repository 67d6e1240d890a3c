"""A branch that is left is summarised for the model that goes on elsewhere."""

import asyncio
import json

from tests.agent.agent_process import Place, until
from tests.agent.conftest import Model
from tests.agent.serve_process import Served, served

from beyond_ai.testing.model import Held, HttpError, says


def first_message(far: Served) -> str:
    messages = far.ask("get_messages")["data"]["messages"]  # type: ignore[index]
    return str(messages[1]["id"])


def test_the_model_hears_what_happened_on_the_branch_that_is_left(place: Place, model: Model) -> None:
    scripted = model(says("one"), says("two"), says("It counted to two."), says("three"))
    path = place.home / "s.jsonl"
    with served(place, "--session-file", str(path)) as far:
        assert far.ask("prompt", message="count")["success"]
        assert far.ask("prompt", message="on")["success"]
        target = first_message(far)
        answer = far.ask("switch_branch", target_id=target, custom_instructions="mind the numbers")
        assert answer["data"] == {"target_id": target, "summarized": True, "summary": "It counted to two."}
        assert [frame["type"] for frame in far.seen[-2:]] == ["ack", "response"]
        asked = scripted.asked[-1].said
        assert "mind the numbers" in asked
        assert "[User]: on" in asked, "the branch that is left"
        assert "[User]: count" not in asked, "what both branches have is not summarised"
        assert far.ask("prompt", message="again")["success"]
        assert far.ask("get_state")["data"]["message_count"] == 4  # type: ignore[index]
    told = scripted.asked[-1].messages
    assert [message.role for message in told] == ["user", "assistant", "user"]
    assert "It counted to two." in told[-1].text
    stored = [json.loads(line) for line in path.read_text().splitlines()]
    (entry,) = (line for line in stored if line["type"] == "branch_summary")
    assert entry["summary"] == "It counted to two."
    assert any(line["type"] == "spend" for line in stored), "what the summary cost is noted"


def test_no_summary_is_made_where_none_is_wanted_or_nothing_is_left(place: Place, model: Model) -> None:
    model(says("one"), says("two"))
    with served(place) as far:
        assert far.ask("prompt", message="count")["success"]
        leaf = first_message(far)
        assert far.ask("switch_branch", target_id=leaf)["data"]["summarized"] is False  # type: ignore[index]
        assert far.ask("prompt", message="on")["success"]
        answer = far.ask("switch_branch", target_id=leaf, summarize=False)
        assert answer["data"] == {"target_id": leaf, "summarized": False}
        assert far.ask("switch_branch", target_id="nowhere")["code"] == "session"


def test_a_summary_that_fails_does_not_hold_the_switch(place: Place, model: Model) -> None:
    model(says("one"), says("two"), HttpError(400, "no summaries today"))
    with served(place) as far:
        far.ask("prompt", message="count")
        far.ask("prompt", message="on")
        data = far.ask("switch_branch", target_id=first_message(far))["data"]
        assert data["summarized"] is False  # type: ignore[index]
        assert "no summaries today" in data["problem"]  # type: ignore[index]
        assert far.ask("get_state")["data"]["message_count"] == 2  # type: ignore[index]


def test_a_summary_that_is_aborted_leaves_everything_as_it_was(place: Place, model: Model) -> None:
    reached = asyncio.Event()
    model(says("one"), says("two"), Held(says("never"), asyncio.Event(), reached=reached))
    with served(place) as far:
        far.ask("prompt", message="count")
        far.ask("prompt", message="on")
        target = first_message(far)
        far.send({"id": "b", "type": "switch_branch", "target_id": target})
        until(reached.is_set)
        assert far.ask("new_session")["code"] == "busy"
        far.send({"id": "stop", "type": "abort"})
        assert far.answer("b")["code"] == "cancelled"
        assert far.answer("stop")["success"] is True
        assert far.ask("get_state")["data"]["message_count"] == 4  # type: ignore[index]


def test_a_switch_of_models_that_no_request_met_holds_for_the_next_and_is_kept(place: Place, model: Model) -> None:
    gate, reached = asyncio.Event(), asyncio.Event()
    scripted = model(Held(says("one"), gate, reached=reached), says("two"))
    path = place.home / "s.jsonl"
    with served(place, "--session-file", str(path)) as far:
        far.send({"id": "1", "type": "prompt", "message": "count"})
        until(reached.is_set)
        assert far.ask("set_model", model="claude-sonnet-4-5")["success"]
        scripted.set(gate)
        assert far.answer("1")["success"]
        assert far.ask("get_state")["data"]["model"] == "claude-sonnet-4-5"  # type: ignore[index]
        assert "claude-sonnet-4-5" in path.read_text()
        assert far.ask("set_model", model="claude-haiku-4-5")["success"]
        assert far.ask("prompt", message="on")["success"]
    assert scripted.asked[-1].model == "claude-haiku-4-5", "the later of two switches holds"


def test_a_new_session_in_one_file_starts_as_the_first(place: Place, model: Model) -> None:
    model(says("one"))
    path = place.home / "s.jsonl"
    with served(place, "--session-file", str(path), "--model", "claude-sonnet-4-5") as far:
        assert far.ask("prompt", message="count")["success"]
    with served(place, "--session-file", str(path), "--model", "claude-haiku-4-5") as far:
        session = far.seen[0]["session_id"]
        assert far.ask("new_session")["data"]["session_id"] == session  # type: ignore[index]
        state = far.ask("get_state")["data"]
        assert (state["model"], state["message_count"]) == ("claude-haiku-4-5", 0)  # type: ignore[index]
