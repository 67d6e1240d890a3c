"""The loop: from a prompt to an answer, with tools in between. `AgentLoop` is the way in.

    loop = AgentLoop(transport=..., tools=..., system_prompt=..., tool_context=..., checkpoint=..., emit=...)
    conversation = Conversation(model="claude-opus-4-8")
    outcome = await loop.run(conversation, Message(role="user", content=(Text(text="Fix the failing test."),)))

A run's way through the files: `run` turns, `answering` gets an answer (`requests`, `patience`, `accumulator`), keeping
the conversation small (`compaction`), `tool_phase` runs its calls (`arguments`, `hooks`, `progress`, `results`). `stop`
is how all of it is interrupted, `control` what may be said to it, `emitter` how others see it.
"""

from beyond_ai.agent.loop.agent_loop import AgentLoop
from beyond_ai.agent.loop.compaction import CompactionResult
from beyond_ai.agent.loop.control import Control, Lane, LaneMode
from beyond_ai.agent.loop.conversation import (
    BranchSummaryEntry,
    CompactionEntry,
    Conversation,
    Entry,
    MessageEntry,
    ModelEntry,
    SpendEntry,
    new_entry_id,
)
from beyond_ai.agent.loop.emitter import NamedHook
from beyond_ai.agent.loop.hooks import Approver
from beyond_ai.agent.loop.outcome import RunOutcome
from beyond_ai.agent.loop.settings import Clock, CompactionSettings, LoopSettings

__all__ = [
    "AgentLoop",
    "Approver",
    "BranchSummaryEntry",
    "Clock",
    "CompactionEntry",
    "CompactionResult",
    "CompactionSettings",
    "Control",
    "Conversation",
    "Entry",
    "Lane",
    "LaneMode",
    "LoopSettings",
    "MessageEntry",
    "ModelEntry",
    "NamedHook",
    "RunOutcome",
    "SpendEntry",
    "new_entry_id",
]
