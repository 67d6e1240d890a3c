"""The short programs do what they say."""

import os
import re
import shutil
import signal
import subprocess
import sys
from base64 import b64encode

import httpx
import pytest
from tests.examples.distributions import EXAMPLES
from tests.gateway_process import VIRTUAL_KEY

from beyond_ai.testing import ScriptedModel, says, tool_call, uses

PROGRAMS = EXAMPLES / "programs"
INHERITED = {name: value for name, value in os.environ.items() if not name.startswith("AI_")}


def test_an_application_with_the_gateway_in_it_serves_both_and_stops() -> None:
    program = [sys.executable, str(PROGRAMS / "gateway_in_fastapi.py")]
    with subprocess.Popen(program, env={**INHERITED, "PORT": "0"}, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = ""
        while (found := re.search(r"running on (http://\S+)", said)) is None:
            line = process.stderr.readline()
            assert line, said
            said += line
        try:
            home = httpx.get(found[1]).json()
            question = {"model": "echo", "messages": [{"role": "user", "content": "hello"}]}
            headers = {"authorization": f"Bearer {home['key']}"}
            answer = httpx.post(f"{home['base_url']}/chat/completions", json=question, headers=headers)
            assert answer.status_code == 200, answer.text
            assert httpx.get(f"{found[1]}/gateway/readyz").status_code == 200
            assert "ai_requests_total 1.0" in httpx.get(home["metrics"]).text
        finally:
            process.send_signal(signal.SIGTERM)
        said += process.stderr.read()
        process.wait(15)
    assert "Application shutdown complete" in said
    assert "Traceback" not in said
    with pytest.raises(httpx.ConnectError):
        httpx.get(home["base_url"])


def test_the_loop_in_a_program_asks_before_it_orders() -> None:
    turns = (
        uses(tool_call("look", item="pears"), tool_call("order", item="pears", number=7)),
        uses(tool_call("order", item="apples", number=1)),
        says("There are seven pears."),
    )
    with ScriptedModel(*turns) as model:
        environ = {**INHERITED, "AI_GATEWAY_URL": model.url, "AI_AGENT_KEY": VIRTUAL_KEY}
        program = [sys.executable, str(PROGRAMS / "agent_as_library.py"), "Order pears."]
        done = subprocess.run(
            program, env=environ, input="y\nn\n", capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 0, done.stderr
        results = [[result.content for result in asked.results] for asked in model.asked[1:]]
    assert results[0] == ["0 pears", "7 pears now"]
    assert "it was not approved (it costs money)" in results[1][0]
    assert "AgentStart(" in done.stdout
    assert done.stdout.endswith("There are seven pears.\n")


@pytest.mark.parametrize("program", [(sys.executable, "mint_key.py"), ("node", "mint_key.mjs")], ids=["python", "node"])
def test_keys_that_others_mint_are_the_ones_that_we_mint(program: tuple[str, str]) -> None:
    if shutil.which(program[0]) is None:
        pytest.skip(f"there is no {program[0]}")
    seed = b64encode(bytes([1]) * 32).decode()
    environ = {**INHERITED, "AI_MINT_KEY": seed}

    def printed(*words: str) -> str:
        command = [program[0], str(PROGRAMS / program[1]), *words]
        return subprocess.run(command, env=environ, capture_output=True, text=True, check=True, timeout=30).stdout

    assert printed("1", "42", "7") == f"{VIRTUAL_KEY}\n"
    wide = str(2**64 - 1)
    ours = [
        "-c",
        "from beyond_ai.cli import main; main()",
        "keys",
        "mint",
        "--tenant",
        "42",
        "--vpc",
        wide,
        "--key-id",
        "9",
    ]
    done = subprocess.run([sys.executable, *ours], env=environ, capture_output=True, text=True, check=True, timeout=30)
    assert printed("1", "42", wide, "9") == done.stdout
