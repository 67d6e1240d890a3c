"""What hooks say, folded into one answer. The gate fails closed, all else fails open."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from beyond_ai.agent.loop.emitter import Emitter, NamedHook, overrides
from beyond_ai.agent.loop.history import flaw
from beyond_ai.agent.loop.results import checked
from beyond_ai.agent.loop.stop import Stop, Stopped
from beyond_ai.spec.agent_hook import Allow, Ask, Block
from beyond_ai.spec.conversation import Image, JsonObject, Message, ToolOutput, ToolUse
from beyond_ai.spec.tool import ToolResult


class Approver(Protocol):
    """Asks a person, or answers from what a person has said."""

    async def ask(self, call: ToolUse, reason: str) -> bool:
        """Whether CALL may run; REASON says why it is asked. What it raises is a no."""
        ...


class HookChain:
    """All hooks, in order of their names."""

    def __init__(self, hooks: Sequence[NamedHook], emitter: Emitter, approver: Approver | None) -> None:
        self._emitter = emitter
        self._approver = approver
        self._gates = _with(hooks, "before_tool_call")
        self._after = _with(hooks, "after_tool_call")
        self._messages = _with(hooks, "on_assistant_message")
        self._stops = _with(hooks, "should_stop_after_turn")
        self._sections = _with(hooks, "prompt_sections")
        self._contexts = _with(hooks, "rewrite_context")
        self._payloads = _with(hooks, "rewrite_payload")

    async def gate(self, call: ToolUse, stop: Stop) -> str | None:
        """Why CALL must not run; None when it may. Raises Stopped when the run is stopped meanwhile."""
        for name, hook in self._gates:
            try:
                with stop.interrupting():
                    verdict: object = await hook.before_tool_call(call)
            except Stopped:
                raise
            except Exception as error:  # noqa: BLE001 - a gate that breaks stays shut
                return f"the hook {name} that decides about calls failed ({type(error).__name__}: {error})"
            if isinstance(verdict, Ask):
                if not await self._ask(call, verdict.reason, stop):
                    return f"it was not approved ({verdict.reason})"
            elif isinstance(verdict, Block):
                return verdict.reason
            elif not isinstance(verdict, Allow):
                return f"the hook {name} that decides about calls gave no verdict"
        return None

    async def after(self, call: ToolUse, result: ToolResult) -> ToolResult:
        """RESULT as the model is to see it."""
        for name, hook in self._after:
            try:
                changed: object = await hook.after_tool_call(call, result)
            except Exception as error:  # noqa: BLE001 - a rewrite that breaks leaves what it got
                await self._emitter.hook_failed(name, "after_tool_call", error)
                continue
            if isinstance(changed, ToolResult) and checked(name, changed) is changed:
                result = changed
            else:
                await self._emitter.hook_failed(name, "after_tool_call", "it returned no ToolResult")
        return result

    async def message(self, message: Message) -> Message:
        """MESSAGE, an answer, as it is kept. A rewrite that is none, or leaves nothing, is passed over."""
        for name, hook in self._messages:
            try:
                changed: object = await hook.on_assistant_message(message)
            except Exception as error:  # noqa: BLE001 - the answer stays as it was
                await self._emitter.hook_failed(name, "on_assistant_message", error)
                continue
            problem = _no_answer(changed)
            if problem is None:
                assert isinstance(changed, Message)
                message = replace(message, content=tuple(changed.content))
            else:
                await self._emitter.hook_failed(name, "on_assistant_message", problem)
        return message

    async def stop_after(self, message: Message) -> bool:
        """Whether a hook says that the run is done with MESSAGE."""
        for name, hook in self._stops:
            try:
                if await hook.should_stop_after_turn(message) is True:
                    return True
            except Exception as error:  # noqa: BLE001 - the run goes on
                await self._emitter.hook_failed(name, "should_stop_after_turn", error)
        return False

    async def sections(self) -> list[str]:
        """What hooks add to the system prompt."""
        found: list[str] = []
        for name, hook in self._sections:
            try:
                found += [str(section) for section in await hook.prompt_sections()]
            except Exception as error:  # noqa: BLE001 - the prompt goes without it
                await self._emitter.hook_failed(name, "prompt_sections", error)
        return found

    async def context(self, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        """MESSAGES for one request. A rewrite that no provider would take is passed over."""
        for name, hook in self._contexts:
            try:
                changed = tuple(await hook.rewrite_context(messages))
            except Exception as error:  # noqa: BLE001 - the request goes as it was
                await self._emitter.hook_failed(name, "rewrite_context", error)
                continue
            problem = flaw(changed)
            if problem is None:
                messages = changed
            else:
                await self._emitter.hook_failed(name, "rewrite_context", problem)
        return messages

    async def payload(self, payload: JsonObject) -> JsonObject:
        """The body of a request as it is to be sent."""
        for name, hook in self._payloads:
            try:
                changed: object = await hook.rewrite_payload(payload)
            except Exception as error:  # noqa: BLE001 - the request goes as it was
                await self._emitter.hook_failed(name, "rewrite_payload", error)
                continue
            if isinstance(changed, dict):
                payload = changed
            else:
                await self._emitter.hook_failed(name, "rewrite_payload", "it returned no dict")
        return payload

    async def _ask(self, call: ToolUse, reason: str, stop: Stop) -> bool:
        if self._approver is None:
            return False
        try:
            with stop.interrupting():
                return await self._approver.ask(call, reason) is True
        except Stopped:
            raise
        except Exception:  # noqa: BLE001 - no answer is a no
            return False


def _no_answer(changed: object) -> str | None:
    """Why CHANGED cannot stand for an answer."""
    if not isinstance(changed, Message):
        return "it returned no Message"
    if changed.role != "assistant":
        return f"it made the answer the {changed.role}'s"
    if not changed.content or any(isinstance(block, ToolOutput | Image) for block in changed.content):
        return "it left no answer, or put into it what is no model's"
    names = [call.id for call in changed.tool_uses]
    return "it left two calls with one id" if len(set(names)) < len(names) else None


def _with(hooks: Sequence[NamedHook], method: str) -> list[NamedHook]:
    return [(name, hook) for name, hook in hooks if overrides(hook, method)]
