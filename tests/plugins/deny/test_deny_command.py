"""`deny add`, `remove`, `list` and `watch`, as an operator types them, on a real server."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from nats.js.api import StreamConfig
from tests.nats_server import NatsServer, free_port, version
from tests.plugins.deny.conftest import STREAM, ControlPlane, Watch
from typer.testing import CliRunner

from beyond_ai import BeyondError
from beyond_ai_plugins.commands import deny


@pytest.fixture
def server(nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> NatsServer:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AI_NATS_URL", nats_server.url)
    return nats_server


def run(*arguments: str, exit_code: int = 0) -> str:
    """What the command prints on stdout; its `BeyondError` is raised as the program would see it."""
    result = CliRunner().invoke(deny.app, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == exit_code, result.output
    return result.stdout


def listed() -> list[tuple[str, int, str]]:
    return [(row["scope"], row["id"], row["reason"]) for row in json.loads(run("list", "--json"))]


def test_add_list_and_remove(server: NatsServer) -> None:
    assert listed() == []
    assert run("list") == "scope  id  reason  since\n"
    assert run("add", "42", "--reason", "spend") == "tenant 42 is refused: spend\n"
    assert run("add", "7") == "tenant 7 is refused: fraud\n"
    assert run("add", "--key-id", "18446744073709551615") == "key 18446744073709551615 is refused: fraud\n"
    assert listed() == [("tenant", 7, "fraud"), ("tenant", 42, "spend"), ("key", 2**64 - 1, "fraud")]
    assert run("remove", "42") == "tenant 42 is served again\n"
    assert run("remove", "42") == "tenant 42 was not refused\n"
    assert run("remove", "--key-id", "7") == "key 7 was not refused\n"
    head, first, second = run("list").splitlines()
    assert (head.split(), first.split()[:3]) == (["scope", "id", "reason", "since"], ["tenant", "7", "fraud"])
    assert second.split()[1] == str(2**64 - 1)


def test_an_entry_that_ends_by_itself(server: NatsServer) -> None:
    assert run("add", "42", "--ttl", "1") == "tenant 42 is refused for 1 s: fraud\n"
    assert listed() == [("tenant", 42, "fraud")]
    ends = time.monotonic() + 5
    while listed():
        assert time.monotonic() < ends
        time.sleep(0.05)


async def test_a_bucket_without_expiry_says_so(nats_server: NatsServer, control_plane: ControlPlane) -> None:
    await control_plane.bucket()
    config = (await control_plane.jetstream.stream_info(STREAM)).config
    assert isinstance(config, StreamConfig)
    result = _beyond_ai(nats_server, "add", "42", "--ttl", "60")
    assert "error: --ttl needs a bucket that lets entries expire" in result.stderr
    assert result.returncode == 1


def test_an_older_server_says_so(older_program: str, tmp_path: Path) -> None:
    if version(older_program) >= (2, 11):
        pytest.skip("this one lets entries expire")
    with NatsServer(tmp_path, program=older_program) as server:
        result = _beyond_ai(server, "add", "42", "--ttl", "60")
        assert "error: --ttl needs nats-server 2.11 or newer, and this one is 2." in result.stderr
        assert result.returncode == 1
        assert _beyond_ai(server, "add", "42").returncode == 0
        assert "tenant  42" in _beyond_ai(server, "list").stdout


PROGRAM = """
import sys
import typer
from beyond_ai import BeyondError
from beyond_ai_plugins.commands.deny import app
try:
    app(standalone_mode=False)
except BeyondError as error:
    sys.exit(f"error: {error.message}")
"""


def _arguments(*arguments: str) -> list[str]:
    return [sys.executable, "-c", PROGRAM, *arguments]


def _beyond_ai(server: NatsServer, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "AI_NATS_URL": server.url}
    return subprocess.run(_arguments(*arguments), capture_output=True, text=True, env=environ, timeout=30, check=False)


def test_watch_prints_what_changes(server: NatsServer) -> None:
    run("add", "1")
    with subprocess.Popen(
        _arguments("watch"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert "watching the bucket ai-gateway" in process.stderr.readline()
        run("add", "42", "--reason", "spend")
        run("remove", "1")
        lines = [process.stdout.readline().split("  ")[1].strip() for _ in range(2)]
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)
    assert lines == ["tenant 42 is refused: spend", "tenant 1 is served again"]


def test_watch_says_when_it_is_over(server: NatsServer) -> None:
    with subprocess.Popen(
        _arguments("watch", "--json"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert "watching" in process.stderr.readline()
        run("add", "--key-id", "9", "--reason", "spend")
        facts = json.loads(process.stdout.readline())
        assert (facts["scope"], facts["id"], facts["reason"]) == ("key", 9, "spend")
        server.kill()
        _, errors = process.communicate(timeout=20)
    assert errors.splitlines() == [f"error: NATS at nats://127.0.0.1:{server.port}: {errors.split(': ', 2)[2].strip()}"]
    assert process.returncode == 1


@pytest.mark.parametrize("command", [("add", "1"), ("remove", "1"), ("list",), ("watch",)])
def test_no_nats_is_one_line(command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    port = free_port()
    monkeypatch.setenv("AI_NATS_URL", f"nats://operator:not-a-secret@127.0.0.1:{port}")
    with pytest.raises(BeyondError) as raised:
        run(*command)
    assert raised.value.message.startswith(f"NATS at nats://127.0.0.1:{port}: ")
    assert "\n" not in raised.value.message
    assert "not-a-secret" not in raised.value.message + raised.value.hint
    assert "nats_url" in raised.value.hint


@pytest.mark.parametrize("command", [("add",), ("remove",), ("add", "1", "--key-id", "2")])
def test_one_target_has_to_be_named(command: tuple[str, ...]) -> None:
    with pytest.raises(BeyondError, match="name one tenant, or one key"):
        run(*command)


@pytest.mark.parametrize(
    "command", [("add", "-1"), ("add", "x"), ("add", "18446744073709551616"), ("add", "1", "--ttl", "0")]
)
def test_what_is_no_id_is_refused(command: tuple[str, ...]) -> None:
    run(*command, exit_code=2)


async def test_the_set_follows_the_command(nats_server: NatsServer, watch: "type[Watch]") -> None:
    found = await (await watch().start()).ready()  # type: ignore[call-arg]
    assert _beyond_ai(nats_server, "add", "42").returncode == 0
    await found.denies(42)
    assert _beyond_ai(nats_server, "remove", "42").returncode == 0
    await found.denies()
