"""What goes wrong between the agent and a model, one row after the other: section 3 of the comparison of agents, where
none of four others did right in every row. Each leaves a last frame, its exit code, and a session to go on in.
"""

import asyncio
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.agent.agent_process import WIRES, AgentRun, Place, played, until, values
from tests.agent.conftest import Model

from beyond_ai.testing.answer import Answer, ToolCall
from beyond_ai.testing.model import (
    Broken,
    Held,
    HttpError,
    NoAnswer,
    PromptTooLong,
    Reply,
    ScriptedModel,
    says,
    tool_call,
    uses,
)
from beyond_ai.testing.model_call import ModelCall, Wire

BUSY = HttpError(429, "too many requests", kind="rate_limit_error", retry_after=0.05)
OVERLOADED = HttpError(529, "overloaded", kind="overloaded_error", retry_after=0.05)
LONG = "word " * 40


def on_every_wire(place: Place, *words: str, play: ScriptedModel) -> dict[Wire, AgentRun]:
    """A run on each wire, all at once; they share a folder, and keep no session."""

    def run(wire: Wire) -> AgentRun:
        return place.run("--json", "--no-session", *words, wire=wire)

    with ThreadPoolExecutor(len(WIRES)) as pool:
        done = dict(zip(WIRES, pool.map(run, WIRES), strict=True))
    assert {call.wire for call in play.asked} == set(WIRES)
    return done


def once_on_each_wire(fault: Reply, then: Reply) -> Reply:
    """FAULT at the first request on a wire, THEN at all others."""
    seen: set[Wire] = set()

    def reply(call: ModelCall) -> object:
        turn = then if call.wire in seen else fault
        seen.add(call.wire)
        return turn(call) if callable(turn) else turn

    return reply  # type: ignore[return-value]


def continues(place: Place, model: Model) -> ModelCall:
    """Go on in the session that was left; it must be taken by every check of the loop's, and answered."""
    playing = model(says("GOING ON"))
    ran = place.run("--json", "-c", "go on")
    assert ran.code == 0, ran
    return playing.asked[-1]


# Retried, within bounds


def test_429_twice_is_waited_for_and_told(place: Place, model: Model) -> None:
    playing = model(HttpError(429, retry_after=0.2), HttpError(429, retry_after=0.2), says("fine"))
    ran = place.run("--json", "hello")
    assert (ran.code, len(playing.asked)) == (0, 3)
    retries = ran.of("retry")
    assert values(retries, "attempt") == [1, 2]
    assert values(retries, "code") == ["rate_limit"] * 2
    assert values(retries, "status") == [429, 429]
    assert all(float(str(retry["delay"])) >= 0.2 for retry in retries)
    assert all(0 < float(str(retry["time_left"])) <= 120 for retry in retries)
    assert (ran.result["requests"], ran.of("agent_end")[0]["retries"]) == (3, 2)


@pytest.mark.parametrize(("fault", "code"), [(BUSY, "rate_limit"), (OVERLOADED, "overloaded")], ids=["429", "529"])
def test_429_and_529_for_ever_end_with_a_typed_cause(place: Place, model: Model, fault: HttpError, code: str) -> None:
    playing = model(then=fault)
    ran = place.run("--json", "--retries", "1", "hello")
    assert (ran.code, len(playing.asked)) == (5, 2), ran
    assert (ran.result["status"], ran.result["code"]) == ("failed", code)
    assert [frame["code"] for frame in ran.of("error")] == [code]
    text = place.run("--retries", "0", "hello")
    assert (text.code, text.stdout) == (5, "")
    assert "failed: " in text.stderr
    assert text.stderr.count(fault.message) == 1, "a reason is told once"
    assert [message.role for message in continues(place, model).messages] == ["user", "assistant", "user"]


def test_401_is_asked_once(place: Place, model: Model) -> None:
    playing = model(then=HttpError(401, "invalid x-api-key", kind="authentication_error"))
    ran = place.run("--json", "hello")
    assert (ran.code, len(playing.asked), ran.result["code"]) == (5, 1, "auth"), ran
    assert "AI_AGENT_KEY" in str(ran.result["message"])


