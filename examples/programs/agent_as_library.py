"""The agent's loop in a program: a tool of its own, an approval of its own, and every event printed.

    export AI_GATEWAY_URL=http://127.0.0.1:8080 AI_AGENT_KEY=KEY
    python examples/programs/agent_as_library.py "What is in stock?"

The loop knows no network, file or terminal. What it is given decides what it can do: this one can look into a
dictionary, and change it if the person at the terminal says `y`.
"""

import asyncio
import os
import sys
from pathlib import Path

from pydantic import BaseModel

from beyond_ai import AgentHook, Allow, Ask, Tool, ToolContext, ToolError, ToolLimits, ToolResult, Verdict
from beyond_ai.agent.loop import AgentLoop, Conversation, LoopSettings
from beyond_ai.agent.transport import HttpModelTransport
from beyond_ai.spec.agent_event import AgentEvent, Delta
from beyond_ai.spec.conversation import Message, Text, ToolUse

STOCK = {"apples": 3, "pears": 0}


class Look(BaseModel):
    item: str


class Order(BaseModel):
    item: str
    number: int


async def look(arguments: Look, context: ToolContext) -> ToolResult:
    if arguments.item not in STOCK:
        raise ToolError(f"There is no {arguments.item}; there are {', '.join(STOCK)}.")
    return ToolResult(f"{STOCK[arguments.item]} {arguments.item}")


async def order(arguments: Order, context: ToolContext) -> ToolResult:
    STOCK[arguments.item] = STOCK.get(arguments.item, 0) + arguments.number
    return ToolResult(f"{STOCK[arguments.item]} {arguments.item} now")


TOOLS = [
    Tool(name="look", description="How many of an item are in stock.", arguments=Look, run=look, read_only=True),
    Tool(name="order", description="Order more of an item.", arguments=Order, run=order),
]


class AskBeforeOrders(AgentHook):
    async def before_tool_call(self, call: ToolUse) -> Verdict:
        return Ask("it costs money") if call.name == "order" else Allow()


class AtTheTerminal:
    async def ask(self, call: ToolUse, reason: str) -> bool:
        answer = await asyncio.to_thread(input, f"{call.name} {call.input}: {reason}. Go on? [y/N] ")
        return answer == "y"


class NoFiles:
    def check(self, path: Path, *, write: bool) -> None:
        raise ToolError("There are no files here.")


class NotCancelled:
    requested = False

    async def wait(self) -> None:
        await asyncio.Event().wait()


def context(call_id: str) -> ToolContext:
    """Where a call runs; the loop puts in its own progress and cancellation."""
    return ToolContext(
        cwd=Path.cwd(),
        cancellation=NotCancelled(),
        progress=lambda text: None,
        limits=ToolLimits(),
        environment={},
        paths=NoFiles(),
        sees_images=False,
        scratch=Path.cwd(),
    )


async def show(event: AgentEvent) -> None:
    if not isinstance(event, Delta):
        print(event, flush=True)


async def nowhere(conversation: Conversation) -> None:
    """A program that is to survive its end writes `conversation.entries` here."""


async def main(task: str) -> int:
    transport = HttpModelTransport(os.environ["AI_GATEWAY_URL"], os.environ["AI_AGENT_KEY"])
    loop = AgentLoop(
        transport=transport,
        tools=TOOLS,
        hooks=[("ask-before-orders", AskBeforeOrders())],
        settings=LoopSettings(max_turns=10),
        system_prompt=lambda: "You keep the stock of a shop.",
        tool_context=context,
        checkpoint=nowhere,
        approve=AtTheTerminal(),
        emit=show,
    )
    try:
        conversation = Conversation(model=os.environ.get("MODEL", "claude-opus-4-8"))
        outcome = await loop.run(conversation, Message(role="user", content=(Text(text=task),)))
    finally:
        await transport.aclose()
    print(outcome.text)
    return 0 if outcome.status == "done" else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1])))
