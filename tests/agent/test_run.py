"""`agent run` as people and programs use it: what goes in, what comes out, and how it ends."""

import base64
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from tests.agent.agent_process import COMMAND, AgentRun, Place, played, until, values
from tests.agent.conftest import Model
from tests.agent.plugins import install

from beyond_ai.spec.conversation import Image
from beyond_ai.testing.answer import Answer
from beyond_ai.testing.model import says, tool_call, uses

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
MIB = 1024 * 1024

# What comes out


def test_the_answer_alone_is_on_stdout(place: Place, model: Model) -> None:
    model(uses(tool_call("write", path="a.txt", content="x\n"), text="Writing."), says("All done."))
    ran = place.run("write it")
    assert (ran.code, ran.stdout) == (0, "Writing.\nAll done.\n")
    shown = ran.stderr.splitlines()
    assert shown[0].startswith("> write a.txt")
    assert ": ok, " in shown[1]
    assert shown[-4] == "done"
    assert shown[-3].startswith("2 turns in ")
    assert "tokens 42 in, 14 out" in shown[-3]
    assert shown[-2] == "no limits were set (--max-turns, --max-tokens-total, --max-seconds)"
    assert shown[-1] == f"session {place.session()}"


def test_an_edit_shows_its_diff(place: Place, model: Model) -> None:
    place.write({"a.txt": "one\ntwo\n"})
    model(uses(tool_call("edit", path="a.txt", old_string="two", new_string="2")), says("done"))
    shown = place.run("edit it").stderr
    assert "\n  -two\n" in shown
    assert "\n  +2\n" in shown


def test_the_frames_of_a_run(place: Place, model: Model) -> None:
    playing = model(uses(tool_call("bash", command="echo hi")), says("fine"))
    ran = place.run("--json", "--max-turns", "9", "go")
    first, frames = ran.events[0], ran.events
    assert {name: first[name] for name in ("kind", "schema", "seq", "model", "cwd")} == {
        "kind": "session",
        "schema": 1,
        "seq": 0,
        "model": "claude-opus-4-8",
        "cwd": str(place.cwd),
    }
    assert first["file"] == str(place.session())
    assert values(frames, "seq") == list(range(len(frames)))
    assert [kind for kind in values(frames, "kind") if kind != "delta"] == [
        "session", "agent_start", "turn_start", "turn_end", "tool_start", "tool_end",
        "turn_start", "turn_end", "agent_end", "result",
    ] or "tool_progress" in values(frames, "kind")  # fmt: skip
    assert ran.of("agent_start")[0]["limits"] == {"max_turns": 9}
    turns = ran.of("turn_end")
    assert [turn["turn_usage"]["output_tokens"] for turn in turns] == [7, 7]  # type: ignore[index]
    assert [turn["total_usage"]["output_tokens"] for turn in turns] == [7, 14]  # type: ignore[index]
    assert ran.result["total_usage"] == turns[1]["total_usage"]
    assert (ran.stderr, ran.result["exit_code"]) == ("", 0)
    assert len(playing.asked[0].received.body) < 8 * 1024, "the first request is long"
    assert list(playing.asked[0].tools) == sorted(playing.asked[0].tools)
    assert {"bash", "edit", "find", "fork", "grep", "logs", "ls", "read", "sync", "write"} == set(
        playing.asked[0].tools
    )


