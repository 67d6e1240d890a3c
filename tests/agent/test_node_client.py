"""examples/serve-client-node, written from docs/serve-protocol.md alone, against the real `agent serve`."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from tests.agent.agent_process import COMMAND, MODELS, Place, until
from tests.agent.conftest import Model

from beyond_ai.testing.model import says, tool_call, uses

NODE: Final = shutil.which("node")
FOLDER: Final = Path(__file__).parents[2] / "examples" / "serve-client-node"
SERVE: Final = (str(COMMAND), "agent", "serve", "--model", MODELS["messages"])
LINK: Final = "cat out & cat >in; kill $!"

pytestmark = pytest.mark.skipif(NODE is None, reason="there is no `node`")


def ran(place: Place, *words: str) -> "subprocess.CompletedProcess[str]":
    """The end of `node WORDS`."""
    return subprocess.run(
        [str(NODE), *words], cwd=place.cwd, env=place.environ(), capture_output=True, text=True, timeout=30
    )


def prompted(place: Place, *words: str) -> "subprocess.CompletedProcess[str]":
    """The end of the program with WORDS."""
    return ran(place, str(FOLDER / "agent-prompt.js"), *words)


def evaluated(place: Place, source: str, *words: str) -> str:
    """What SOURCE, a module that has the library and COMMAND, prints."""
    head = f"""
        import {{ AgentClient, LineSplitter }} from {str(FOLDER / "agent-client.js")!r};
        const command = process.argv.slice(1);
    """
    done = ran(place, "--input-type=module", "-e", head + source, *(words or SERVE))
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def held(place: Place, *words: str) -> Iterator["subprocess.Popen[bytes]"]:
    """An agent that holds its own pipes open, and goes on without a client."""
    for name in ("in", "out"):
        os.mkfifo(place.cwd / name)
    line = 'exec "$@" <>in 1<>out'
    with subprocess.Popen(["sh", "-c", line, "sh", *SERVE, *words], cwd=place.cwd, env=place.environ()) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_prompt_with_a_call_is_shown_as_it_streams(place: Place, model: Model) -> None:
    model(uses(tool_call("bash", command="echo from-the-tool"), text="I look."), says("One \x1b[31mfile\u2028."))
    done = prompted(place, "what is here?", "--", *SERVE)
    assert done.stdout == "I look.\nOne \ufffd[31mfile\u2028.\n"
    assert "> bash echo from-the-tool" in done.stderr
    assert done.returncode == 0


@pytest.mark.parametrize(("flag", "left"), [("--yes", {"a.txt": b"x"}), ("--no", {})])
def test_approvals(place: Place, model: Model, flag: str, left: dict[str, bytes]) -> None:
    model(uses(tool_call("write", path="a.txt", content="x")), says("done"))
    assert prompted(place, flag, "write it", "--", *SERVE, "--approve", "writes").stdout == "done\n"
    assert place.tree() == left


def test_a_gate_that_breaks_stays_shut(place: Place, model: Model) -> None:
    model(uses(tool_call("write", path="a.txt", content="x")), says("done"))
    source = """
        const agent = await AgentClient.start(command, { onApproval: () => { throw new Error("broken"); } });
        for await (const event of agent.prompt("write it")) if (event.kind === "tool_end") console.log(event.is_error);
        await agent.close();
    """
    assert evaluated(place, source, *SERVE, "--approve", "writes") == "true\n"
    assert place.tree() == {}


def test_a_question_ends_when_its_time_is_up(place: Place, model: Model) -> None:
    model(uses(tool_call("write", path="a.txt", content="x")), says("done"))
    source = """
        const onApproval = (request, signal) => new Promise((resolve, reject) => {
          signal.addEventListener("abort", () => { console.log("not wanted"); reject(signal.reason); });
        });
        const agent = await AgentClient.start(command, { onApproval });
        for await (const event of agent.prompt("write it")) if (event.kind === "tool_end") console.log(event.is_error);
        await agent.close();
    """
    assert evaluated(place, source, *SERVE, "--approve", "writes", "--approval-timeout", "0.2") == "not wanted\ntrue\n"
    assert place.tree() == {}


def test_abort_and_what_goes_wrong(place: Place, model: Model) -> None:
    model(uses(tool_call("bash", command="sleep 60")), says("again"))
    source = """
        const agent = await AgentClient.start(command);
        const codes = [];
        const failed = (error) => codes.push(error.code);
        try {
          for await (const event of agent.prompt("hi")) {
            if (event.kind !== "tool_start") continue;
            await agent.call("prompt", { message: "too early" }).catch(failed);
            await agent.call("set_thinking", { budget: "much" }).catch(failed);
            await agent.call("nope").catch(failed);
            codes.push((await agent.call("get_state")).is_streaming);
            agent.call("abort");
          }
        } catch (error) { failed(error); }
        for await (const event of agent.prompt("again")) if (event.kind === "turn_end") codes.push(event.text);
        codes.push((await agent.close()).reason);
        await agent.call("get_state").catch(failed);
        console.log(codes.join());
    """
    assert evaluated(place, source) == "busy,bad_request,unknown_command,true,cancelled,again,end of input,lost\n"


def test_a_slow_reader_holds_the_agent_up_and_misses_nothing(place: Place, model: Model) -> None:
    text = "".join(f"{number} \u2028\U0001f600 " for number in range(3_000))
    model(says(text))
    source = """
        const agent = await AgentClient.start(command);
        let [text, before, asked] = ["", 0, false];
        for await (const event of agent.prompt("hi")) {
          if (event.seq !== ++before) throw new Error("a gap");
          if (event.type === "text_delta") text += event.text;
          if (!asked) asked = (await agent.call("get_state")).is_streaming;
          await new Promise(setImmediate);
        }
        console.log(text === (await agent.call("get_last_assistant_text")).text, text.length);
        await agent.close();
    """
    assert evaluated(place, source) == f"true {len(text.encode('utf-16-le')) // 2}\n"


def test_what_is_lost_comes_again(place: Place, model: Model) -> None:
    go = place.cwd / "go"
    model(uses(tool_call("bash", command=f"until [ -e {go} ]; do sleep 0.02; done; echo went-on")), says("the end"))
    lost = """
        const agent = await AgentClient.start(command);
        for await (const event of agent.prompt("hi")) {
          if (event.kind === "tool_start") { console.log(`${agent.instance}:${agent.lastSeq}`); process.exit(); }
        }
    """
    with held(place) as process:
        seq = evaluated(place, lost, "sh", "-c", LINK).strip()
        go.touch()
        session = """
            const { agent, attached } = await AgentClient.attach(command, 0);
            for await (const event of agent.events()) if (event.kind === "agent_end") break;
            console.log(attached.truncated, agent.lastSeq);
            await agent.close();
        """
        whole = evaluated(place, session, "sh", "-c", LINK).split()
        assert whole[0] == "false"
        done = prompted(place, "--attach", seq, "--", "sh", "-c", LINK)
        assert done.stdout == "the end\n"
        assert "went-on" in done.stderr
        for other in ("999", "0123456789abcdef:1"):
            beyond = prompted(place, "--attach", other, "--", "sh", "-c", LINK)
            assert f"it has come to event {whole[1]}" in beyond.stderr
            assert beyond.returncode == 1
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 143


def test_a_question_that_the_first_client_left_open_is_asked_again(place: Place, model: Model) -> None:
    model(uses(tool_call("write", path="a.txt", content="x")), says("the end"))
    left = """
        const agent = await AgentClient.start(command, { onApproval: () => { console.log("asked"); process.exit(); } });
        for await (const event of agent.prompt("hi"));
    """
    with held(place, "--approve", "writes") as process:
        assert evaluated(place, left, "sh", "-c", LINK) == "asked\n"
        assert prompted(place, "--yes", "--attach", "0", "--", "sh", "-c", LINK).stdout == "the end\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 143
    assert place.tree() == {"a.txt": b"x"}


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ('{"type":"ready","protocol":2,"capabilities":[],"limits":{"line_out":9}}', "speaks protocol 2"),
        ('{"type":"ready","protocol":1,"capabilities":["ack"],"limits":{"line_out":9}}', "cannot do seq"),
        ('{"type":"exit","code":2,"reason":"no key"}', "did not start: no key"),
        ("Welcome to this host", "no frame: Welcome"),
        ("", "pipes to the agent are gone"),
    ],
)
def test_what_is_no_agent_of_ours_is_refused(place: Place, written: str, said: str) -> None:
    done = prompted(place, "hi", "--", "sh", "-c", 'printf "%s\\n" "$0"', written)
    assert done.stderr.startswith("error: ")
    assert said in done.stderr
    assert done.returncode == 1


def test_a_task_that_fails_and_words_that_are_wrong(place: Place) -> None:
    assert "(lost)" in prompted(place, "hi", "--", "no-such-command").stderr
    for words in ([], ["--attach", "x"], ["hi", "--attach", "1"], ["--nope"]):
        done = prompted(place, *words)
        assert (done.returncode, "usage: " in done.stderr) == (2, True)


def test_lf_alone_ends_a_line_wherever_it_is_cut(place: Place) -> None:
    source = r"""
        const bytes = Buffer.from('"a\u2028\u2029b"\r\n\n"\u{1f600}"\n"no end"');
        for (let size = 1; size <= bytes.length; size++) {
          const [splitter, lines] = [new LineSplitter(), []];
          for (let at = 0; at < bytes.length; at += size) lines.push(...splitter.feed(bytes.subarray(at, at + size)));
          const read = lines.map((line) => JSON.parse(line)).join();
          if (read !== "a\u2028\u2029b,\u{1f600}") throw new Error(`${size}: ${read}`);
        }
        try { [...new LineSplitter(4).feed(Buffer.from("12345"))]; } catch (error) { console.log(error.code); }
    """
    assert evaluated(place, source) == "protocol\n"


def test_the_agent_does_not_outlive_its_client(place: Place, model: Model) -> None:
    model(uses(tool_call("bash", command="sleep 60")))
    source = """
        const agent = await AgentClient.start(command);
        for await (const event of agent.prompt("hi")) {
          if (event.kind === "tool_start") { console.log(agent.ready.pid); process.exit(); }
        }
    """
    pid = int(evaluated(place, source))
    until(lambda: not Path(f"/proc/{pid}").exists() or "\tZ" in Path(f"/proc/{pid}/status").read_text())
