"""Agent hooks: what third parties may do to a run.

A plugin yields components that make an `AgentHook`; it overrides what it needs. Hooks run in order of their names, and
what they rewrite is chained.

    from beyond_ai import AgentHook, Allow, Block, Component, hookimpl

    class NoForcePush(AgentHook):
        async def before_tool_call(self, call):
            if call.name == "bash" and "push --force" in str(call.input.get("command")):
                return Block("force pushes are not allowed here")
            return Allow()

    @hookimpl
    def beyond_agent_hooks():
        yield Component(name="no-force-push", summary="refuses git push --force", create=lambda context: NoForcePush())

`before_tool_call` fails closed: what it raises blocks the call. Everything else fails open: the error is a notice, and
the run goes on as if the hook were not there.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from beyond_ai.spec.component import Component
from beyond_ai.spec.markers import hookspec
from beyond_ai.spec.tool import ToolResult

if TYPE_CHECKING:  # commands that start no agent need none of it
    from beyond_ai.spec.agent_event import AgentEvent
    from beyond_ai.spec.conversation import JsonObject, Message, ToolUse


@dataclass(frozen=True, slots=True)
class Allow:
    """The call may run, as far as this hook is concerned."""


@dataclass(frozen=True, slots=True)
class Block:
    """The call must not run; the model is told `reason`."""

    reason: str


@dataclass(frozen=True, slots=True)
class Ask:
    """A person decides; `reason` says what about. Where nobody can be asked, the call does not run."""

    reason: str


Verdict = Allow | Block | Ask


class AgentHook:
    """Does nothing. Subclasses override what they need; all methods are called in the event loop's thread."""

    async def before_tool_call(self, call: "ToolUse") -> Verdict:  # noqa: ARG002
        """Whether CALL may run. Called in call order, one after the other, before any of the turn's calls runs."""
        return Allow()

    async def after_tool_call(self, call: "ToolUse", result: ToolResult) -> ToolResult:  # noqa: ARG002
        """The RESULT of CALL as the model is to see it."""
        return result

    async def on_assistant_message(self, message: "Message") -> "Message":
        """MESSAGE, a whole answer, as it is kept and goes on: its calls are those that are checked and run.

        Only `content` counts, and it may not become empty. What was streamed before has been seen already.
        """
        return message

    async def should_stop_after_turn(self, message: "Message") -> bool:  # noqa: ARG002
        """Whether the run is done with MESSAGE: asked when its calls have their results, or it has none.

        What waits for a later turn goes on waiting.
        """
        return False

    async def prompt_sections(self) -> Sequence[str]:
        """Sections to add to the system prompt. Asked once a run, so that the prompt cache holds."""
        return ()

    async def rewrite_context(self, messages: "Sequence[Message]") -> "Sequence[Message]":
        """MESSAGES as they go to the model, for this request only; what is kept stays as it is."""
        return messages

    async def rewrite_payload(self, payload: "JsonObject") -> "JsonObject":
        """The body of a request, in its provider's words."""
        return payload

    async def on_event(self, event: "AgentEvent") -> None:
        """See EVENT. Must be quick: the run waits."""


class AgentHookHooks:
    """The hook of the group `beyond_ai.agent_hooks`."""

    @hookspec
    def beyond_agent_hooks(self) -> Iterable[Component[AgentHook]]:  # type: ignore[empty-body]
        """Yield the hooks that this plugin adds. Called once, when the agent starts."""