def test_no_frame_is_longer_than_a_mebibyte(place: Place, model: Model) -> None:
    content = "0123456789abcde\n" * (3 * MIB // 16)
    model(uses(tool_call("write", path="big.txt", content=content)), says("fine"))
    ran = place.run("--json", "write much")
    assert ran.code == 0, ran.stderr
    assert max(len(line.encode()) for line in ran.stdout.splitlines()) < MIB
    (start,) = ran.of("tool_start")
    assert start["cut"] == [{"at": "input.content", "chars": len(content)}]
    whole = json.loads(Path(str(start["whole"])).read_bytes())
    assert whole["input"]["content"] == content
    assert place.tree()["big.txt"] == content.encode()
    assert whole["seq"] == start["seq"]


def test_money_is_shown_where_prices_are_known(place: Place, model: Model, tmp_path: Path) -> None:
    config = tmp_path / "agent.toml"
    config.write_text('[agent_prices]\n"claude-opus-4-8" = { input = 1000.0, output = 2000.0 }\n')
    model(then=says("fine"))
    assert "$" not in place.run("--no-session", "hello").stderr
    assert "; $0.0350" in place.run("--no-session", "--config", str(config), "hello").stderr
    ran = place.run("--no-session", "--json", "hello", environment={"AI_CONFIG_PATH": str(config)})
    assert ran.result["cost_usd"] == 0.035
    config.write_text('[agent_prices]\n"claude-opus-4-8" = { inptu = 1000.0, output = 2000.0 }\n')
    ran = place.run("--config", str(config), "hello")
    assert ran.code == 2
    assert "agent_prices.claude-opus-4-8.inptu: unknown key" in ran.stderr


def test_what_tools_print_is_not_on_stdout(place: Place, model: Model, tmp_path: Path) -> None:
    source = """
        import os
        from pydantic import BaseModel
        from beyond_ai import Tool, ToolResult, hookimpl
        print("imported")

        class Nothing(BaseModel): pass

        async def run(arguments, context):
            print("printed", flush=True)
            os.write(1, b"written")
            return ToolResult("fine")

        @hookimpl
        def beyond_tools():
            yield Tool(name="chatty", description="", arguments=Nothing, run=run)
    """
    environment = install(tmp_path / "site", "tools", "chatty", source)
    model(uses(tool_call("chatty")), says("done"))
    ran = place.run("--json", "go", environment=environment)
    assert ran.code == 0, ran
    assert all(isinstance(frame, dict) for frame in ran.events)
    assert "printed" in ran.stderr
    assert "imported" in ran.stderr
    assert "written" in ran.stderr


# What goes in


def test_tasks_files_images_and_piped_text(place: Place, model: Model) -> None:
    place.write({"note.txt": "alpha", "dot.png": PNG})
    playing = model(then=says("fine"))
    ran = place.run("--json", "look at @note.txt", "@dot.png", "and at this", text="piped in\n")
    assert (ran.code, len(playing.asked)) == (0, 2), ran
    first, _, second = playing.asked[1].messages
    assert first.text == (
        '<file name="stdin">\npiped in\n</file><file name="note.txt">\nalpha\n</file>look at @note.txt'
    )
    (image,) = [block for block in second.content if isinstance(block, Image)]
    assert base64.b64decode(image.data) == PNG
    assert len(ran.of("agent_end")) == 2
    assert len(ran.of("result")) == 1


def test_what_the_project_says_is_in_the_system_prompt(place: Place, model: Model) -> None:
    skill = place.home / ".beyond-ai" / "skills" / "release" / "SKILL.md"
    skill.parent.mkdir(parents=True)
    skill.write_text("---\nname: release\ndescription: Makes a release.\n---\nSteps.\n")
    place.write({"AGENTS.md": "Use tabs."})
    playing = model(then=says("fine"))
    place.run("--append-system-prompt", "Be kind.", "/skill:release now")
    place.run("-nc", "-nt", "--system-prompt", "You are a poet.", "hello")
    long, short = (call.system for call in playing.asked)
    for piece in (
        "Your tools: bash, edit",
        "Be kind.",
        "Use tabs.",
        "Makes a release.",
        f"Working directory: {place.cwd}",
    ):
        assert piece in long
    assert short.startswith("You are a poet.\n\nDate: ")
    assert playing.asked[1].tools == {}
    assert "Steps." in playing.asked[0].said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no task"),
        (["@missing", "x"], "@missing: No such file"),
        (["--tools", "raed", "x"], "--tools raed: no such tool; did you mean `read`?"),
        (["--deny-bash-pattern", "(", "x"], "--deny-bash-pattern (: is no regular expression"),
        (["--dialect", "chta", "x"], "--dialect chta: must be one of chat, responses, messages; did you mean `chat`?"),
        (["--thinking", "huge", "x"], "--thinking huge: must be one of off, minimal"),
        (["--approve", "write", "x"], "--approve write: must be one of never, writes, all; did you mean `writes`?"),
        (["-c", "x"], "there is no session of"),
        (["-c", "--no-session", "x"], "--continue and --no-session exclude each other"),
        (["--no-such-flag", "x"], "No such option: --no-such-flag"),
        (["--max-turns", "0", "x"], "Invalid value for '--max-turns'"),
    ],
)
def test_wrong_usage_is_said_and_nothing_is_asked(place: Place, words: list[str], message: str) -> None:
    ran = place.run(*words)
    assert ran.code == 2, ran
    assert message in ran.stderr
    assert ran.stdout == ""
    assert not (place.home / ".beyond-ai").exists()


