"""JSON schemas for structured answers, as providers take them."""

import json
from collections.abc import Callable
from typing import Final

from beyond_ai.spec.conversation import JsonObject

_UNSUPPORTED: Final = (
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
)
_NESTED: Final = ("properties", "$defs", "definitions", "patternProperties")


def schema_instruction(schema: JsonObject) -> str:
    """What to tell a model that cannot be held to SCHEMA."""
    text = json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
    return f"Your final answer must be one JSON object that fits this JSON schema, and nothing else: {text}"


def closed_schema(schema: JsonObject) -> JsonObject:
    """SCHEMA for Anthropic: objects are closed, and bounds, which it refuses, become part of the description."""

    def close(node: JsonObject) -> JsonObject:
        bounds: JsonObject = {name: node[name] for name in _UNSUPPORTED if name in node}
        closed = {name: value for name, value in node.items() if name not in bounds}
        if isinstance(least := closed.get("minItems"), int) and least > 1:
            bounds["minItems"] = closed.pop("minItems")
        if closed.get("type") == "object":
            closed["additionalProperties"] = False
        if bounds:
            said = ", ".join(f"{name}: {json.dumps(value)}" for name, value in bounds.items())
            description = closed.get("description")
            closed["description"] = f"{description} ({said})" if description else f"({said})"
        return closed

    return _mapped(schema, close)


def is_strict(schema: JsonObject) -> bool:
    """Whether SCHEMA is one that OpenAI can be strict about: every object closed, every property required."""
    strict = True

    def check(node: JsonObject) -> JsonObject:
        nonlocal strict
        properties = node.get("properties")
        if isinstance(properties, dict) or node.get("type") == "object":
            names = set(properties) if isinstance(properties, dict) else set()
            required = node.get("required")
            same = names == (set(required) if isinstance(required, list) else set())
            strict = strict and same and node.get("additionalProperties") is False
        return node

    _mapped(schema, check)
    return strict


def _mapped(node: JsonObject, change: Callable[[JsonObject], JsonObject]) -> JsonObject:
    """NODE, a schema, and all schemas within it, each as CHANGE gives it."""
    mapped: JsonObject = {}
    for name, value in node.items():
        if name in _NESTED and isinstance(value, dict):
            mapped[name] = {k: _mapped(v, change) if isinstance(v, dict) else v for k, v in value.items()}
        elif isinstance(value, dict) and name not in ("default", "const", "example"):
            mapped[name] = _mapped(value, change)
        elif isinstance(value, list) and name in ("anyOf", "oneOf", "allOf", "prefixItems"):
            mapped[name] = [_mapped(v, change) if isinstance(v, dict) else v for v in value]
        else:
            mapped[name] = value
    return change(mapped)
