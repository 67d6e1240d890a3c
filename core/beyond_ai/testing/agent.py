"""The real agent as a process, in a folder of its own, for tests that prove what it does with a plugin.

agent = AgentFolder(tmp_path / "work", tmp_path / "home", gateway.url, key)
ran = agent.run("Add 1 and 2", wire="chat")
assert ran.code == 0, ran
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from beyond_ai.testing.model_call import Wire

MODELS: Final[dict[Wire, str]] = {"chat": "gpt-oss-120b", "responses": "gpt-5.1", "messages": "claude-opus-4-8"}
"""A model that the agent asks on each wire."""
COMMAND: Final = Path(sys.executable).with_name("beyond-ai")
Frame: TypeAlias = dict[str, object]
"""One event of a run, as a line of its stdout under `--json`."""


@dataclass(frozen=True)
class AgentRun:
    """What a run of the agent left behind. `files` are those of its working folder, by their paths in it."""

    code: int
    stdout: str
    stderr: str
    seconds: float = 0.0
    files: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def events(self) -> list[Frame]:
        """Each line of stdout as JSON: the events of the run, and its result as the last."""
        return [json.loads(line) for line in self.stdout.splitlines()]

    def of(self, kind: str) -> list[Frame]:
        """The events of KIND."""
        return [frame for frame in self.events if frame["kind"] == kind]

    @property
    def result(self) -> Frame:
        """The last event."""
        return self.events[-1]

    def __str__(self) -> str:
        return f"exit {self.code}\n{self.stdout}\n{self.stderr}"


@dataclass
class AgentFolder:
    """A working folder, a home folder, and the gateway that agents started here ask, with KEY."""

    cwd: Path
    home: Path
    gateway_url: str
    key: str
    environment: dict[str, str] = field(default_factory=dict)
    via: tuple[str, ...] = ()
    """a program that starts the agent"""

    def arguments(self, *words: str, wire: Wire = "messages") -> list[str]:
        """The command line of a run on WIRE."""
        return [*self.via, str(COMMAND), *self.words(*words, wire=wire)]

    def words(self, *words: str, wire: Wire = "messages") -> list[str]:
        """What follows `beyond-ai` in it."""
        return ["agent", "run", "--model", MODELS[wire], "--dialect", wire, *words]

    def environ(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """The environment of a run: this process's without any `AI_` variable, and MORE."""
        left_out = ("AI_", "PYTHONDONTWRITEBYTECODE")  # a start without byte code takes half as long again
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
        own = {"HOME": str(self.home), "AI_GATEWAY_URL": self.gateway_url, "AI_AGENT_KEY": self.key}
        return {**inherited, **own, **self.environment, **(more or {})}

    def start(
        self,
        *words: str,
        wire: Wire = "messages",
        environment: Mapping[str, str] | None = None,
        stdin: int = subprocess.DEVNULL,
        prepare: Callable[[], object] | None = None,
    ) -> "subprocess.Popen[str]":
        """Start a run; PREPARE is called in the child."""
        environ = self.environ(environment)
        return subprocess.Popen(  # noqa: S603 - our own console script, with the test's own arguments
            self.program(words, wire, environ, in_full=prepare is not None),
            cwd=self.cwd,
            env=environ,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=prepare,  # noqa: PLW1509 - the test's own, in a process that it has to itself
        )

    def program(self, words: Sequence[str], wire: Wire, environ: Mapping[str, str], *, in_full: bool) -> list[str]:  # noqa: ARG002
        """What is started for a run in ENVIRON; IN_FULL rules out what is quicker than starting the command."""
        return self.arguments(*words, wire=wire)

    def run(
        self,
        *words: str,
        wire: Wire = "messages",
        environment: Mapping[str, str] | None = None,
        text: str | None = None,
        prepare: Callable[[], object] | None = None,
        within: float = 30.0,
    ) -> AgentRun:
        """Run to the end; TEXT is piped in. subprocess.TimeoutExpired after WITHIN seconds."""
        stdin = subprocess.DEVNULL if text is None else subprocess.PIPE
        started = time.monotonic()
        with self.start(*words, wire=wire, environment=environment, stdin=stdin, prepare=prepare) as process:
            try:
                stdout, stderr = process.communicate(text, timeout=within)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        return AgentRun(process.returncode, stdout, stderr, time.monotonic() - started, self.tree())

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
