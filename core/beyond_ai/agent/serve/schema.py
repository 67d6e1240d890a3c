"""All frames as a JSON Schema: `in` is what the agent reads, `out` what it writes, and what each answer holds."""

from typing import Any, Final

from pydantic import TypeAdapter
from pydantic.json_schema import models_json_schema

from beyond_ai.agent.serve import frames
from beyond_ai.agent.serve.answers import ANSWERS

REFERENCE: Final = "#/$defs/{model}"


def schema() -> dict[str, Any]:
    """The schema, as JSON values."""
    read = TypeAdapter[frames.Command](frames.AnyCommand).json_schema(ref_template=REFERENCE)
    written = TypeAdapter[frames.Frame](frames.AnyFrame).json_schema(ref_template=REFERENCE)
    held, holding = models_json_schema([(model, "validation") for model in ANSWERS.values()], ref_template=REFERENCE)
    out = written.pop("$defs") | holding["$defs"]
    for definition in out.values():
        _require_what_is_always_there(definition)
    out["Response"]["allOf"] = [
        {"if": _success_of(name), "then": {"properties": {"data": held[model, "validation"]}}}
        for name, model in ANSWERS.items()
    ]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"beyond-ai agent serve, protocol {frames.PROTOCOL}",
        "anyOf": [{"$ref": "#/$defs/in"}, {"$ref": "#/$defs/out"}],
        "$defs": read.pop("$defs") | out | {"in": read, "out": written},
    }


def _require_what_is_always_there(definition: dict[str, Any]) -> None:
    """Require those members of DEFINITION that have a default: only what would be null is left out of a frame."""
    members = definition.get("properties", {})
    known = definition.get("required", [])
    definition["required"] = [
        name for name, member in members.items() if name in known or member.get("default") is not None
    ]


def _success_of(command: str) -> dict[str, Any]:
    return {"properties": {"command": {"const": command}, "success": {"const": True}}}
