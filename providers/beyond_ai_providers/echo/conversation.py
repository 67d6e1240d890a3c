"""A conversation without its wire: what was said in what order, which tools are offered, and what it costs to read."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from pydantic import JsonValue

from beyond_ai_providers.echo.tokens import count


class Role(Enum):
    """Whose words a turn holds."""

    USER = "user"
    MODEL = "model"
    CALL = "call"
    """the model's call of a tool: its name and arguments"""
    RESULT = "result"
    """what a tool gave back"""
    NOTE = "note"
    """what is read but not answered: system prompts, remarks beside a tool's result"""


@dataclass(frozen=True, slots=True)
class Turn:
    """One piece of text and whose it is."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True)
class OfferedTool:
    """A function that the model may call. `definition` is its JSON as sent, which the model reads too."""

    name: str
    schema: dict[str, JsonValue]
    definition: str


class Choice(Enum):
    """How free the model is to call a tool."""

    AUTO = "auto"
    NONE = "none"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """What the model is asked. `choice` is the name of a tool where the client wants that one; `limit` is in tokens."""

    turns: Sequence[Turn]
    tools: Sequence[OfferedTool]
    choice: Choice | str
    limit: int

    def question(self) -> str:
        """The last thing the user said; empty when the user said nothing."""
        return next((turn.text for turn in reversed(self.turns) if turn.role is Role.USER), "")

    def since_question(self, role: Role) -> list[str]:
        """The texts of ROLE after the user's last words, oldest first."""
        found: list[str] = []
        for turn in reversed(self.turns):
            if turn.role is Role.USER:
                break
            if turn.role is role:
                found.append(turn.text)
        return found[::-1]

    def input_tokens(self) -> int:
        """Tokens of every turn and every tool definition. Images, sound and files are not read and cost nothing."""
        return sum(count(turn.text) for turn in self.turns) + sum(count(tool.definition) for tool in self.tools)
