"""`agent serve` in a long task: progress, more words, images, condensing, and what tools leave behind."""

import os
import signal
from pathlib import Path

import pytest
from tests.agent.agent_process import Frame, Place
from tests.agent.conftest import Model
from tests.agent.serve_process import served

from beyond_ai.testing.model import says, tool_call, uses

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="


def saying(*words: str, folder: Path) -> str:
    """A command that says each of WORDS, and waits after it for a file in FOLDER that is called so."""
    return " ".join(f"echo {word}; until [ -e {folder / word} ]; do sleep 0.02; done;" for word in words)


def test_a_long_tool_says_how_it_gets_on(place: Place, model: Model) -> None:
    model(uses(tool_call("bash", command=saying("one", "two", folder=place.cwd))), says("done"))
    with served(place) as far:
        far.send({"id": "1", "type": "prompt", "message": "hi"})
        started, early = far.event("tool_start"), far.event("tool_progress")
        assert (early["id"], early["name"], early["text"]) == (started["id"], "bash", "one\n")
        (place.cwd / "one").touch()
        later = far.event("tool_progress")
        assert (later["text"], later["total_bytes"]) == ("two\n", len("one\ntwo\n"))
        (place.cwd / "two").touch()
        assert far.event("tool_end")["result"] == "one\ntwo"
        assert far.answer("1")["success"]


@pytest.mark.parametrize("lane", ["steer", "follow_up"])
def test_a_prompt_while_another_runs_waits_as_it_says(place: Place, model: Model, lane: str) -> None:
    command = saying("go", folder=place.cwd)
    playing = model(uses(tool_call("bash", command=command)), says("one"), *([says("two")] * (lane != "steer")))
    with served(place) as far:
        far.send({"id": "1", "type": "prompt", "message": "hi"})
        far.event("tool_progress")
        assert far.ask("prompt", "2", message="and that", streaming_behavior=lane)["success"]
        assert far.ask("prompt", "3", message="and that", streaming_behavior="some day")["code"] == "bad_request"
        assert far.ask("get_state", "4")["data"]["queues"][lane] == ["and that"]  # type: ignore[index]
        (place.cwd / "go").touch()
        steered = far.event("steered")
        assert (steered["lane"], steered["texts"]) == (lane, ["and that"])
        assert far.answer("1")["success"]
        requests = [[message.text for message in call.messages if message.role == "user"] for call in playing.asked]
        assert "and that" in requests[-1][-1]
        assert len(requests) == (2 if lane == "steer" else 3)


def test_images_of_a_prompt_reach_the_model_and_malformed_ones_are_passed_over(place: Place, model: Model) -> None:
    playing = model(says("a dot"))
    with served(place) as far:
        images = [{"media_type": "image/png", "data": PNG}, {"media_type": "image/png"}, 5]
        assert far.ask("prompt", message="what is it?", images=images)["success"]
        content = playing.asked[0].body["messages"][0]["content"]  # type: ignore[index]
        source = {"type": "base64", "media_type": "image/png", "data": PNG}
        assert [block["source"] for block in content if block["type"] == "image"] == [source]


def test_compact_condenses_and_the_session_goes_on(place: Place, model: Model) -> None:
    playing = model(says("one " * 4_000), says("two " * 4_000), says("the summary"), says("three"))
    with served(place) as far:
        for message in ("first", "second"):
            assert far.ask("prompt", message=message)["success"]
        far.send({"id": "c", "type": "compact", "custom_instructions": "Keep the numbers."})
        assert far.next() == {"type": "ack", "id": "c", "command": "compact"}
        event = far.event("compacted")
        answer = far.answer("c")
        data = answer["data"]
        assert isinstance(data, dict)
        assert (data["compacted"], data["reason"]) == (True, "manual")
        assert "the summary" in data["summary"]
        assert all(data[name] == event[name] for name in ("summary", "tokens_before", "tokens_after"))
        assert "Keep the numbers." in str(playing.asked[2].body)
        messages = far.ask("get_messages")["data"]["messages"]  # type: ignore[index]
        assert data["first_kept_entry_id"] in [message["id"] for message in messages]
        assert far.ask("prompt", message="third")["success"]
        assert "the summary" in str(playing.asked[3].body)
        assert "first" not in [message.text for message in playing.asked[3].messages]


def test_what_a_tool_leaves_behind_does_not_hold_it(place: Place, model: Model) -> None:
    model(uses(tool_call("bash", command="setsid sleep 300 </dev/null >/dev/null 2>&1 & echo $!")), says("done"))
    with served(place) as far:
        far.send({"id": "1", "type": "prompt", "message": "hi"})
        left = int(str(far.event("tool_end")["result"]).split()[0])
        try:
            far.answer("1")
            assert far.end() == 0
            assert far.process.stdout is not None
            assert os.read(far.process.stdout.fileno(), 1) == b""  # nobody else holds it
            os.kill(left, 0)
        finally:
            os.kill(left, signal.SIGKILL)


def test_an_id_that_cannot_be_read_is_none(place: Place) -> None:
    lines: list[tuple[bytes, Frame]] = [
        (b'{"type":"prompt","n":-1.5e3,"id":"a\\u0041", "message":oops}', {"id": "aA"}),
        (b'{"images":[],"id":"b" oops', {}),
        (b'{"id":3,"type":"get_state",}', {}),
        (b'["id","c"]', {}),
    ]
    with served(place) as far:
        for line, expected in lines:
            far.send(line + b"\n")
            answer = far.next()
            assert (answer["command"], answer["code"]) == ("?", "bad_request")
            assert {name: answer[name] for name in ("id",) if name in answer} == expected
        limit = far.seen[0]["limits"]["line_in"]  # type: ignore[index]
        head, tail = b'{"id":"d","type":"get_last_assistant_text","pad":"', b'"}'
        for over, code in ((0, None), (1, "too_long")):
            far.send(head + b"x" * (limit - len(head) - len(tail) + over) + tail + b"\r\n")
            assert far.answer("d").get("code") == code


def test_flags_of_run_are_those_of_serve(place: Place, model: Model) -> None:
    playing = model(uses(tool_call("bash", command="rm a.txt")), says("done"))
    place.write({"a.txt": "x"})
    with served(place, "--deny-bash-pattern", "rm .*", "--temperature", "0.5", "--thinking", "off") as far:
        far.send({"id": "1", "type": "prompt", "message": "hi"})
        assert far.event("tool_end")["is_error"] is True
        assert far.answer("1")["success"]
    assert place.tree() == {"a.txt": b"x"}
    playing = model(says("no tools"))
    with served(place, "--no-tools", "--temperature", "0.5", "--model", "gpt-oss-120b") as far:
        assert far.ask("prompt", message="hi")["success"]
    assert "tools" not in playing.asked[0].body
    assert playing.asked[0].body["temperature"] == 0.5
