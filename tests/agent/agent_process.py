"""The real agent as a process, in a folder of its own, asked through the real gateway."""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from beyond_ai.testing.agent import COMMAND, MODELS, AgentFolder, AgentRun, Frame
from beyond_ai.testing.model import Reply, Turn
from beyond_ai.testing.model_call import ModelCall, Wire

WIRES: Final[tuple[Wire, ...]] = ("chat", "responses", "messages")
CRADLE: Final = Path(__file__).with_name("cradle.py")


@dataclass
class Place(AgentFolder):
    """A folder in which agents are forked out of one process: a start in full takes ten times as long."""

    nursery: Path | None = None
    """where agents are forked; None starts them in full"""

    def program(self, words: Sequence[str], wire: Wire, environ: Mapping[str, str], *, in_full: bool) -> list[str]:
        if self.nursery is None or self.via or in_full or "PYTHONPATH" in environ:
            return super().program(words, wire, environ, in_full=in_full)
        return [sys.executable, "-I", "-S", str(CRADLE), str(self.nursery), *self.words(*words, wire=wire)]


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


__all__ = ["COMMAND", "MODELS", "WIRES", "AgentRun", "Frame", "Place", "played", "until", "values"]
