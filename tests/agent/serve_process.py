"""`agent serve` as a process, and the far end of its pipes."""

import json
import os
import select
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.agent.agent_process import COMMAND, MODELS, Frame, Place


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
            assert piece, f"it has ended after {self.seen[-3:]}"
            self._held += piece
        line, _, self._held = self._held.partition(b"\n")
        assert len(line) < 1024 * 1024
        self.seen.append(json.loads(line))
        return self.seen[-1]

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

    def end(self) -> int:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.until(lambda frame: frame["type"] == "exit")
        return self.process.wait(10)


@contextmanager
def served(place: Place, *words: str, environment: dict[str, str] | None = None) -> Iterator[Served]:
    arguments = [str(COMMAND), "agent", "serve", "--model", MODELS["messages"], *words]
    with subprocess.Popen(
        arguments, cwd=place.cwd, env=place.environ(environment), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            far = Served(process)
            assert far.next()["type"] == "ready"
            yield far
        finally:
            process.kill()