def test_a_missing_key_names_the_flag_and_the_variable(place: Place) -> None:
    ran = place.run("--json", "hello", environment={"AI_AGENT_KEY": ""})
    assert ran.code == 2
    assert "--key" in ran.stderr
    assert "AI_AGENT_KEY" in ran.stderr
    assert values(ran.events, "kind") == ["session", "error", "result"]
    assert (ran.result["code"], ran.result["exit_code"]) == ("config", 2)


# An answer that fits a schema

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}


def structured(place: Place, *words: str) -> AgentRun:
    place.write({"schema.json": json.dumps(SCHEMA)})
    return place.run("--no-session", "--output-schema", "schema.json", *words, "count")


def test_a_structured_answer_alone_is_on_stdout(place: Place, model: Model) -> None:
    model(uses(tool_call("ls"), text="Looking."), says('{"n": 3}'))
    ran = structured(place)
    assert (ran.code, ran.stdout) == (0, '{"n": 3}\n')


def test_an_answer_that_does_not_fit_is_asked_for_once_more(place: Place, model: Model) -> None:
    playing = model(says("three"), says('```json\n{"n": 3}\n```'))
    ran = structured(place, "--json")
    assert (ran.code, ran.result["structured_output"]) == (0, {"n": 3})
    assert "does not fit the schema: it is no JSON" in playing.asked[1].said


def test_no_answer_that_fits_is_a_failure(place: Place, model: Model) -> None:
    model(then=says('{"n": "three"}'))
    ran = structured(place, "--json")
    assert (ran.code, ran.result["code"]) == (1, "no_answer")
    assert "the answer.n must be integer" in str(ran.result["message"])
    assert "structured_output" not in ran.result
    text = structured(place)
    assert (text.code, text.stdout) == (1, "")


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ("{", "is no JSON"),
        ('{"type": "objekt"}', "is no usable JSON schema"),
        ('{"$ref": "https://nowhere.invalid/x"}', "nothing is fetched"),
        ('{"unevaluatedProperties": false}', "`unevaluatedProperties` cannot be checked here"),
    ],
)
def test_a_schema_that_is_none_is_refused(place: Place, schema: str, message: str) -> None:
    place.write({"bad.json": schema})
    ran = place.run("--output-schema", "bad.json", "count")
    assert ran.code == 2
    assert message in ran.stderr


# How it ends


def test_a_limit_ends_the_run_with_4(place: Place, model: Model) -> None:
    model(then=uses(tool_call("ls")))
    ran = place.run("--json", "--max-turns", "2", "go")
    assert (ran.code, ran.result["status"], ran.result["code"]) == (4, "budget", "budget")
    text = place.run("--no-session", "--max-turns", "1", "--max-seconds", "60", "go")
    assert text.code == 4
    assert "limits: --max-turns 1, --max-seconds 60" in text.stderr


def test_a_refusal_ends_the_run_with_3(place: Place, model: Model) -> None:
    model(then=Answer(text="I will not.", finish="refusal"))
    assert (place.run("--json", "go").code, place.run("go").code) == (3, 3)


def test_a_reader_that_has_gone_is_a_normal_end(place: Place, model: Model) -> None:
    model(then=uses(tool_call("ls"), text="word " * 3000))
    command = f"{subprocess.list2cmdline(place.arguments('--max-turns', '50', 'go'))} | head -c 20"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"],
        cwd=place.cwd, env=place.environ(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "word word word word ")
    assert "Broken" not in done.stderr


