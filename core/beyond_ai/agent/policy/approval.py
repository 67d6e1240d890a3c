"""Questions to a person before a call runs. Answers live in memory, as long as the session is open."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from beyond_ai.agent.loop.arguments import summary_of
from beyond_ai.agent.policy.rules import Mode, Rules
from beyond_ai.spec.agent_hook import AgentHook, Allow, Block, Verdict
from beyond_ai.spec.conversation import ToolUse
from beyond_ai.spec.tool import Tool, ToolResult

if TYPE_CHECKING:  # paid for when the first command comes
    from pathlib import Path

    from beyond_ai.agent.policy.guard import Guard

Answer = Literal["once", "session", "no"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a person is asked: to let CALL run, once or each time that `scope` comes up again in this session.

    Attributes:
        summary: what the call does, in a few words.
        reason: why a person is asked.
    """

    call: ToolUse
    summary: str
    scope: str
    reason: str


Person = Callable[[Question], Awaitable[Answer]]
"""Asks a person. What it raises is a no."""


class Approval:
    """Decides for each call whether a person must be asked, asks, and remembers. The loop's `Approver`."""

    def __init__(self, mode: Mode, tools: Mapping[str, Tool], person: Person | None) -> None:
        self.mode: Final = mode
        self.person = person
        self.unanswered = 0
        """calls that were denied because there was nobody to ask"""
        self._tools: Final = tools
        self._allowed: set[str] = set()

    def must_ask(self, name: str) -> bool:
        """Whether calls of the tool NAME need a person's word."""
        tool = self._tools.get(name)
        return self.mode == "all" or (self.mode == "writes" and tool is not None and not tool.read_only)

    def writes(self, name: str) -> bool:
        """Whether the tool NAME writes the file at its path."""
        tool = self._tools.get(name)
        return tool is not None and tool.writes is not None

    async def ask(self, call: ToolUse, reason: str) -> bool:
        """Whether CALL may run; REASON says why it is asked."""
        return await self.denial(call, reason) is None

    async def denial(self, call: ToolUse, reason: str) -> str | None:
        """Why CALL must not run, after a person was asked; None when it may. REASON says why one is asked."""
        tool = self._tools.get(call.name)
        scope = scope_of(call, tool)
        if scope in self._allowed:
            return None
        if self.person is None:
            self.unanswered += 1
            return f"{reason}, and nobody can be asked here: denied. Do not try another way; say what you could not do."
        try:
            answer = await self.person(Question(call=call, summary=summary_of(call, tool), scope=scope, reason=reason))
        except Exception as error:  # noqa: BLE001 - whatever went wrong, nobody said yes
            return f"{reason}, and asking failed ({error}): denied"
        if answer == "session":
            self._allowed.add(scope)
        if answer == "no":
            return "the user said no to this call. Do not try it in another way; ask what to do instead."
        return None

    def forget(self) -> None:
        """Take back what was allowed: another session begins."""
        self._allowed.clear()


class Gate(AgentHook):
    """The rules, the approval mode and the guard of a run, as its first hook."""

    def __init__(self, rules: Rules, approval: Approval, guard: "Callable[[], Guard] | None" = None) -> None:
        """Make one. GUARD makes what judges commands; None lets them destroy what they like."""
        self._rules: Final = rules
        self._approval: Final = approval
        self._make_guard: Final = guard
        self._guard: Guard | None = None
        self._touched: dict[str, Mapping[Path, str | None]] = {}

    async def before_tool_call(self, call: ToolUse) -> Verdict:
        """Whether CALL is denied by a rule, or by a person whom the mode or the guard has asked."""
        denial = self._rules.denial(call.name, call.input)
        if denial is None:
            reasons = await self._reasons(call)
            if reasons and self._rules.root is not None and "command" in call.input:
                reasons[-1] += " (a command is not bound by --root)"
            denial = await self._approval.denial(call, "; ".join(reasons)) if reasons else None
        return Allow() if denial is None else Block(denial)

    async def after_tool_call(self, call: ToolUse, result: ToolResult) -> ToolResult:
        """RESULT as it is; what CALL has made is known from now on."""
        touched = self._touched.pop(call.id, None)
        if touched and self._guard is not None:
            self._guard.remember(touched)
        return result

    async def _reasons(self, call: ToolUse) -> list[str]:
        """Why a person is asked about CALL."""
        reasons = []
        if self._approval.must_ask(call.name):
            reasons.append(f"--approve {self._approval.mode} asks before `{call.name}` runs")
        if self._make_guard is None:
            return reasons
        command, folder, path = (call.input.get(name) for name in ("command", "cwd", "path"))
        if isinstance(command, str):
            self._guard = self._guard or self._make_guard()
            reading = self._guard.read(command, folder if isinstance(folder, str) else "")
            hazard = await self._guard.hazard(reading)
            if hazard is not None:
                reasons.append(f"{hazard} (asked without --allow-destructive)")
            self._touched[call.id] = self._guard.made(reading)
        elif isinstance(path, str) and self._approval.writes(call.name):
            self._guard = self._guard or self._make_guard()
            self._touched[call.id] = self._guard.written(path)
        return reasons


def scope_of(call: ToolUse, tool: Tool | None) -> str:
    """What a yes for the session covers: the command as it stands, the path that is written, else the tool."""
    command = call.input.get("command")
    if isinstance(command, str):
        return f"{call.name}: {command}"
    path = call.input.get("path")
    if tool is not None and tool.writes is not None and isinstance(path, str):
        return f"{call.name} {path}"
    return call.name
