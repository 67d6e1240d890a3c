"""A place for an agent to work in, with the session's gateway behind it and a scripted model behind that."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.agent.agent_process import Place

from beyond_ai.testing import GatewayProcess
from beyond_ai.testing.model import Reply, ScriptedModel

Model = Callable[..., ScriptedModel]


@pytest.fixture(scope="session")
def bytecode(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all agents of the session keep their byte code; filled once, not by several at a time."""
    folder = tmp_path_factory.mktemp("bytecode")
    place = Place(folder, folder, "http://127.0.0.1:9", {"PYTHONPYCACHEPREFIX": str(folder / "cache")})
    place.run("--retries", "0", "hello", within=60)
    return folder / "cache"


@pytest.fixture
def place(tmp_path: Path, gateway: GatewayProcess, bytecode: Path) -> Place:
    """An empty folder, and an empty home."""
    for name in ("work", "home"):
        (tmp_path / name).mkdir()
    return Place(tmp_path / "work", tmp_path / "home", gateway.url, {"PYTHONPYCACHEPREFIX": str(bytecode)})


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
