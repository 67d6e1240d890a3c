"""`agent sessions` on what a real run has left."""

import json
import subprocess

from tests.agent.agent_process import COMMAND, Place
from tests.agent.conftest import Model

from beyond_ai.testing.model import says, tool_call, uses


def sessions(place: Place, *words: str) -> str:
    done = subprocess.run(
        [COMMAND, "agent", "sessions", *words], cwd=place.cwd, env=place.environ(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_run_is_listed_and_exported(place: Place, model: Model) -> None:
    model(uses(tool_call("write", path="a.txt", content="hello there\n")), says("All done."))
    assert place.run("write it").code == 0
    (listed,) = json.loads(sessions(place, "list", "--json"))
    assert (listed["prompt"], listed["cwd"]) == ("write it", str(place.cwd))
    page = sessions(place, "export", listed["id"][:8], "--format", "html")
    assert '<span class="add">+hello there</span>' in page
    assert "All done." in page
