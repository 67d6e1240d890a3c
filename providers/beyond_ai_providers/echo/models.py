"""The list of models: https://platform.openai.com/docs/api-reference/models, https://docs.claude.com/en/api/models-list.

Echo answers to any model name; the list shows the one that is its own.
"""

from beyond_ai_providers.echo.reply import Reply, json_reply

NAME = "echo"


def openai_models() -> Reply:
    """The list as OpenAI's clients read it."""
    model = {"id": NAME, "object": "model", "created": 0, "owned_by": "beyond-ai"}
    return json_reply({"object": "list", "data": [model]})


def anthropic_models() -> Reply:
    """The list as Anthropic's clients read it."""
    born = "1970-01-01T00:00:00Z"
    model = {"type": "model", "id": NAME, "display_name": "Echo", "created_at": born, "lifecycle": "active"}
    return json_reply({"data": [model], "has_more": False, "first_id": NAME, "last_id": NAME})
