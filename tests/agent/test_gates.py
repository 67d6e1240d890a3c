"""What holds a run back: approval by a person, fences, denials, and the hooks of third parties."""

import os
import pty
import select
import subprocess
from pathlib import Path

import pytest
from tests.agent.agent_process import AgentRun, Place, played
from tests.agent.conftest import Model
from tests.agent.plugins import install

from beyond_ai.testing.model import Reply, says, tool_call, uses
from beyond_ai.testing.model_call import ModelCall

WRITE = uses(tool_call("write", path="a.txt", content="x\n"))

# Approval


def test_without_a_terminal_the_answer_is_no_and_the_run_says_so(place: Place, model: Model) -> None:
    playing = model(then=played(uses(tool_call("ls"), *WRITE.tool_calls), says("I could not write.")))
    text, frames = (place.run("--no-session", "--approve", "writes", *words, "write") for words in ((), ("--json",)))
    assert "refused: 1 call was denied, as nobody could be asked" in text.stderr
    for ran in (text, frames):
        assert ran.code == 3, ran
        listed, denied = playing.asked[-1].results
        assert "nobody can be asked here" in denied.content
        assert "nobody" not in listed.content
    assert place.tree() == {}


def on_terminal(place: Place, *words: str, answers: list[str]) -> tuple[AgentRun, list[str]]:
    """A run with a terminal of its own, on which ANSWERS are typed, a line for each question; also what was shown."""
    leader, follower = pty.openpty()
    shown = bytearray()
    with os.fdopen(leader, "r+b", buffering=0) as terminal:
        process = subprocess.Popen(
            ["setsid", "--ctty", "--wait", *place.arguments(*words)],
            cwd=place.cwd, env=place.environ({"TERM": "xterm"}), stdin=follower, stdout=follower, stderr=follower,
        )  # fmt: skip
        os.close(follower)
        left = list(answers)
        asked: list[str] = []
        while True:
            ready, _, _ = select.select([terminal], [], [], 15)
            if not ready:
                process.kill()
                raise AssertionError(f"it stands still: {shown.decode(errors='replace')}")
            try:
                piece = terminal.read(65_536)
            except OSError:  # Linux: nobody has the terminal open any more
                break
            if not piece:
                break
            shown += piece
            if left and shown.count(b"[n] no: ") > len(asked):
                asked.append(shown.decode(errors="replace"))
                terminal.write(left.pop(0).encode() + b"\n")
        process.wait(20)
    return AgentRun(process.returncode, shown.decode(errors="replace"), ""), asked


def test_a_person_is_asked_and_remembered_for_the_session(place: Place, model: Model) -> None:
    edit = uses(tool_call("edit", path="a.txt", old_string="x", new_string="y"))
    again = uses(tool_call("write", path="a.txt", content="z\n"))
    shell = uses(tool_call("bash", command="echo ran > ran.txt\necho \x1b[31mred"))
    model(WRITE, again, edit, shell, says("done"))
    ran, asked = on_terminal(place, "--approve", "writes", "write", answers=["a", "y", "n"])
    assert ran.code == 0, ran
    assert len(asked) == 3, "the write that was allowed for the session is asked about again"
    assert "path: a.txt" in asked[0]
    assert "old_string: x" in asked[1]
    assert "command: echo ran > ran.txt" in asked[2]
    assert "\x1b[31mred" not in ran.stdout, "a command can paint over what it is"
    assert place.tree() == {"a.txt": b"z\n"}


def test_a_terminal_shows_the_answer_the_calls_and_the_diff(place: Place, model: Model) -> None:
    place.write({"a.txt": "one\ntwo\n"})
    model(
        uses(tool_call("edit", path="a.txt", old_string="two", new_string="2"), text="I edit."),
        says("All \x1b[2Jdone."),
    )
    ran, _ = on_terminal(place, "--approve", "writes", "edit", answers=["y"])
    assert ran.code == 0, ran
    for piece in ("I edit.", "edit", "-two", "+2", "All [2Jdone.", "2 turns in"):
        assert piece in ran.stdout, ran.stdout
    assert "\x1b[2Jdone" not in ran.stdout


