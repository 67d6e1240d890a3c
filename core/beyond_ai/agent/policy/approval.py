"""Questions to a person before a call runs. Answers live in memory, as long as the session is open."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from beyond_ai.agent.policy.rules import Mode, Rules
from beyond_ai.spec.agent_hook import AgentHook, Allow, Block, Verdict
from beyond_ai.spec.conversation import ToolUse
from beyond_ai.spec.tool import Tool

Answer = Literal["once", "session", "no"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a person is asked: to let CALL run, once or each time that `scope` comes up again in this session."""

    call: ToolUse
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

    async def ask(self, call: ToolUse, reason: str) -> bool:
        """Whether CALL may run; REASON says why it is asked."""
        return await self.denial(call, reason) is None

    async def denial(self, call: ToolUse, reason: str) -> str | None:
        """Why CALL must not run, after a person was asked; None when it may. REASON says why one is asked."""
        scope = scope_of(call, self._tools.get(call.name))
        if scope in self._allowed:
            return None
        if self.person is None:
            self.unanswered += 1
            return f"{reason}, and nobody can be asked here: denied. Do not try another way; say what you could not do."
        try:
            answer = await self.person(Question(call=call, scope=scope, reason=reason))
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
    """The rules and the approval mode of a run, as its first hook."""

    def __init__(self, rules: Rules, approval: Approval) -> None:
        self._rules: Final = rules
        self._approval: Final = approval

    async def before_tool_call(self, call: ToolUse) -> Verdict:
        """Whether CALL is denied by a rule, or by a person whom the mode has asked."""
        denial = self._rules.denial(call.name, call.input)
        if denial is None and self._approval.must_ask(call.name):
            denial = await self._approval.denial(
                call, f"--approve {self._approval.mode} asks before `{call.name}` runs"
            )
        return Allow() if denial is None else Block(denial)


def scope_of(call: ToolUse, tool: Tool | None) -> str:
    """What a yes for the session covers: the command as it stands, the path that is written, else the tool."""
    command = call.input.get("command")
    if isinstance(command, str):
        return f"{call.name}: {command}"
    path = call.input.get("path")
    if tool is not None and tool.writes is not None and isinstance(path, str):
        return f"{call.name} {path}"
    return call.name
