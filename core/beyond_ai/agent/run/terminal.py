"""A run on a terminal: as in plain text, with a spinner, elapsed time, and diffs in colour. rich draws it."""

import time
from collections.abc import Callable
from typing import Final

from rich.console import Console, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.style import Style
from rich.table import Table
from rich.text import Text

from beyond_ai.agent.run.output import Output
from beyond_ai.agent.run.printable import harmless, one_line
from beyond_ai.agent.run.text import diff_lines, told
from beyond_ai.spec.agent_event import (
    AgentEnd,
    AgentEvent,
    Delta,
    Retry,
    ToolEnd,
    ToolProgress,
    ToolStart,
    TurnEnd,
    TurnStart,
)

DIFF_STYLES: Final = (("+++", "bold"), ("---", "bold"), ("@@", "cyan"), ("+", "green"), ("-", "red"))


class _Working:
    """What is going on: a line for each, with a spinner and the seconds since it began."""

    def __init__(self) -> None:
        self.lines: dict[str, tuple[str, float, str]] = {}
        self._spinner = Spinner("dots")

    def __rich__(self) -> RenderableType:
        grid = Table.grid(padding=(0, 1))
        for what, since, more in list(self.lines.values()):
            seconds = Text(f"{time.monotonic() - since:.0f} s", style="dim")
            grid.add_row(self._spinner, Text(what, no_wrap=True), seconds, Text(more, style="dim", no_wrap=True))
        return grid


class TerminalView:
    """Shows events on the terminal at stderr; the answer goes to stdout, which may be another place."""

    def __init__(self, stdout: Output, *, same_terminal: bool, answers: bool = True) -> None:
        self._stdout: Final = stdout
        self._clean: Callable[[str], str] = harmless if same_terminal else str
        self._same: Final = same_terminal
        self._answers: Final = answers
        self._console: Final = Console(stderr=True, highlight=False, soft_wrap=True)
        self._working: Final = _Working()
        self._live: Live | None = None
        self._open_line = False
        self._summaries: dict[str, str] = {}

    async def __call__(self, event: AgentEvent) -> None:
        """Show EVENT."""
        match event:
            case TurnStart():
                self._begin("model", "thinking")
            case Delta(type="text"):
                await self._say(event.text)
            case TurnEnd():
                self._end("model")
                self.end_line()
            case ToolStart():
                self._summaries[event.id] = one_line(event.summary)
                self._begin(event.id, f"{event.name} {self._summaries[event.id]}")
            case ToolProgress():
                self._more(event)
            case ToolEnd():
                self._tool_end(event)
            case AgentEnd():
                self.close()
            case _:
                self._tell(event)

    async def _say(self, text: str) -> None:
        if not self._answers or not text:
            return
        if self._same:
            self._end("model")
        await self._stdout.write(self._clean(text).encode(errors="replace"))
        self._open_line = not text.endswith("\n")

    def _tell(self, event: AgentEvent) -> None:
        text = told(event)
        if text:
            style = "yellow" if isinstance(event, Retry) else "dim"
            self._print(Text(harmless(text), style=style))

    def _more(self, event: ToolProgress) -> None:
        if event.id in self._working.lines:
            what, since, _ = self._working.lines[event.id]
            last = event.text.rstrip().rpartition("\n")[2]
            self._working.lines[event.id] = (what, since, one_line(last, 60))

    def _tool_end(self, event: ToolEnd) -> None:
        self._end(event.id)
        line = Text()
        line.append("x " if event.is_error else "- ", style="red" if event.is_error else "green")
        line.append(event.name, style="bold").append(f" {self._summaries.pop(event.id, '')}")
        line.append(f" {event.seconds:.1f} s", style="dim")
        self._print(line)
        if event.is_error:
            self._print(Text(f"  {one_line(event.text, 300)}", style="red"))
        for text in diff_lines(event):
            style = next((style for start, style in DIFF_STYLES if text.startswith(start)), "")
            self._print(Text(f"  {text}", style=Style.parse(style)))

    def line(self, text: str) -> None:
        """Write TEXT in lines of its own."""
        self._print(Text(harmless(text), style="red" if text.startswith(("error: ", "failed: ")) else "dim"))

    def end_line(self) -> None:
        """Let what is written next begin a line."""
        if self._open_line:
            self._stdout.put(b"\n")
            self._open_line = False

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._working.lines.clear()
        self._stop()
        self.end_line()

    def pause(self) -> None:
        """Take the spinner away while a person is asked; what happens next brings it back."""
        self._stop()
        self.end_line()

    def resume(self) -> None:
        """Bring it back."""
        self._show()

    def _print(self, line: Text) -> None:
        if self._same:
            self.end_line()
        self._console.print(line)

    def _begin(self, key: str, what: str) -> None:
        self._working.lines[key] = (what, time.monotonic(), "")
        self._show()

    def _end(self, key: str) -> None:
        if self._working.lines.pop(key, None) is not None and not self._working.lines:
            self._stop()

    def _show(self) -> None:
        if self._live is None and self._working.lines and not (self._same and self._open_line):
            self._live = Live(self._working, console=self._console, refresh_per_second=8, transient=True)
            self._live.start()

    def _stop(self) -> None:
        live, self._live = self._live, None
        if live is not None:
            live.stop()
