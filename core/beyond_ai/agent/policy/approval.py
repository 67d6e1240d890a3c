"""Questions to a person before a call runs. Answers live in memory, as long as the session is open."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Literal

from beyond_ai.agent.policy.rules import Mode
from beyond_ai.spec.conversation import ToolUse
from beyond_ai.spec.tool import Tool

Answer = Literal["once", "session", "no"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a person is asked: to let CALL run, once or each time that `scope` comes up again in this session."""

    call: ToolUse
    scope: str
    reason: str


Approver = Callable[[Question], Awaitable[Answer]]
"""Asks a person. What it raises is a no."""


class Approval:
    """Decides for each call whether a person must be asked, asks, and remembers."""

    def __init__(self, mode: Mode, approver: Approver | None) -> None:
        self.mode: Final = mode
        self._approver: Final = approver
        self._allowed: set[str] = set()
        self.unanswered = 0
        """calls that were denied because there was nobody to ask"""

    def must_ask(self, tool: Tool) -> bool:
        """Whether calls of TOOL need a person's word."""
        return self.mode == "all" or (self.mode == "writes" and not tool.read_only)

    async def denial(self, call: ToolUse, tool: Tool | None, reason: str) -> str | None:
        """Why CALL must not run, after a person was asked; None when it may. REASON says why one is asked."""
        scope = scope_of(call, tool)
        if scope in self._allowed:
            return None
        if self._approver is None:
            self.unanswered += 1
            return f"{reason}, and nobody can be asked here, so it was denied. Do not try it again in another way."
        try:
            answer = await self._approver(Question(call=call, scope=scope, reason=reason))
        except Exception as error:  # noqa: BLE001 - whatever went wrong, nobody said yes
            return f"{reason}, and asking failed ({error}), so it was denied."
        if answer == "session":
            self._allowed.add(scope)
        if answer == "no":
            return "The user said no to this call. Do not try it again in another way; ask what to do instead."
        return None

    def forget(self) -> None:
        """Take back what was allowed: another session begins."""
        self._allowed.clear()


def scope_of(call: ToolUse, tool: Tool | None) -> str:
    """What a yes for the session covers: the command as it stands, the path that is written, else the tool."""
    command = call.input.get("command")
    if isinstance(command, str):
        return f"{call.name}: {command}"
    path = call.input.get("path")
    if tool is not None and tool.writes is not None and isinstance(path, str):
        return f"{call.name} {path}"
    return call.name
