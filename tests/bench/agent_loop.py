"""What a turn of the agent costs in the loop itself: `python tests/bench/agent_loop.py`. Exits 1 above the budget.

A conversation of 200 messages; an answer of 400 deltas that ends in a call, the call, and its result: one turn. The
model, the tool, the sink and the checkpoint do nothing. Prints milliseconds of CPU a turn, the median of rounds; with
`--profile` also where they go.
"""

import asyncio
import cProfile
import pstats
import statistics
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from beyond_ai import Tool, ToolContext, ToolLimits, ToolResult
from beyond_ai.agent.loop import AgentLoop, Conversation
from beyond_ai.agent.model import (
    BlockStop,
    MessageStart,
    MessageStop,
    ModelFacts,
    ModelRequest,
    StreamEvent,
    TextDelta,
    UsageReport,
)
from beyond_ai.spec.agent_event import AgentEvent
from beyond_ai.spec.conversation import Message, Text, TokenUsage, ToolOutput, ToolUse

HISTORY: Final = 200
DELTAS: Final = 400
TURNS: Final = 10
ROUNDS: Final = 15
BUDGET: Final = 5.0
"""Milliseconds of CPU a turn."""
USAGE: Final = TokenUsage(input_tokens=50_000, output_tokens=500)


class Lookup(BaseModel):
    path: str
    limit: int = 10


async def lookup(arguments: Lookup, context: ToolContext) -> ToolResult:
    context.progress("looking")
    return ToolResult("x" * 2_000)


class Model:
    """Answers with a call, TURNS times, and then without."""

    def __init__(self) -> None:
        self.asked = 0

    def facts(self, model: str) -> ModelFacts:
        return ModelFacts(window=200_000, max_output=32_000, thinking="none", images=True)

    async def stream(self, request: ModelRequest) -> AsyncIterator[StreamEvent]:
        self.asked += 1
        yield MessageStart()
        for _ in range(DELTAS):
            yield TextDelta(index=0, text="lorem ipsum ")
        yield BlockStop(index=0, block=Text(text="lorem ipsum " * DELTAS))
        if self.asked <= TURNS:
            call = ToolUse(id=f"c{self.asked}", name="lookup", input={"path": "a/file.py", "limit": 5})
            yield BlockStop(index=1, block=call)
        yield UsageReport(usage=USAGE)
        yield MessageStop(stop_reason="end_turn")


class Nothing:
    """Where the tool runs: it looks at none of it."""

    requested = False

    async def wait(self) -> None:
        return None

    def check(self, path: Path, *, write: bool) -> None:
        return None


NOWHERE: Final = ToolContext(
    cwd=Path("/"),
    cancellation=Nothing(),
    progress=lambda text: None,
    limits=ToolLimits(),
    environment={},
    paths=Nothing(),
    sees_images=True,
    scratch=Path("/"),
)


def long_conversation() -> Conversation:
    conversation = Conversation(model="m")
    conversation.append(Message(role="user", content=(Text(text="Do it."),)))
    for number in range((HISTORY - 2) // 2):
        call = ToolUse(id=f"h{number}", name="lookup", input={"path": f"file{number}.py"})
        conversation.append(Message(role="assistant", content=(Text(text="So."), call), usage=USAGE))
        conversation.append(Message(role="user", content=(ToolOutput(tool_use_id=call.id, content="x" * 1_000),)))
    conversation.append(Message(role="assistant", content=(Text(text="Done."),), usage=USAGE, stop_reason="end_turn"))
    return conversation


async def ignore(_: AgentEvent | Conversation) -> None:
    return None


async def one_round() -> float:
    """Milliseconds of CPU a turn."""
    loop = AgentLoop(
        transport=Model(),
        tools=[Tool(name="lookup", description="Looks.", arguments=Lookup, run=lookup)],
        system_prompt=lambda: "You are a benchmark.",
        tool_context=lambda call_id: NOWHERE,
        checkpoint=ignore,
        emit=ignore,
    )
    conversation = long_conversation()
    assert len(conversation.messages) == HISTORY
    start = time.process_time()
    outcome = await loop.run(conversation, Message(role="user", content=(Text(text="And that."),)))
    spent = time.process_time() - start
    assert (outcome.status, outcome.steps) == ("done", TURNS + 1)
    return spent / outcome.steps * 1_000


async def main() -> float:
    await one_round()
    return statistics.median([await one_round() for _ in range(ROUNDS)])


if __name__ == "__main__":
    profile = cProfile.Profile()
    if "--profile" in sys.argv:
        profile.enable()
    milliseconds = asyncio.run(main())
    if "--profile" in sys.argv:
        profile.disable()
        pstats.Stats(profile).sort_stats("tottime").print_stats(20)
    print(f"{milliseconds:.2f} ms of CPU a turn ({HISTORY} messages before it, {DELTAS} deltas), budget {BUDGET:g}")
    sys.exit(milliseconds > BUDGET)
