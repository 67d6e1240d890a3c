"""What a run is shown by, and the descriptors under it."""

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final, Protocol

from beyond_ai.agent.run.frames import Frames, members_of
from beyond_ai.agent.run.output import Output
from beyond_ai.agent.run.text import TextView
from beyond_ai.spec.agent_event import AgentEvent, Delta

STDOUT: Final = 1
STDERR: Final = 2


class View(Protocol):
    """Shows events, and lines of the shell's own."""

    async def __call__(self, event: AgentEvent) -> None:
        """Show EVENT."""
        ...

    def line(self, text: str) -> None:
        """Tell people TEXT."""
        ...

    def close(self) -> None:
        """Leave the terminal as it was."""
        ...


class JsonView:
    """Frames on stdout; what is for people alone goes to stderr.

    Deltas that came in one piece are one frame: nothing waits for that, and a reader has a tenth of the lines.
    """

    def __init__(self, frames: Frames, stderr: Output) -> None:
        self.frames: Final = frames
        self._stderr: Final = stderr
        self._delta: Delta | None = None

    async def __call__(self, event: AgentEvent) -> None:
        """Write EVENT."""
        if isinstance(event, Delta):
            self._add(event)
            await self.frames.room()
        else:
            self._flush()
            await self.frames(event)

    def line(self, text: str) -> None:
        """Tell people TEXT."""
        self._stderr.put(text.encode(errors="replace") + b"\n")

    def close(self) -> None:
        """Write what is held back."""
        self._flush()

    def _add(self, delta: Delta) -> None:
        held = self._delta
        if held is not None and (held.type, held.index) == (delta.type, delta.index):
            self._delta = replace(held, text=held.text + delta.text)
            return
        self._flush()
        self._delta = delta
        asyncio.get_running_loop().call_soon(self._flush)  # once all that has been read is handled

    def _flush(self) -> None:
        held, self._delta = self._delta, None
        if held is not None:
            self.frames.put(**members_of(held))


def claim_stdout() -> int:
    """A descriptor for what this program itself writes to stdout; whatever else prints is on stderr from now on."""
    sys.stdout.flush()
    try:
        descriptor = os.dup(STDOUT)
    except OSError:  # it was closed before the start
        descriptor = os.open(os.devnull, os.O_WRONLY)
    os.dup2(STDERR, STDOUT)
    return descriptor


def make_view(stdout: Output, stderr: Output, descriptor: int, *, answers: bool) -> View:
    """The view for people: live where stderr is a terminal. Without ANSWERS stdout gets nothing of the answer."""
    stdout_shown, stderr_shown = os.isatty(descriptor), os.isatty(STDERR)
    if not stderr_shown or os.environ.get("TERM") == "dumb":
        return TextView(stdout, stderr, filtered=stdout_shown, answers=answers)
    from beyond_ai.agent.run.terminal import TerminalView

    same = stdout_shown and os.fstat(descriptor).st_rdev == os.fstat(STDERR).st_rdev
    return TerminalView(stdout, same_terminal=same, answers=answers)


@contextmanager
def paused(view: View) -> Iterator[None]:
    """VIEW out of the way of a question."""
    from beyond_ai.agent.run.terminal import TerminalView

    if not isinstance(view, TerminalView):
        yield
        return
    view.pause()
    try:
        yield
    finally:
        view.resume()
