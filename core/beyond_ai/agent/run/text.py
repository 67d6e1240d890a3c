"""A run in plain text: the answer on stdout as it comes, and on stderr a line for each thing that happens."""

from collections.abc import Callable
from typing import Final

from beyond_ai.agent.run.output import Output
from beyond_ai.agent.run.printable import harmless, one_line
from beyond_ai.spec.agent_event import (
    AgentEvent,
    Compacted,
    CompactionFailed,
    CompactionStart,
    Delta,
    ModelSwitched,
    Notice,
    Retry,
    Steered,
    ToolEnd,
    ToolStart,
    TurnEnd,
)

DIFF_LINES: Final = 60
"""Lines of a diff that are shown."""


class TextView:
    """Shows events. `filtered` is set where stdout is a terminal; without `answers` it gets nothing of the answer."""

    def __init__(self, stdout: Output, stderr: Output, *, filtered: bool, answers: bool = True) -> None:
        self._stdout: Final = stdout
        self._stderr: Final = stderr
        self._clean: Callable[[str], str] = harmless if filtered else str
        self._answers: Final = answers
        self._open_line = False
        self._summaries: dict[str, str] = {}

    async def __call__(self, event: AgentEvent) -> None:
        """Show EVENT."""
        match event:
            case Delta(type="text"):
                await self._say(event.text)
            case TurnEnd():
                self.end_line()
            case ToolStart():
                self._summaries[event.id] = one_line(event.summary)
                self.line(f"> {event.name} {self._summaries[event.id]}".rstrip())
            case ToolEnd():
                self._tool_end(event)
            case _:
                text = told(event)
                if text:
                    self.line(text)

    async def _say(self, text: str) -> None:
        if self._answers and text:
            await self._stdout.write(self._clean(text).encode(errors="replace"))
            self._open_line = not text.endswith("\n")

    def _tool_end(self, event: ToolEnd) -> None:
        summary = self._summaries.pop(event.id, "")
        reason = f": {one_line(event.text, 300)}" if event.is_error else ""
        state = "failed" if event.is_error else "ok"
        self.line(f"< {event.name} {summary}".rstrip() + f": {state}, {event.seconds:.1f} s{reason}")
        for line in diff_lines(event):
            self.line(f"  {line}")

    def end_line(self) -> None:
        """Let what is written next begin a line."""
        if self._open_line:
            self._stdout.put(b"\n")
            self._open_line = False

    def line(self, text: str) -> None:
        """Write TEXT on stderr, in lines of its own."""
        self.end_line()
        self._stderr.put(harmless(text).encode(errors="replace") + b"\n")

    def close(self) -> None:
        """Leave the terminal as it was."""
        self.end_line()


def told(event: AgentEvent) -> str | None:
    """EVENT in a line for people; None for what is not told, or shown otherwise."""
    match event:
        case Retry():
            return f"{event.message}; attempt {event.attempt} of {event.attempts} follows in {event.delay:.1f} s"
        case CompactionStart():
            return f"the conversation is being summarised ({event.reason})"
        case Compacted():
            return f"summarised: about {event.tokens_before:,} tokens became {event.tokens_after:,}"
        case CompactionFailed():
            return f"could not be summarised: {event.message}"
        case ModelSwitched():
            return f"{event.model} answers from here on"
        case Steered():
            return f"told: {one_line(' / '.join(event.messages))}"
        case Notice():
            return f"note: {event.message}"
    return None  # so too for an error: it is the reason in the line that tells how the run ended


def diff_lines(event: ToolEnd) -> list[str]:
    """The diff that EVENT brings, cut to what fits on a screen."""
    lines = harmless(event.details.get("diff", "")).rstrip("\n").split("\n")
    if lines == [""]:
        return []
    left = len(lines) - DIFF_LINES
    return [*lines[:DIFF_LINES], f"... {left} more lines of diff"] if left > 0 else lines
