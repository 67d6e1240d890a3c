"""Makes a conversation legal again whose run was cut off: every call has a result, and roles alternate."""

from collections.abc import Iterable, Sequence
from typing import Final

from beyond_ai.spec.conversation import Block, Message, ToolOutput, ToolUse

STOPPED: Final = (
    "The agent was stopped while this ran. It may have been done in part or in whole: look before repeating it."
)


def close_calls(messages: Sequence[Message]) -> list[Message]:
    """MESSAGES with an error result for each call that has none. Nothing is run again."""
    closed: list[Message] = []
    waiting: list[ToolUse] = []
    for message in messages:
        if waiting:
            missing = _unanswered(waiting, message.content if message.role == "user" else ())
            if message.role == "assistant":
                closed.append(Message(role="user", content=missing))
                closed.append(message)
            else:
                closed.append(with_blocks(message, missing) if missing else message)
        else:
            closed.append(message)
        waiting = list(message.tool_uses)
    if waiting:
        closed.append(Message(role="user", content=_unanswered(waiting, ())))
    return closed


def with_blocks(message: Message, before: Iterable[Block] = (), after: Iterable[Block] = ()) -> Message:
    """MESSAGE, a user's, with more blocks; results stand first, as providers want them."""
    blocks = (*before, *message.content, *after)
    results = [block for block in blocks if isinstance(block, ToolOutput)]
    rest = [block for block in blocks if not isinstance(block, ToolOutput)]
    return Message(role="user", content=(*results, *rest))


def with_prompt(messages: Sequence[Message], prompt: Sequence[Block]) -> list[Message]:
    """MESSAGES with PROMPT at the end; in the last message where that is the user's and waits for its answer."""
    if messages and messages[-1].role == "user":
        return [*messages[:-1], with_blocks(messages[-1], after=prompt)]
    return [*messages, Message(role="user", content=tuple(prompt))]


def _unanswered(calls: Iterable[ToolUse], blocks: Sequence[Block]) -> tuple[ToolOutput, ...]:
    answered = {block.tool_use_id for block in blocks if isinstance(block, ToolOutput)}
    return tuple(
        ToolOutput(tool_use_id=call.id, content=STOPPED, is_error=True) for call in calls if call.id not in answered
    )