def test_a_reader_that_does_not_read_stops_the_run_and_not_the_signals(place: Place, model: Model) -> None:
    playing = model(then=uses(tool_call("ls"), text="word " * 30_000))
    with place.start("--max-turns", "500", "go") as process:
        until(lambda: len(playing.asked) >= 2)
        asked = 0
        while asked < len(playing.asked):  # until nothing more is asked for
            asked = len(playing.asked)
            time.sleep(0.3)
        assert asked < 50, "what nobody reads piles up"
        process.terminate()
        process.wait(15)
        assert process.returncode == 143
        assert process.stdout is not None
        process.stdout.read()


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_may_be_closed(place: Place, model: Model, closed: str) -> None:
    model(uses(tool_call("write", path="a.txt", content="x")), says("done"))
    command = f"exec {subprocess.list2cmdline(place.arguments('go'))} {closed}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=place.cwd, env=place.environ(), capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    assert "error" not in done.stderr
    assert place.tree() == {"a.txt": b"x"}


def test_a_slow_reader_gets_all_of_it_and_the_exit_code_waits(place: Place, model: Model) -> None:
    answer = "word " * 40_000
    model(says(answer))
    with place.start("--no-session", "go") as process:
        assert process.stderr is not None
        assert process.stdout is not None
        while "no limits" not in process.stderr.readline():
            pass
        with pytest.raises(subprocess.TimeoutExpired):  # the run is over; what it said does not fit into the pipe
            process.wait(1)
        assert process.stdout.read() == answer + "\n"
        assert process.wait(10) == 0


def test_a_reader_that_never_reads_is_given_up_after_the_idle_timeout(place: Place, model: Model) -> None:
    model(says("word " * 40_000))
    with place.start("--no-session", "--idle-timeout", "1", "go") as process:
        assert process.wait(15) == 1
        assert process.stderr is not None
        assert "error: stdout was not all written: it is not read" in process.stderr.read()


@pytest.mark.parametrize("flags", [(), ("--json",)], ids=["text", "json"])
def test_a_full_disk_under_stdout_is_an_error(place: Place, model: Model, flags: tuple[str, ...]) -> None:
    model(then=says("fine"))
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            place.arguments(*flags, "go"),
            cwd=place.cwd, env=place.environ(), stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE,
            text=True, timeout=30, check=False,
        )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "error: stdout was not all written: No space left on device" in done.stderr


def test_a_child_that_stays_does_not_hold_the_end_up(place: Place, model: Model) -> None:
    command = "sleep 300 & echo $! > pid; (setsid sleep 300 & echo $! > pid2); echo started"
    model(uses(tool_call("bash", command=command)), says("fine"))
    ran = place.run("--json", "go")
    assert (ran.code, ran.seconds < 10) == (0, True)
    ended = float(str(ran.of("agent_end")[0]["ts"]))
    assert float(str(ran.result["ts"])) - ended < 1
    for name in ("pid", "pid2"):
        subprocess.run(["kill", (place.cwd / name).read_text().strip()], capture_output=True, check=False)


def test_children_do_not_see_the_key(place: Place, model: Model) -> None:
    playing = model(uses(tool_call("bash", command="env")), says("fine"))
    environment = {"AI_POOL_KEY_OPENAI": "sk-fake", "AI_ADMIN_TOKEN": "fake", "SEEN": "yes"}
    assert place.run("go", environment=environment).code == 0
    shown = playing.asked[-1].results[0].content
    assert "SEEN=yes" in shown
    for hidden in ("AI_AGENT_KEY", "AI_POOL_KEY", "AI_ADMIN_TOKEN", "bai_v1"):
        assert hidden not in shown


def test_tools_are_listed_with_their_schemas(place: Place) -> None:
    listed = subprocess.run(
        [COMMAND, "agent", "tools", "--json"], env=place.environ(), capture_output=True, text=True, check=True
    )
    tools = {tool["name"]: tool for tool in json.loads(listed.stdout)}
    assert tools["read"]["read_only"] is True
    assert tools["write"]["schema"]["required"] == ["path", "content"]
    text = subprocess.run([COMMAND, "agent", "tools"], env=place.environ(), capture_output=True, text=True, check=True)
    assert "bash (may change things)\n" in text.stdout
    assert "  arguments: path, content\n" in text.stdout