def test_a_prompt_that_is_too_long_is_summarised_once(place: Place, model: Model) -> None:
    place.write({"a.txt": LONG * 20, "b.txt": LONG * 20})
    history = (uses(tool_call("read", path="a.txt")), uses(tool_call("read", path="b.txt")), uses(tool_call("ls")))
    playing = model(*history, PromptTooLong(), says("Goal: read a and b"), says("fine"))
    ran = place.run("--json", "--context-window", "4096", "--no-compaction", "read them")
    assert (ran.code, playing.unplayed) == (0, 0), ran
    assert len(ran.of("compacted")) == 1
    playing = model(*history, PromptTooLong(), says("Goal: read a and b"), PromptTooLong())
    ran = place.run("--json", "--context-window", "4096", "--no-compaction", "read them")
    assert (ran.code, ran.result["code"]) == (5, "context_overflow"), ran
    assert playing.unplayed == 0


@pytest.mark.parametrize("ending", ["reset", "close", "end", "error"])
def test_an_answer_that_breaks_off_is_asked_for_again(place: Place, model: Model, ending: str) -> None:
    broken = Broken(says(LONG), after=None if ending == "end" else 6, ending=ending)  # type: ignore[arg-type]
    playing = model(then=once_on_each_wire(broken, says("fine")))
    for wire, ran in on_every_wire(place, "hello", play=playing).items():
        assert ran.code == 0, f"{wire}: {ran}"
        assert len(ran.of("retry")) == 1
        assert [frame["text"] for frame in ran.of("turn_end")] == ["fine"]
    assert len(playing.asked) == 6


def test_what_is_cut_off_for_ever_keeps_the_part_that_came(place: Place, model: Model) -> None:
    playing = model(then=Broken(says("some words of an answer"), after=5, ending="reset"))
    ran = place.run("--retries", "1", "hello")
    assert (ran.code, len(playing.asked)) == (5, 2)
    assert ran.stdout.count("some ") == 2, "what came is shown as it came"
    assert "attempt 1 of 1 follows in" in ran.stderr
    last = continues(place, model).messages[-2]
    assert (last.role, last.text[:4]) == ("assistant", "some")


def test_a_stream_that_stalls_is_given_up(place: Place, model: Model) -> None:
    playing = model(Broken(says(LONG), after=5, ending="stall"), says("fine"))
    ran = place.run("--json", "--idle-timeout", "1", "hello")
    assert (ran.code, len(playing.asked), values(ran.of("retry"), "code")) == (0, 2, ["timeout"]), ran


def test_a_connection_that_breaks_before_the_answer_is_tried_again(place: Place, model: Model) -> None:
    playing = model(NoAnswer("reset"), NoAnswer("close"), says("fine"))
    ran = place.run("--json", "hello")
    assert (ran.code, len(playing.asked)) == (0, 3), ran


def test_an_empty_answer_is_asked_for_once_more_and_is_no_success(place: Place, model: Model) -> None:
    playing = model(then=says(""))
    ran = place.run("--json", "hello")
    assert (ran.code, ran.result["code"], len(playing.asked)) == (5, "no_answer", 2), ran


def test_a_gateway_that_is_not_there(place: Place) -> None:
    place.gateway_url = "http://127.0.0.1:9"
    ran = place.run("--json", "--retries", "0", "hello")
    assert (ran.code, ran.result["code"]) == (5, "network")
    assert "is the gateway running" in str(ran.result["message"])


# Calls that must not run


def test_a_call_that_is_cut_off_is_never_run(place: Place, model: Model) -> None:
    cut = Answer(text="", tool_calls=(ToolCall("bash", '{"command": "touch ran'),))
    playing = model(then=played(cut, says("I see")))
    for wire, ran in on_every_wire(place, "hello", play=playing).items():
        assert ran.code == 0, f"{wire}: {ran}"
        (end,) = ran.of("tool_end")
        assert end["is_error"] is True
    assert place.tree() == {}


def test_a_call_that_a_limit_cut_off_is_never_run(place: Place, model: Model) -> None:
    cut = Answer(text="", tool_calls=(ToolCall("bash", '{"command": "touch ran"}'),), finish="max_tokens")
    cut_in_text = Answer(text="", tool_calls=(ToolCall("bash", '{"command": "touch r'),), finish="max_tokens")
    model(cut_in_text, says("I see"))
    ran = place.run("--json", "hello")
    assert (ran.code, ran.of("tool_end")[0]["is_error"]) == (0, True), ran
    assert place.tree() == {}
    model(cut, says("I see"))
    assert place.run("--json", "hello").code == 0


def test_an_unknown_tool_is_told_with_near_names(place: Place, model: Model) -> None:
    playing = model(uses(tool_call("raed", path="x")), says("I see"))
    ran = place.run("--json", "hello")
    assert ran.code == 0
    assert "Did you mean read" in playing.asked[-1].results[0].content


