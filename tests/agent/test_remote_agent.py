"""examples/programs/remote_agent.py, with a stand-in for ssh that gives its words to a shell, as sshd does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.agent.agent_process import COMMAND, MODELS, Place
from tests.agent.conftest import Model

from beyond_ai.client import AgentClient, AgentFailed
from beyond_ai.testing.model import says, tool_call, uses

PROGRAM = Path(__file__).parents[2] / "examples" / "programs" / "remote_agent.py"


def test_a_task_over_ssh(place: Place, model: Model, tmp_path: Path) -> None:
    model(uses(tool_call("bash", command="echo over there")), says("done there"))
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "ssh").write_text('#!/bin/sh\n[ "$1" = far ] || exit 255\nshift\nexec sh -c "$*"\n')
    (folder / "ssh").chmod(0o755)
    path = f"{folder}:{COMMAND.parent}:{os.environ['PATH']}"
    environment = place.environ({"PATH": path, "AI_AGENT_MODEL": MODELS["messages"]})

    def run(*words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, str(PROGRAM), *words], cwd=place.cwd, env=environment, capture_output=True, text=True
        )

    done = run("far", "look", "around")
    assert (done.returncode, done.stdout) == (0, "done there\n")
    assert done.stderr.startswith("> bash echo over there\n2 steps, ")
    unknown = run("nowhere", "hi")
    assert (unknown.returncode, unknown.stderr) == (1, "error: the agent ended before it was ready: exit code 255\n")
    environment["AI_AGENT_KEY"] = ""
    assert run("far", "hi").stderr.startswith("error: the agent did not start: no key")
    assert run("far").returncode == 1


async def test_nothing_waits_for_an_agent_that_has_ended() -> None:
    ready = '{"type":"ready"}'
    async with AgentClient("sh", "-c", f"echo '{ready}'; read line; exit 7") as client:
        for _ in range(2):
            with pytest.raises(AgentFailed, match="has ended"):
                await client.call("get_state")
