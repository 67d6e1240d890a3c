"""Whether a session can go on, whoever is asked."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tests.core.agent.legality import assert_legal

from beyond_ai.agent.dialects.choice import dialect_of
from beyond_ai.agent.dialects.dialect import WireOptions
from beyond_ai.agent.loop import Conversation
from beyond_ai.agent.model import ModelRequest
from beyond_ai.agent.models import model_facts
from beyond_ai.agent.session import Session
from beyond_ai.spec.conversation import Message, Text

MODELS: Final = {"chat": "gpt-oss-120b", "responses": "gpt-5.1", "messages": "claude-opus-4-8"}
NEXT: Final = Message(role="user", content=(Text(text="go on"),))


def assert_legal_everywhere(messages: Iterable[Message]) -> None:
    """Raise AssertionError where MESSAGES, and a user's next one, are no legal request on each of the wires."""
    history = tuple(messages)
    if not history or history[-1].role == "assistant":
        history = (*history, NEXT)
    for dialect, model in MODELS.items():
        request = ModelRequest(model=model, system="s", messages=history)
        wire = dialect_of(dialect).encode(request, model_facts(model), WireOptions())
        assert_legal(dialect, wire.body)


def reopened(path: Path) -> Conversation:
    """The conversation in PATH, a session that nobody holds, as an agent finds it at its next start."""
    session = Session.open(path, cwd=Path("/"), model=None, default_model="m")
    session.close()
    return session.conversation