def test_arguments_of_a_wrong_type_are_told(place: Place, model: Model) -> None:
    playing = model(uses(tool_call("read", path=["x"], offset="many")), says("I see"))
    ran = place.run("--json", "hello")
    assert (ran.code, ran.of("tool_end")[0]["is_error"]) == (0, True)
    assert "offset" in playing.asked[-1].results[0].content


def test_the_same_failing_call_again_and_again_ends_the_run(place: Place, model: Model) -> None:
    playing = model(then=uses(tool_call("read", path="missing.txt")))
    ran = place.run("--json", "hello")
    assert (ran.code, ran.result["code"]) == (1, "tool"), ran
    assert len(playing.asked) < 8


# What is written


def test_output_grows_with_the_answer_and_no_faster(place: Place, model: Model) -> None:
    answer = " ".join(["seven77"] * 400)
    model(then=says(answer))
    frames = place.run("--json", "--no-session", "hello")
    assert "".join(map(str, values(frames.of("delta"), "text"))) == answer
    assert len(frames.stdout) < 10 * len(answer)
    text = place.run("--no-session", "hello")
    assert text.stdout == f"{answer}\n"


# Signals


@pytest.mark.parametrize(("caught", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["INT", "TERM"])
def test_a_signal_in_a_stream_writes_the_last_frame(
    place: Place, model: Model, caught: signal.Signals, code: int
) -> None:
    held = Held(says(LONG), asyncio.Event(), after=8)
    playing = model(held)
    with place.start("--json", "hello") as process:
        ran = _signalled(process, caught, lambda line: '"delta"' in line)
    assert ran.code == code
    assert (ran.result["kind"], ran.result["status"], ran.result["exit_code"]) == ("result", "cancelled", code)
    assert len(ran.of("agent_end")) == 1
    assert f"stopped by {caught.name}" in str(ran.result["message"])
    playing.wait_closed()
    history = continues(place, model).messages
    assert [message.role for message in history] == ["user", "assistant", "user"]
    assert history[1].text.startswith("word")


def test_sigint_in_a_tool_stops_it_and_keeps_what_was_done(place: Place, model: Model) -> None:
    command = "echo $$ > pid; echo begun; sleep 60"
    model(uses(tool_call("write", path="kept.txt", content="kept\n"), tool_call("bash", command=command)))
    with place.start("--json", "hello") as process:
        until(lambda: (place.cwd / "pid").exists() and (place.cwd / "pid").read_text().endswith("\n"))
        ran = _signalled(process, signal.SIGINT)
    assert (ran.code, ran.result["status"]) == (130, "cancelled"), ran
    shell = int((place.cwd / "pid").read_text())
    until(lambda: not _runs(shell))
    history = continues(place, model).messages
    results = [block for message in history for block in message.content if block.type == "tool_result"]
    assert [block.is_error for block in results] == [False, True]
    assert place.tree()["kept.txt"] == b"kept\n"


def test_a_second_sigint_ends_at_once(place: Place, model: Model) -> None:
    command = "trap '' INT TERM; echo up > up; while :; do sleep 1; done"
    model(uses(tool_call("bash", command=command)))
    with place.start("--json", "hello") as process:
        until(lambda: (place.cwd / "up").exists())
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        ran = _finished(process)
    assert (ran.code, ran.result["exit_code"]) == (130, 130)


def test_a_signal_before_anything_has_begun(place: Place) -> None:
    place.nursery = None
    with place.start("--json", "-", stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        until(lambda: _handles(process.pid, signal.SIGTERM))
        process.send_signal(signal.SIGTERM)
        ran = _finished(process)
    assert ran.code == 143
    assert values(ran.events, "kind")[0] == "session"
    assert ran.result["exit_code"] == 143


def _signalled(process: "subprocess.Popen[str]", caught: signal.Signals, when: object = None) -> AgentRun:
    """Send the signal CAUGHT when a line of stdout is what WHEN waits for, or at once."""
    lines = []
    if callable(when):
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if when(line):
                break
    process.send_signal(caught)
    ran = _finished(process)
    return AgentRun(ran.code, "".join(lines) + ran.stdout, ran.stderr)


def _finished(process: "subprocess.Popen[str]") -> AgentRun:
    stdout, stderr = process.communicate(timeout=20)
    return AgentRun(process.returncode, stdout, stderr)


def _runs(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _handles(pid: int, number: signal.Signals) -> bool:
    """Whether the process PID has a handler for the signal NUMBER."""
    with open(f"/proc/{pid}/status") as file:
        caught = next(line.split()[1] for line in file if line.startswith("SigCgt"))
    return bool(int(caught, 16) >> (number - 1) & 1)