@pytest.mark.parametrize("limit", ["--max-turns=0", "--max-tokens-total=-1", "--max-seconds=0", "--max-seconds=nan"])
def test_a_limit_that_lets_nothing_happen_is_refused(place: Place, limit: str) -> None:
    ran = place.run(limit, "go")
    assert ran.code == 2
    assert limit.partition("=")[0] in ran.stderr
    assert "is no limit: give a number above 0, or leave it out" in ran.stderr


def test_a_temperature_that_a_model_does_not_take_is_said_once(place: Place, model: Model) -> None:
    playing = model(then=played(uses(tool_call("ls")), says("fine")))
    ran = place.run("--json", "--no-session", "--temperature", "0.5", "go")
    assert (ran.code, len(playing.asked)) == (0, 2), ran
    assert [notice["message"] for notice in ran.of("notice")] == [
        "claude-opus-4-8 takes no temperature as it is asked here: it is left out"
    ]
    assert all("temperature" not in call.body for call in playing.asked)
    ran = place.run("--json", "--no-session", "--temperature", "0.5", "go", wire="chat")
    assert ran.of("notice") == []
    assert playing.asked[-1].body["temperature"] == 0.5


# Outputs too long for a result

LONG_OUTPUT = uses(tool_call("bash", command="seq 20000"))


def outputs(folder: Path) -> list[str]:
    """What is left in FOLDER for temporary files, byte code apart."""
    return sorted(path.read_text().split()[-1] for path in folder.rglob("bash-*.log"))


def test_long_outputs_stay_while_the_session_can_be_continued(place: Place, model: Model, tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    place.environment |= {"TMPDIR": str(temporary)}
    model(LONG_OUTPUT, says("fine"))
    assert place.run("go").code == 0
    assert outputs(temporary) == ["20000"]
    (log,) = temporary.rglob("*.log")
    playing = model(
        uses(tool_call("read", path=str(log), limit=1), tool_call("bash", command="seq 30000")), says("fine")
    )
    assert place.run("-c", "--root", ".", "go on").code == 0
    assert playing.asked[-1].results[0].content.split()[:2] == ["1", "1"], "it is inside the fence"
    assert outputs(temporary) == ["20000", "30000"]
    assert len(list(temporary.iterdir())) == 1, "a session has one folder"


@pytest.mark.parametrize("caught", [None, signal.SIGTERM, signal.SIGINT])
def test_long_outputs_go_with_a_session_in_memory(
    place: Place, model: Model, tmp_path: Path, caught: signal.Signals | None
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    place.environment |= {"TMPDIR": str(temporary)}
    waiting = uses(tool_call("bash", command=f"seq 20000; touch {place.cwd}/up; sleep {0 if caught is None else 60}"))
    model(waiting, says("fine"))
    with place.start("--no-session", "go") as process:
        until(lambda: (place.cwd / "up").exists())
        if caught is not None:
            until(lambda: outputs(temporary) == ["20000"])
            process.send_signal(caught)
        process.communicate(timeout=20)
    assert list(temporary.iterdir()) == []


def test_folders_that_nobody_has_used_for_long_are_removed(place: Place, model: Model, tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    old, new, open_, other = (
        "beyond-ai-" + "0" * 16,
        "beyond-ai-" + "1" * 16,
        "beyond-ai-" + "2" * 16,
        "beyond-ai-work",
    )
    for name in (old, new, open_, other):
        (temporary / name).mkdir()
        (temporary / name).chmod(0o755 if name == open_ else 0o700)
        (temporary / name / "bash-1.log").write_text("x")
        if name != new:
            os.utime(temporary / name, (0, 0))
    model(says("fine"))
    assert place.run("go", environment={"TMPDIR": str(temporary)}).code == 0
    assert {path.name for path in temporary.iterdir()} == {new, open_, other}


def test_scratch_folders_are_not_left_behind(place: Place, model: Model, tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    model(then=played(uses(tool_call("ls")), says("fine")))
    assert place.run("go", environment={"TMPDIR": str(tmp_path / "tmp")}).code == 0
    assert os.listdir(tmp_path / "tmp") == []
