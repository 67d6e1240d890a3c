"""What every tool's arguments have in common."""

from pydantic import BaseModel, ConfigDict
from pydantic.config import JsonDict

from beyond_ai import ToolError


def _only_what_the_model_needs(schema: JsonDict) -> None:
    """Leave out what pydantic adds for people: every byte of SCHEMA is sent with every request."""
    schema.pop("title", None)
    schema.pop("description", None)
    properties = schema.get("properties")
    if isinstance(properties, dict):
        for field in properties.values():
            if isinstance(field, dict):
                field.pop("title", None)
                if field.get("default") in ("", False):
                    del field["default"]


def encoded(text: str, name: str) -> bytes:
    """TEXT, which the argument NAME holds, in UTF-8. JSON can say what is no Unicode: that is a ToolError."""
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise ToolError(f"{name} is not valid Unicode: character {error.start} is half of a surrogate pair.") from error


class Arguments(BaseModel):
    """Arguments of a tool; a name that it does not know is refused."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=_only_what_the_model_needs)