# Fences and denials


def denied(place: Place, model: Model, turn: Reply, *flags: str) -> str:
    """What the model is told of the one call in TURN."""
    told: list[str] = []

    def remember(call: ModelCall) -> Reply:
        told.append(call.results[0].content)
        return says("I see")

    model(turn, remember)
    ran = place.run("--json", "--no-session", *flags, "go")
    assert (ran.code, ran.of("tool_end")[0]["is_error"]) == (0, True), ran
    return told[0]


def test_outside_the_root_nothing_is_read_or_written(place: Place, model: Model, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("hidden")
    (place.cwd / "way-out").symlink_to(tmp_path)
    for name in ("../secret.txt", "way-out/secret.txt", str(tmp_path / "secret.txt")):
        assert "--root" in denied(place, model, uses(tool_call("read", path=name)), "--root", ".")
    told = denied(place, model, uses(tool_call("write", path="way-out/new.txt", content="x")), "--root", ".")
    assert "may be written (--root)" in told
    assert not (tmp_path / "new.txt").exists()


def test_what_is_denied_is_told_and_not_done(place: Place, model: Model) -> None:
    place.write({".env": "SECRET=1"})
    assert "--deny-path" in denied(place, model, uses(tool_call("read", path=".env")), "--deny-path", ".env")
    pattern = ("--deny-bash-pattern", r"rm\s+-rf")
    assert "--deny-bash-pattern" in denied(place, model, uses(tool_call("bash", command="rm  -rf .env")), *pattern)
    assert "--deny-tool" in denied(place, model, uses(tool_call("bash", command="rm .env")), "--deny-tool", "bash")
    assert place.tree() == {".env": b"SECRET=1"}


# Hooks

HOOKS = """
    import os
    from pydantic import BaseModel
    from beyond_ai import AgentHook, Allow, Ask, Block, Component, ToolResult, hookimpl

    class Table(BaseModel):
        word: str = "please"

    class Guard(AgentHook):
        def __init__(self, context):
            self.word = context.settings(Table).word

        async def before_tool_call(self, call):
            if "boom" in str(call.input):
                raise RuntimeError("cannot decide")
            if "ask" in str(call.input):
                return Ask("it asks")
            return Block("not " + self.word) if "blocked" in str(call.input) else Allow()

        async def after_tool_call(self, call, result):
            return ToolResult(result.text + " (seen)", result.is_error)

        async def prompt_sections(self):
            return ["Say " + self.word + "."]

        async def rewrite_context(self, messages):
            return messages

        async def rewrite_payload(self, payload):
            return payload | {"metadata": {"user_id": self.word}}

        async def on_event(self, event):
            with open(os.environ["EVENTS"], "a") as file:
                file.write(event.kind + "\\n")

    @hookimpl
    def beyond_agent_hooks():
        yield Component(name="guard", summary="", create=Guard, config=Table)
"""


def test_a_hook_sees_and_changes_a_run(place: Place, model: Model, tmp_path: Path) -> None:
    environment = {**install(tmp_path / "site", "agent_hooks", "guard", HOOKS), "EVENTS": str(tmp_path / "events")}
    config = tmp_path / "agent.toml"
    config.write_text('[plugins.guard]\nword = "kindly"\n')
    calls = [tool_call("bash", command=f"echo {word}") for word in ("fine", "blocked", "boom", "ask")]
    playing = model(uses(*calls), says("done"))
    ran = place.run("--json", "--config", str(config), "go", environment=environment)
    assert ran.code == 3, "a hook that asks where nobody can be asked"
    told = [block.content for block in playing.asked[-1].results]
    assert told[0] == "fine\n (seen)" or told[0] == "fine (seen)"
    assert "not kindly" in told[1]
    assert "cannot decide" in told[2]
    assert "it asks" in told[3]
    assert "Say kindly." in playing.asked[0].system
    assert playing.asked[0].body["metadata"] == {"user_id": "kindly"}
    assert (tmp_path / "events").read_text().split()[0] == "agent_start"
    assert (tmp_path / "events").read_text().split()[-1] == "agent_end"


def test_a_hook_may_ask_a_person_under_every_mode(place: Place, model: Model, tmp_path: Path) -> None:
    place.environment |= {
        **install(tmp_path / "site", "agent_hooks", "guard", HOOKS),
        "EVENTS": str(tmp_path / "events"),
    }
    model(uses(tool_call("bash", command="echo ask > asked.txt")), says("done"))
    ran, asked = on_terminal(place, "go", answers=["y"])
    assert (ran.code, len(asked)) == (0, 1), ran
    assert "it asks:" in asked[0]
    assert place.tree() == {"asked.txt": b"ask\n"}


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("1/0", "import failed: ZeroDivisionError"),
        ("from beyond_ai import *", "implements no hook"),
        (HOOKS.replace("create=Guard", "create=lambda context: 1 / 0"), "could not be created"),
    ],
)
def test_a_hook_that_cannot_be_had_may_be_a_gate_and_stops_the_start(
    place: Place, model: Model, tmp_path: Path, source: str, reason: str
) -> None:
    environment = install(tmp_path / "site", "agent_hooks", "guard", source)
    ran = place.run("--json", "go", environment=environment)
    assert ran.code == 1, ran
    assert reason in ran.stderr
    assert "guard-dist" in ran.stderr
    assert ran.result["exit_code"] == 1
    model(says("fine"))
    assert place.run("go", environment={**environment, "AI_PLUGINS_DISABLED": "agent_hook:guard"}).code == 0


