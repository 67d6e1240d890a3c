"""What a model is shown of the tools: lean schemas, in an order that never changes."""

from collections.abc import Iterable
from typing import cast

from beyond_ai.agent.model import ToolDefinition
from beyond_ai.spec.conversation import JsonObject
from beyond_ai.spec.tool import Tool


class ToolSet:
    """The tools of a loop by name; the last one under a name wins. Their schemas are made once."""

    def __init__(self, tools: Iterable[Tool]) -> None:
        self.by_name: dict[str, Tool] = {tool.name: tool for tool in tools}
        self.definitions = tuple(
            ToolDefinition(
                name=name, description=tool.description, schema=lean_schema(tool.arguments.model_json_schema())
            )
            for name, tool in sorted(self.by_name.items())
        )


def lean_schema(schema: JsonObject) -> JsonObject:
    """SCHEMA, as pydantic makes it, without what costs bytes and tells a model nothing.

    Titles go, and null as one of two types and as a default: an optional argument may simply be left out. A definition
    stands where it is used, unless it refers to itself.
    """
    definitions = cast(dict[str, JsonObject], schema.get("$defs", {}))
    kept: dict[str, object] = {}
    lean = _lean({key: value for key, value in schema.items() if key != "$defs"}, definitions, (), kept)
    if kept:
        lean["$defs"] = kept
    lean.pop("description", None)  # the docstring of the model; the tool has a description of its own
    return lean


def _lean(
    schema: JsonObject, definitions: dict[str, JsonObject], within: tuple[str, ...], kept: dict[str, object]
) -> JsonObject:
    def lean(value: object) -> object:
        if isinstance(value, list):
            return [lean(item) for item in value]
        return _lean(cast(JsonObject, value), definitions, within, kept) if isinstance(value, dict) else value

    reference = schema.get("$ref")
    if isinstance(reference, str):
        name = reference.rpartition("/")[2]
        if name in within:  # refers to itself
            if name not in kept:
                kept[name] = {}
                kept[name] = _lean(definitions[name], definitions, (*within, name), kept)
            return {"$ref": f"#/$defs/{name}"}
        rest = {key: value for key, value in schema.items() if key != "$ref"}
        return _lean({**definitions[name], **rest}, definitions, (*within, name), kept)

    result: JsonObject = {}
    for key, value in schema.items():
        if key == "title" or (key == "default" and value is None):
            continue
        if key == "properties":
            result[key] = {name: lean(member) for name, member in cast(JsonObject, value).items()}
        elif key in ("default", "const", "enum", "examples", "required"):
            result[key] = value  # data, not schemas
        else:
            result[key] = lean(value)
    return _without_null(result)


def _without_null(schema: JsonObject) -> JsonObject:
    """SCHEMA, where it is one type or null, as that type alone."""
    choices = schema.get("anyOf")
    if not isinstance(choices, list) or {"type": "null"} not in choices:
        return schema
    others = [choice for choice in choices if choice != {"type": "null"}]
    rest = {key: value for key, value in schema.items() if key != "anyOf"}
    return {**others[0], **rest} if len(others) == 1 else {"anyOf": others, **rest}
