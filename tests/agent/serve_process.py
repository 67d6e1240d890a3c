"""`agent serve` as a process, and the far end of its pipes."""

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from pydantic import TypeAdapter
from tests.agent.agent_process import COMMAND, CRADLE, MODELS, Frame, Place

from beyond_ai.agent.serve import frames
from beyond_ai.agent.serve.answers import ANSWERS
from beyond_ai.agent.serve.frames import Response

FRAMES: Final = TypeAdapter[frames.Frame](frames.AnyFrame)


class Served:
    """The far end of the pipes."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self.process = process
        self.seen: list[Frame] = []
        self._held = b""

    def send(self, *commands: Frame | bytes) -> None:
        assert self.process.stdin is not None
        for command in commands:
            self.process.stdin.write(command if isinstance(command, bytes) else json.dumps(command).encode() + b"\n")
        self.process.stdin.flush()

    def next(self) -> Frame:
        assert self.process.stdout is not None
        while b"\n" not in self._held:
            assert select.select([self.process.stdout], [], [], 20)[0], f"it stands still after {self.seen[-3:]}"
            piece = os.read(self.process.stdout.fileno(), 65_536)
            if not piece:
                raise EOFError(f"it has ended after {self.seen[-3:]}")
            self._held += piece
        line, _, self._held = self._held.partition(b"\n")
        assert len(line) < 1024 * 1024
        self.seen.append(json.loads(line))
        check(self.seen[-1])
        return self.seen[-1]

    def drain(self) -> None:
        """Take what is left in the pipe of a process that has ended."""
        with suppress(EOFError):
            while True:
                self.next()

    def until(self, found: Callable[[Frame], object]) -> Frame:
        while not found(frame := self.next()):
            pass
        return frame

    def answer(self, ident: str) -> Frame:
        return self.until(lambda frame: frame["type"] == "response" and frame.get("id") == ident)

    def event(self, kind: str) -> Frame:
        event = self.until(lambda frame: frame["type"] == "event" and frame["event"]["kind"] == kind)["event"]  # type: ignore[index]
        assert isinstance(event, dict)
        return event

    def ask(self, command: str, ident: str = "q", **members: object) -> Frame:
        self.send({"id": ident, "type": command, **members})
        return self.answer(ident)

    def kill(self) -> None:
        """Let it end at once, if it has not; a process that it was forked for ends with it."""
        if self.process.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(int(str(self.seen[0]["pid"])) if self.seen else self.process.pid, signal.SIGKILL)

    def end(self) -> int:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.until(lambda frame: frame["type"] == "exit")
        return self.process.wait(10)


def check(frame: Frame) -> None:
    """That FRAME is what its model says, and its `data` what the model of that answer says, with no member more."""
    members = FRAMES.validate_python(frame)
    assert set(frame) <= {*type(members).model_fields, "cut", "whole"}, frame
    if isinstance(members, Response) and "cut" not in frame:
        if members.data is None:
            known = ANSWERS.keys() - {"prompt", "abort"}  # one that waits, and one that found no words
            assert not members.success or members.command not in known, frame
            return
        held = ANSWERS[members.command].model_validate(members.data).members()
        assert json.loads(json.dumps(held)) == members.data, frame


@contextmanager
def served(place: Place, *words: str, environment: dict[str, str] | None = None) -> Iterator[Served]:
    """An agent that is ready; forked by the nursery of PLACE, where its environment allows it."""
    environ = place.environ(environment)
    arguments = [str(COMMAND)]
    if place.nursery is not None and "PYTHONPATH" not in environ:
        arguments = [sys.executable, "-I", "-S", str(CRADLE), str(place.nursery)]
    arguments += ["agent", "serve", "--model", MODELS["messages"], *words]
    with subprocess.Popen(
        arguments, cwd=place.cwd, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        far = Served(process)
        try:
            assert far.next()["type"] == "ready"
            yield far
        finally:
            far.kill()