def test_a_hook_that_ends_the_program_does_not_take_the_last_frame_along(
    place: Place, model: Model, tmp_path: Path
) -> None:
    source = HOOKS.replace('return ["Say " + self.word + "."]', "raise SystemExit(0)")
    environment = {**install(tmp_path / "site", "agent_hooks", "guard", source), "EVENTS": str(tmp_path / "events")}
    model(then=says("fine"))
    ran = place.run("--json", "go", environment=environment)
    assert ran.result["kind"] == "result"
    assert ran.result["exit_code"] == ran.code


def test_a_tool_that_cannot_be_had_is_left_out(place: Place, model: Model, tmp_path: Path) -> None:
    environment = install(tmp_path / "site", "tools", "broken", "1/0")
    playing = model(says("fine"))
    ran = place.run("go", environment=environment)
    assert ran.code == 0
    assert "warning: plugin tool:broken of broken-dist 1.0: import failed" in ran.stderr
    assert "read" in playing.asked[0].tools


def test_the_folder_that_is_worked_in_configures_nothing(place: Place, model: Model, tmp_path: Path) -> None:
    environment = {**install(tmp_path / "site", "agent_hooks", "guard", HOOKS), "EVENTS": str(tmp_path / "events")}
    place.write({"config.toml": '[plugins]\ndisabled = ["agent_hook:guard"]\n', "guard_plugin.py": "1/0"})
    playing = model(uses(tool_call("bash", command="echo blocked")), says("fine"))
    assert place.run("go", environment=environment).code == 0
    assert "not please" in playing.asked[-1].results[0].content


def test_a_tool_that_raises_is_a_result(place: Place, model: Model, tmp_path: Path) -> None:
    source = """
        from pydantic import BaseModel
        from beyond_ai import Tool, hookimpl

        class How(BaseModel):
            how: str

        async def run(arguments, context):
            raise SystemExit(7) if arguments.how == "exit" else RuntimeError("it broke")

        @hookimpl
        def beyond_tools():
            yield Tool(name="broken", description="", arguments=How, run=run)
    """
    environment = install(tmp_path / "site", "tools", "broken", source)
    playing = model(uses(tool_call("broken", how="error"), tool_call("broken", how="exit")), says("I see"))
    ran = place.run("--json", "go", environment=environment)
    assert (ran.code, [end["is_error"] for end in ran.of("tool_end")]) == (0, [True, True]), ran
    assert "it broke" in playing.asked[-1].results[0].content
    assert "SystemExit" in playing.asked[-1].results[1].content
