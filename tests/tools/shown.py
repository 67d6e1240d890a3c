"""How much of every request a tool takes up."""

import json

from beyond_ai import Tool
from beyond_ai.agent.loop.definitions import ToolSet


def shown_size(tool: Tool) -> int:
    """Bytes of the JSON that a model is shown of TOOL: name, description and schema."""
    [definition] = ToolSet([tool]).definitions
    shown = {"name": definition.name, "description": definition.description, "parameters": definition.schema}
    return len(json.dumps(shown, separators=(",", ":"), ensure_ascii=False).encode())
