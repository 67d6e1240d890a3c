"""The real agent as a process, in a folder of its own, asked through the real gateway."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.gateway_process import VIRTUAL_KEY

from beyond_ai.testing.model import Reply, Turn
from beyond_ai.testing.model_call import ModelCall, Wire

WIRES: Final[tuple[Wire, ...]] = ("chat", "responses", "messages")
MODELS: Final[dict[Wire, str]] = {"chat": "gpt-oss-120b", "responses": "gpt-5.1", "messages": "claude-opus-4-8"}
COMMAND: Final = Path(sys.executable).with_name("beyond-ai")
CRADLE: Final = Path(__file__).with_name("cradle.py")
Frame = dict[str, object]


@dataclass(frozen=True)
class Ran:
    """What a run of the agent left behind."""

    code: int
    stdout: str
    stderr: str
    seconds: float = 0.0

    @property
    def frames(self) -> list[Frame]:
        """Each line of stdout as JSON."""
        return [json.loads(line) for line in self.stdout.splitlines()]

    def of(self, kind: str) -> list[Frame]:
        """The frames of KIND."""
        return [frame for frame in self.frames if frame["kind"] == kind]

    @property
    def result(self) -> Frame:
        """The last frame."""
        return self.frames[-1]

    def __str__(self) -> str:
        return f"exit {self.code}\n{self.stdout}\n{self.stderr}"


@dataclass
class Place:
    """A working folder, a home folder, and the gateway that agents started here ask."""

    cwd: Path
    home: Path
    gateway_url: str
    environment: dict[str, str] = field(default_factory=dict)
    nursery: Path | None = None
    """where agents are forked; None starts them in full"""
    via: tuple[str, ...] = ()
    """a program that starts the agent, in full"""

    def arguments(self, *words: str, wire: Wire = "messages") -> list[str]:
        """The command line of a run on WIRE, started in full."""
        return [*self.via, str(COMMAND), *self.words(*words, wire=wire)]

    def words(self, *words: str, wire: Wire = "messages") -> list[str]:
        """What follows `beyond-ai` in it."""
        return ["agent", "run", "--model", MODELS[wire], "--dialect", wire, *words]

    def environ(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """The environment of a run."""
        left_out = ("AI_", "PYTHONDONTWRITEBYTECODE")  # a start without byte code takes half as long again
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
        own = {"HOME": str(self.home), "AI_GATEWAY_URL": self.gateway_url, "AI_AGENT_KEY": VIRTUAL_KEY}
        return {**inherited, **own, **self.environment, **(more or {})}

    def start(
        self,
        *words: str,
        wire: Wire = "messages",
        environment: Mapping[str, str] | None = None,
        stdin: int = subprocess.DEVNULL,
        prepare: Callable[[], object] | None = None,
    ) -> "subprocess.Popen[str]":
        """Start a run; PREPARE is called in the child, which is started in full then."""
        environ = self.environ(environment)
        arguments = self.arguments(*words, wire=wire)
        if self.nursery is not None and not self.via and prepare is None and "PYTHONPATH" not in environ:
            arguments = [sys.executable, "-I", "-S", str(CRADLE), str(self.nursery), *self.words(*words, wire=wire)]
        return subprocess.Popen(
            arguments,
            cwd=self.cwd,
            env=environ,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=prepare,
        )

    def run(
        self,
        *words: str,
        wire: Wire = "messages",
        environment: Mapping[str, str] | None = None,
        text: str | None = None,
        prepare: Callable[[], object] | None = None,
        within: float = 30.0,
    ) -> Ran:
        """Run to the end; TEXT is piped in."""
        stdin = subprocess.DEVNULL if text is None else subprocess.PIPE
        started = time.monotonic()
        with self.start(*words, wire=wire, environment=environment, stdin=stdin, prepare=prepare) as process:
            try:
                stdout, stderr = process.communicate(text, timeout=within)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        return Ran(process.returncode, stdout, stderr, time.monotonic() - started)

    def session(self) -> Path:
        """The one session that runs here have left."""
        (path,) = (self.home / ".beyond-ai" / "sessions").glob("*/*.jsonl")
        return path

    def write(self, files: Mapping[str, str | bytes]) -> None:
        """Put FILES into the working folder."""
        for name, content in files.items():
            path = self.cwd / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)

    def tree(self) -> dict[str, bytes]:
        """Every file of the working folder, but those of git."""
        found = (path for path in self.cwd.rglob("*") if path.is_file() and ".git" not in path.parts)
        return {path.relative_to(self.cwd).as_posix(): path.read_bytes() for path in found}


def played(*turns: Reply) -> Callable[[ModelCall], Turn]:
    """A reply that plays TURNS by how far the conversation is, so that several agents can play it at once."""

    def reply(call: ModelCall) -> Turn:
        step = sum(message.role == "assistant" for message in call.messages)
        turn = turns[step]
        return turn(call) if callable(turn) else turn

    return reply


def until(condition: Callable[[], bool], within: float = 15.0) -> None:
    """Return when CONDITION holds; AssertionError after WITHIN seconds."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.01)


def values(frames: Sequence[Frame], name: str) -> list[object]:
    """The member NAME of each of FRAMES."""
    return [frame.get(name) for frame in frames]
