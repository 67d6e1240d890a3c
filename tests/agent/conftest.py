"""A place for an agent to work in, with the session's gateway behind it and a scripted model behind that."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.agent.agent_process import Place
from tests.gateway_process import VIRTUAL_KEY

from beyond_ai.testing import GatewayProcess
from beyond_ai.testing.model import Reply, ScriptedModel

Model = Callable[..., ScriptedModel]


@pytest.fixture(scope="session")
def bytecode(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all agents of the session keep their byte code; filled once, not by several at a time."""
    folder = tmp_path_factory.mktemp("bytecode")
    place = Place(folder, folder, "http://127.0.0.1:9", VIRTUAL_KEY, {"PYTHONPYCACHEPREFIX": str(folder / "cache")})
    place.run("--retries", "0", "hello", within=60)
    return folder / "cache"


@pytest.fixture(scope="session")
def nursery(bytecode: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where agents are forked."""
    path = tmp_path_factory.mktemp("nursery") / "socket"
    program = [sys.executable, str(Path(__file__).with_name("nursery.py")), str(path)]
    environ = {**os.environ, "PYTHONPYCACHEPREFIX": str(bytecode)}
    with subprocess.Popen(program, env=environ, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield path
        process.kill()


@pytest.fixture
def place(tmp_path: Path, gateway: GatewayProcess, bytecode: Path, nursery: Path) -> Place:
    """An empty folder, and an empty home."""
    for name in ("work", "home", "temporary"):
        (tmp_path / name).mkdir()
    environment = {"PYTHONPYCACHEPREFIX": str(bytecode), "TMPDIR": str(tmp_path / "temporary")}
    return Place(tmp_path / "work", tmp_path / "home", gateway.url, VIRTUAL_KEY, environment, nursery=nursery)


@pytest.fixture
def model(upstream_listener: socket.socket) -> Iterator[Model]:
    """`model(turn, ...)` lets the model behind the gateway play these turns, in place of those before.

    A request without a turn fails the test.
    """
    with ExitStack() as stack:

        def play(*turns: Reply, then: Reply | None = None) -> ScriptedModel:
            stack.close()
            return stack.enter_context(ScriptedModel(*turns, then=then, listener=upstream_listener.dup()))

        yield play
