"""What echo answers: the user's words back, one harmless tool call first where tools are offered, then its result.

Words that begin with `/call NAME` have it call the tool NAME, with the JSON object behind that, if there is one.
"""

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import orjson
from pydantic import JsonValue

from beyond_ai_providers.echo.arguments import minimal_arguments, words_of
from beyond_ai_providers.echo.conversation import Choice, Conversation, OfferedTool, Role
from beyond_ai_providers.echo.tokens import count, split

READING: Final = words_of(
    "ls list get glob find grep search read view show cat stat status describe lookup query count fetch head tail tree "
    "pwd time weather"
)
"""Words in the names of tools that only look, the surest first."""

CHANGING: Final = frozenset(
    words_of(
        "add agent append apply bash cancel chmod chown cmd command commit computer copy create delete deploy drop "
        "edit eval exec execute fork install interpreter invoke kill launch mkdir modify move patch pay post publish "
        "purchase push put python remove rename replace reset restart revoke rmdir rollback run save send set sh "
        "shell spawn start stop submit sync task terminal touch transfer truncate uninstall update upgrade upload "
        "upsert write"
    )
)
"""Words in the names of tools that change something or run something."""

ASKED: Final = re.compile(r"\s*/call\s+([\w-]+)\s*(.*?)\s*", re.DOTALL)
"""A user's wish for one call: the tool, and its arguments."""

QUOTED_RESULT: Final = 60
"""Tokens of a tool's result that are quoted."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of the tool NAME; `arguments` as the object that it is."""

    name: str
    arguments: dict[str, JsonValue]

    def json(self) -> str:
        """The arguments as JSON text."""
        return orjson.dumps(self.arguments).decode()


@dataclass(frozen=True, slots=True)
class Answer:
    """Text, or one tool call.

    `tokens` are those of the text or of the call's arguments, in order; a stream sends one at a time. `cut` tells
    that the text had more of them than the request or the configuration allows.
    """

    tokens: Sequence[str]
    call: ToolCall | None = None
    cut: bool = False

    @property
    def text(self) -> str:
        """The answer's text; for a call its arguments as JSON."""
        return "".join(self.tokens)

    def output_tokens(self) -> int:
        """Tokens that this answer costs; the same whichever way it is sent."""
        return len(self.tokens) + (count(self.call.name) if self.call else 0)


def answer(conversation: Conversation) -> Answer:
    """Echo's answer to CONVERSATION.

    A tool is called only right after the user spoke: once a call or a result follows the user's words, the answer
    is text, so that an agent's loop ends.
    """
    if results := conversation.since_question(Role.RESULT):
        return said(f"The tool answered: {_quoted(results[-1])}", conversation.limit)
    if not conversation.since_question(Role.CALL):
        call = _asked_call(conversation) or _own_call(conversation)
        if isinstance(call, str):
            return said(call, conversation.limit)
        if call is not None:
            return Answer(split(call.json()), call)
    question = conversation.question()
    return said(f"You said: {question}" if question else "You said nothing.", conversation.limit)


def said(text: str, limit: int) -> Answer:
    """An answer of TEXT, cut to LIMIT tokens."""
    tokens = split(text, limit + 1)
    return Answer(tokens[:limit], cut=len(tokens) > limit)


def _quoted(result: str) -> str:
    tokens = split(result.strip(), QUOTED_RESULT + 1)
    if not tokens:
        return "nothing."
    return "".join(tokens[:QUOTED_RESULT]) + (" ..." if len(tokens) > QUOTED_RESULT else "")


def _asked_call(conversation: Conversation) -> ToolCall | str | None:
    """The call that the user's words ask for, or why it cannot be made; None where they ask for none."""
    asked = ASKED.fullmatch(conversation.question())
    if asked is None or not conversation.tools or conversation.choice is Choice.NONE:
        return None
    tool = next((offered for offered in conversation.tools if offered.name == asked[1]), None)
    if tool is None:
        return f"No tool is called {asked[1]}. Offered are {', '.join(offered.name for offered in conversation.tools)}."
    if not asked[2]:
        return ToolCall(tool.name, minimal_arguments(tool.schema))
    arguments: object = None
    with contextlib.suppress(orjson.JSONDecodeError):
        arguments = orjson.loads(asked[2])
    if not isinstance(arguments, dict):
        return f"What stands behind /call {tool.name} is no JSON object."
    return ToolCall(tool.name, arguments)


def _own_call(conversation: Conversation) -> ToolCall | None:
    tool = _tool_to_call(conversation)
    return None if tool is None else ToolCall(tool.name, minimal_arguments(tool.schema))


def _tool_to_call(conversation: Conversation) -> OfferedTool | None:
    """The tool that the client wants called, else the most harmless one; None when there is none such."""
    if conversation.choice is Choice.NONE:
        return None
    if isinstance(conversation.choice, str):
        return next((tool for tool in conversation.tools if tool.name == conversation.choice), None)
    named = [(tool, words_of(tool.name)) for tool in conversation.tools]
    for word in READING:
        for tool, words in named:
            if word in words and CHANGING.isdisjoint(words):
                return tool
    return next((tool for tool in conversation.tools if not _may_change(tool.name)), None)


def _may_change(name: str) -> bool:
    """Whether a tool that does not say that it only looks might do more; `deletefile` has no borders to split at."""
    lower = name.lower()
    return not CHANGING.isdisjoint(words_of(name)) or any(word in lower for word in CHANGING if len(word) > 3)
