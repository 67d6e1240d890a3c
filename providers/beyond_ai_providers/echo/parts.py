"""Pieces of request bodies that several wires share: text that may be a string or a list of parts, tool choices."""

from collections.abc import Sequence
from typing import Annotated

import orjson
from pydantic import BeforeValidator, Field, JsonValue

from beyond_ai_providers.echo.conversation import Choice, OfferedTool
from beyond_ai_providers.echo.reply import Body


def as_parts(value: object) -> object:
    """A plain string as the one text part that it stands for; null as no part."""
    if value is None:
        return []
    return [{"type": "text", "text": value}] if isinstance(value, str) else value


def _as_choice(value: object) -> object:
    """OpenAI's plain `auto`, `none` and `required` as the object that the other choices are."""
    return {"type": value} if isinstance(value, str) else value


class Part(Body):
    """One part of a message; parts that are not text have none."""

    type: str | None = None
    text: str | None = None


Content = Annotated[list[Part], BeforeValidator(as_parts)]
"""What the wires allow as content: a string, a list of parts, null."""


def _as_parts_or_nothing(value: object) -> object:
    return as_parts(value) if isinstance(value, str | list) else []


ToolOutput = Annotated[list[Part], BeforeValidator(_as_parts_or_nothing)]
"""What a tool gave back. Tools that run at the provider put objects there, which echo does not read."""


def text_of(parts: Sequence[Part]) -> str:
    """The text of PARTS, a line break between two."""
    return "\n".join(part.text for part in parts if part.text)


class Named(Body):
    """Something that has a name."""

    name: str


class ToolChoice(Body):
    """A tool choice of any wire: a bare type, or a type and the name of a tool."""

    type: str = "auto"
    name: str | None = None
    function: Named | None = None

    def choice(self) -> Choice | str:
        """The choice without its wire; what echo does not know (`allowed_tools`) leaves it free."""
        name = self.function.name if self.function else self.name
        if name is not None:
            return name
        words = {"none": Choice.NONE, "required": Choice.REQUIRED, "any": Choice.REQUIRED}
        return words.get(self.type, Choice.AUTO)


AnyToolChoice = Annotated[ToolChoice, BeforeValidator(_as_choice)]

Limit = Annotated[int, Field(ge=1)]
"""How many tokens an answer may have."""

Schema = dict[str, JsonValue]


def offered(name: str, schema: Schema | None, definition: Body) -> OfferedTool:
    """The tool NAME as the conversation knows it."""
    return OfferedTool(name, schema or {}, orjson.dumps(definition.model_dump(exclude_none=True)).decode())


def lowest(own: int, *asked: int | None) -> int:
    """The tightest of our OWN limit and those that the client ASKED for."""
    return min(own, *(limit for limit in asked if limit is not None), own)
