"""How many tokens messages take, roughly, where no provider has said: a token for four characters."""

import json
from typing import Final

from beyond_ai.agent.model import ToolDefinition
from beyond_ai.spec.conversation import Block, Image, Message, RedactedThinking, Text, Thinking, ToolUse

IMAGE_CHARS: Final = 4_800
"""What an image counts as."""
CHARS_PER_TOKEN: Final = 4


def tokens(chars: int) -> int:
    """Tokens of CHARS characters, rounded up."""
    return -(-chars // CHARS_PER_TOKEN)


def message_tokens(message: Message) -> int:
    """Tokens of MESSAGE, about."""
    return tokens(sum(map(_block_chars, message.content)))


def definition_tokens(definitions: tuple[ToolDefinition, ...]) -> int:
    """Tokens of what the model is shown of its tools, about."""
    return tokens(
        sum(
            len(definition.name) + len(definition.description) + len(json.dumps(definition.schema))
            for definition in definitions
        )
    )


def _block_chars(block: Block) -> int:
    if isinstance(block, Text):
        return len(block.text)
    if isinstance(block, Thinking):
        return len(block.thinking)
    if isinstance(block, RedactedThinking):
        return len(block.data)
    if isinstance(block, ToolUse):
        arguments = block.malformed if block.malformed is not None else json.dumps(block.input)
        return len(block.name) + len(arguments)
    if isinstance(block, Image):
        return IMAGE_CHARS
    return len(block.content) + IMAGE_CHARS * len(block.images)
