"""A stretch of conversation as text, for whoever summarises it."""

import json
from collections.abc import Iterable
from typing import Final

from beyond_ai.spec.conversation import Image, Message, Text, Thinking, ToolOutput, ToolUse

RESULT_CHARS: Final = 2_000
ARGUMENT_CHARS: Final = 2_000
THINKING_CHARS: Final = 1_000


def clip(text: str, chars: int) -> str:
    """TEXT, or its two ends when it is longer than CHARS."""
    if len(text) <= chars:
        return text
    head = chars * 2 // 3
    return f"{text[:head]}\n[... {len(text) - chars:,} characters left out ...]\n{text[len(text) - (chars - head) :]}"


def transcript(messages: Iterable[Message], chars: int) -> str:
    """MESSAGES as text of about CHARS at most; long results, arguments and thoughts are clipped."""
    names: dict[str, str] = {}
    parts: list[str] = []
    for message in messages:
        who = "User" if message.role == "user" else "Assistant"
        for block in message.content:
            if isinstance(block, Text):
                parts.append(f"[{who}]: {block.text}")
            elif isinstance(block, Thinking):
                parts.append(f"[Assistant, thinking]: {clip(block.thinking, THINKING_CHARS)}")
            elif isinstance(block, ToolUse):
                names[block.id] = block.name
                arguments = json.dumps(block.input, ensure_ascii=False)
                parts.append(f"[Assistant calls {block.name}]: {clip(arguments, ARGUMENT_CHARS)}")
            elif isinstance(block, ToolOutput):
                what = "failed" if block.is_error else "returned"
                name = names.get(block.tool_use_id, "a call")
                parts.append(f"[{name} {what}]: {clip(block.content, RESULT_CHARS)}")
            elif isinstance(block, Image):
                parts.append(f"[{who}]: (an image)")
    return clip("\n\n".join(parts), chars)
