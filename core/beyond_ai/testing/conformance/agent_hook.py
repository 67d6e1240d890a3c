"""What every agent hook keeps to: a gate decides about every call, and what is rewritten is still what it was."""

import asyncio
import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from beyond_ai.spec.agent_event import AgentEvent, AgentStart, Delta, ToolEnd, ToolStart, TurnEnd, TurnStart
from beyond_ai.spec.agent_hook import AgentHook, Allow, Ask, Block
from beyond_ai.spec.conversation import JsonObject, Message, Text, TokenUsage, ToolOutput, ToolUse
from beyond_ai.spec.tool import ToolImage, ToolResult
from beyond_ai.testing.conformance.rule import ComponentConformance

TOOLS: Final = ("bash", "read", "write", "edit", "ls", "grep", "find", "unknown_tool")
INPUTS: Final = ("command", "path", "content", "edits", "pattern")
RESULTS: Final = (
    ToolResult("fine"),
    ToolResult("", is_error=True),
    ToolResult("long\n" * 1_000, images=(ToolImage("image/png", b"\x89PNG"),), details={"diff": "--- a"}),
)
EVENTS: Final[tuple[AgentEvent, ...]] = (
    AgentStart(model="scripted-model"),
    TurnStart(step=1),
    Delta(type="text", index=0, text="One"),
    TurnEnd(step=1, stop_reason="tool_use", text="One", turn_usage=TokenUsage(), total_usage=TokenUsage()),
    ToolStart(id="call_1", name="bash", input={"command": "ls"}, summary="ls"),
    ToolEnd(id="call_1", name="bash", text="a.txt", is_error=False, seconds=0.1),
)


def tool_use(name: str, /, **arguments: object) -> ToolUse:
    """A call of the tool NAME with ARGUMENTS, as a model asks for it."""
    return ToolUse(id="call_1", name=name, input=arguments)


class AgentHookConformance(ComponentConformance[AgentHook]):
    """The rules of agent hooks.

        class TestGentle(AgentHookConformance):
            plugin = "gentle"
            blocked = (tool_use("bash", command="git push --force"),)
            allowed = (tool_use("bash", command="git push"),)

    Attributes:
        blocked: calls that the hook holds back, for good or until a person says yes.
        allowed: calls that it does not.
    """

    kind = "agent_hook"
    blocked: ClassVar[Sequence[ToolUse]] = ()
    allowed: ClassVar[Sequence[ToolUse]] = ()

    def test_it_holds_back_what_it_should(self, tmp_path: Path) -> None:
        """The `blocked` and `allowed` of this suite."""
        hook = self.make(tmp_path)
        for calls, expected in ((self.blocked, (Block, Ask)), (self.allowed, (Allow,))):
            for call in calls:
                verdict = asyncio.run(hook.before_tool_call(call))
                self.require(
                    isinstance(verdict, expected),
                    f"the verdict is {' or '.join(kind.__name__ for kind in expected)}",
                    "AgentHook.before_tool_call",
                    f"{verdict} about {call.name} {call.input}",
                )

    def test_it_has_a_verdict_on_every_call(self, tmp_path: Path) -> None:
        """A model may call anything with anything; a gate that raises, or says nothing, blocks the call."""
        hook = self.make(tmp_path)
        values = st.none() | st.booleans() | st.integers() | st.text(max_size=10) | st.lists(st.text(max_size=3))
        inputs = st.dictionaries(st.sampled_from(INPUTS) | st.text(max_size=4), values, max_size=4)

        @settings(max_examples=100, deadline=None, report_multiple_bugs=False)
        @given(name=st.sampled_from(TOOLS), arguments=inputs)
        def check(name: str, arguments: JsonObject) -> None:
            with self.requiring("a gate raises on no call", "AgentHook.before_tool_call"):
                verdict: object = asyncio.run(
                    hook.before_tool_call(ToolUse(id="call_1", name=name, input=copy.deepcopy(arguments)))
                )
            self.require(
                isinstance(verdict, Allow | Block | Ask),
                "a gate answers Allow(), Block(reason) or Ask(reason)",
                "AgentHook.before_tool_call",
                repr(verdict),
            )
            reason = verdict.reason if isinstance(verdict, Block | Ask) else "none is needed"
            self.require(str(reason).strip(), "a reason says why", "Block.reason", repr(reason))

        check()

    def test_a_result_stays_a_result(self, tmp_path: Path) -> None:
        """The model must get one for every call."""
        hook = self.make(tmp_path)
        for result in RESULTS:
            with self.requiring("it takes every result", "AgentHook.after_tool_call"):
                changed: object = asyncio.run(hook.after_tool_call(tool_use("bash", command="ls"), result))
            self.require(
                isinstance(changed, ToolResult), "it returns a ToolResult", "AgentHook.after_tool_call", repr(changed)
            )

    def test_its_sections_are_text_and_stay(self, tmp_path: Path) -> None:
        """A prompt that changes from run to run costs the provider's cache."""
        hook = self.make(tmp_path)
        with self.requiring("it gives sections, or none", "AgentHook.prompt_sections"):
            first, second = (list(asyncio.run(hook.prompt_sections())) for _ in range(2))
        self.require(
            all(isinstance(section, str) for section in first), "a section is text", "AgentHook.prompt_sections", first
        )
        self.require(first == second, "sections stay the same", "AgentHook.prompt_sections", (first, second))

    def test_a_conversation_stays_one(self, tmp_path: Path) -> None:
        """What is rewritten goes to the model; it must still be one that providers take, and what is kept stays."""
        from beyond_ai.agent.loop.history import flaw

        hook, messages = self.make(tmp_path), _conversation()
        with self.requiring("it takes every conversation", "AgentHook.rewrite_context"):
            changed = tuple(asyncio.run(hook.rewrite_context(messages)))
        problem = flaw(changed)
        self.require(
            problem is None, "a call keeps its result, and roles alternate", "AgentHook.rewrite_context", problem
        )
        self.require(messages == _conversation(), "what is kept stays as it is", "AgentHook.rewrite_context", messages)

    def test_a_payload_stays_json(self, tmp_path: Path) -> None:
        """It is the body of a request."""
        hook = self.make(tmp_path)
        payload: JsonObject = {
            "model": "m",
            "stream": True,
            "messages": [{"role": "user", "content": "hi"}],
            "odd": None,
        }
        with self.requiring("it takes a payload of any provider", "AgentHook.rewrite_payload"):
            changed: object = asyncio.run(hook.rewrite_payload(copy.deepcopy(payload)))
        self.require(isinstance(changed, dict), "it returns a JSON object", "AgentHook.rewrite_payload", repr(changed))
        with self.requiring("what it returns can be written as JSON", "AgentHook.rewrite_payload"):
            json.dumps(changed, allow_nan=False)

    def test_it_sees_every_event(self, tmp_path: Path) -> None:
        """Also those that it is not about."""
        hook = self.make(tmp_path)
        for event in EVENTS:
            with self.requiring("it raises on no event", "AgentHook.on_event"):
                asyncio.run(hook.on_event(event))


def _conversation() -> tuple[Message, ...]:
    call = tool_use("bash", command="ls")
    return (
        Message(role="user", content=(Text(text="What is here?"),)),
        Message(role="assistant", content=(Text(text="Let me see."), call), stop_reason="tool_use", model_id="m"),
        Message(role="user", content=(ToolOutput(tool_use_id=call.id, content="a.txt"),)),
    )
