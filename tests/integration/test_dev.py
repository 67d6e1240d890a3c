"""`beyond-ai gateway --dev`, used as its banner says: no account, no network, nothing to write first."""

import os
import re
import subprocess
import sys
from pathlib import Path

import anthropic
import httpx
import openai
import pytest

from beyond_ai.testing import GatewayProcess


@pytest.fixture(scope="module")
def key(dev: GatewayProcess) -> str:
    """The virtual key that the banner prints."""
    dev.wait_until(lambda: "for chunk in stream:" in dev.stderr)
    found = re.search(r"^virtual key +(bai_v1\.1\.\S+)$", dev.stderr, re.MULTILINE)
    assert found
    return found[1]


def run(dev: GatewayProcess, command: list[str], folder: Path) -> str:
    """Run COMMAND as a user would; what it printed, after one more usage event has come."""
    before = len(dev.usage)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "ANTHROPIC_", "AI_"))}
    done = subprocess.run(command, cwd=folder, env=clean, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    [event] = dev.wait_usage_events(1, since=before)
    assert (event["provider"], event["tenant_id"], event["stream"], event["outcome"]) == ("openai", 1, True, "ok")
    assert event["usage_wire"] == "openai"
    return done.stdout


def test_the_banner_says_what_it_turned_on(dev: GatewayProcess, key: str) -> None:
    assert "--dev is on: listening on loopback only" in dev.stderr
    assert "answers come from the\nembedded `echo` provider" in dev.stderr
    assert re.search(rf"^base URL +{re.escape(dev.url)}/v1$", dev.stderr, re.MULTILINE)
    assert dev.url.startswith("http://127.0.0.1:")
    assert dev.admin_url.startswith("http://127.0.0.1:")


def test_the_curl_command_as_printed(dev: GatewayProcess, key: str, tmp_path: Path) -> None:
    found = re.search(r"^curl -N .*?\n(?=\n)", dev.stderr, re.MULTILINE | re.DOTALL)
    assert found
    events = len(dev.usage)
    printed = run(dev, ["bash", "-c", found[0]], tmp_path)
    assert printed.startswith("data: {")
    assert printed.rstrip().endswith("data: [DONE]")
    assert '"usage":{' not in printed, "it did not ask"
    [event] = dev.wait_usage_events(1, since=events)
    assert event["usage_wire"] == "openai"


def test_the_python_snippet_as_printed(dev: GatewayProcess, key: str, tmp_path: Path) -> None:
    found = re.search(r"^from openai import OpenAI\n.*flush=True\)\n", dev.stderr, re.MULTILINE | re.DOTALL)
    assert found
    assert "Hello there" in run(dev, [sys.executable, "-c", found[0]], tmp_path)


def test_the_agent_command_as_printed(dev: GatewayProcess, key: str, tmp_path: Path) -> None:
    dev.wait_until(lambda: "beyond-ai agent run" in dev.stderr)
    found = re.search(r"^AI_GATEWAY_URL=.*\n.*agent run .*\n", dev.stderr, re.MULTILINE)
    assert found is not None
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "hello.txt").write_text("")
    environ = {
        **os.environ,
        "HOME": str(tmp_path / "home"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    done = subprocess.run(
        ["bash", "-c", found[0]],
        cwd=tmp_path / "work",
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout == "The tool answered: hello.txt\n"
    assert "> ls" in done.stderr


@pytest.mark.parametrize(
    "base",
    ["/v1", "/openai/v1", "/groq/openai/v1", "/openrouter/api/v1", "/fireworks/inference/v1", "/xai/v1", "/echo/v1"],
)
def test_openai_clients(dev: GatewayProcess, key: str, base: str) -> None:
    with openai.OpenAI(base_url=dev.url + base, api_key=key) as client:
        said = client.chat.completions.create(model="echo", messages=[{"role": "user", "content": "good morning"}])
        assert said.usage is not None
        assert "good morning" in str(said.choices[0].message.content)
        answer = client.responses.create(model="echo", input="good evening")
        assert "good evening" in answer.output_text


@pytest.mark.parametrize("base", ["", "/anthropic"])
def test_anthropic_clients(dev: GatewayProcess, key: str, base: str) -> None:
    with anthropic.Anthropic(base_url=dev.url + base, api_key=key) as client:
        with client.messages.stream(
            model="echo", max_tokens=99, messages=[{"role": "user", "content": "good night"}]
        ) as stream:
            said = "".join(stream.text_stream)
        assert "good night" in said
    event = dev.wait_usage_event(stream.response.headers["x-beyond-request-id"])
    assert (event["provider"], event["usage_wire"], event["stream"]) == ("anthropic", "anthropic", True)
    assert event["output_tokens"] == stream.get_final_message().usage.output_tokens


def test_every_request_leaves_one_event(dev: GatewayProcess, key: str) -> None:
    body = {"model": "echo", "messages": [{"role": "user", "content": "count me"}]}
    with httpx.Client(headers={"authorization": f"Bearer {key}"}) as client:
        answers = [client.post(f"{dev.url}/v1/chat/completions", json=body) for _ in range(5)]
    events = [dev.wait_usage_event(answer.headers["x-beyond-request-id"]) for answer in answers]
    for event, answer in zip(events, answers, strict=True):
        usage = answer.json()["usage"]
        assert (event["input_tokens"], event["output_tokens"]) == (usage["prompt_tokens"], usage["completion_tokens"])


def test_the_key_is_needed(dev: GatewayProcess) -> None:
    answer = httpx.post(f"{dev.url}/v1/chat/completions", json={}, headers={"authorization": "Bearer bai_v1.1.x.y"})
    assert (answer.status_code, answer.headers["x-beyond-error-source"]) == (401, "gateway")
