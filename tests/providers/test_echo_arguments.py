"""The smallest arguments of a tool's schema: they satisfy it, and no schema breaks the builder."""

import json
import math
import time
from collections.abc import Mapping

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from beyond_ai_providers.echo.arguments import MAX_LENGTH, MAX_VALUES, minimal_arguments, words_of

Schema = dict[str, JsonValue]

relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""For machines that are busy with something else."""

TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "null": type(None),
    "number": (int, float),
    "integer": int,
}


def bound(schema: Mapping[str, JsonValue], key: str, default: float) -> float:
    value = schema.get(key, default)
    assert isinstance(value, int | float)
    return value


def valid(value: JsonValue, schema: JsonValue) -> bool:
    """Whether VALUE satisfies SCHEMA: a validator of the keywords that the strategy below uses, and no others."""
    assert isinstance(schema, dict)
    if "const" in schema:
        return value == schema["const"]
    if isinstance(choices := schema.get("enum"), list):
        return value in choices
    if isinstance(branches := schema.get("anyOf"), list):
        return any(valid(value, branch) for branch in branches)
    named = schema["type"]
    names = named if isinstance(named, list) else [named]
    if not any(isinstance(value, TYPES[str(name)]) for name in names):
        return False
    if isinstance(value, bool):
        return "boolean" in names
    if isinstance(value, int | float):
        step = bound(schema, "multipleOf", 0)
        return (
            bound(schema, "minimum", -math.inf) <= value <= bound(schema, "maximum", math.inf)
            and bound(schema, "exclusiveMinimum", -math.inf) < value < bound(schema, "exclusiveMaximum", math.inf)
            and (not step or value % step == 0)
        )
    if isinstance(value, str):
        return bound(schema, "minLength", 0) <= len(value) <= bound(schema, "maxLength", math.inf)
    if isinstance(value, list):
        return len(value) >= bound(schema, "minItems", 0) and all(valid(item, schema["items"]) for item in value)
    if isinstance(value, dict):
        properties, required = schema["properties"], schema["required"]
        assert isinstance(properties, dict)
        assert isinstance(required, list)
        return set(value) == set(required) and all(valid(item, properties[name]) for name, item in value.items())
    return True


def bounds(low: str, high: str, numbers: st.SearchStrategy[int]) -> st.SearchStrategy[Schema]:
    """Up to two bounds with room for at least one whole number between them."""

    def within(pair: tuple[int, int], use_low: bool, use_high: bool) -> Schema:
        first, second = min(pair), max(pair) + 2
        return {**({low: first} if use_low else {}), **({high: second} if use_high else {})}

    return st.builds(within, st.tuples(numbers, numbers), st.booleans(), st.booleans())


SMALL = st.integers(-50, 50)
LEAVES: st.SearchStrategy[Schema] = st.one_of(
    st.sampled_from([{"type": "boolean"}, {"type": "null"}, {"type": ["string", "null"]}]),
    st.builds(lambda value: {"const": value}, st.one_of(st.integers(), st.text(), st.none())),
    st.builds(lambda values: {"enum": list(values)}, st.lists(st.one_of(st.integers(), st.text()), min_size=1)),
    st.builds(
        lambda kind, limits: {"type": kind, **limits},
        st.sampled_from(["integer", "number"]),
        st.one_of(bounds("minimum", "maximum", SMALL), bounds("exclusiveMinimum", "exclusiveMaximum", SMALL)),
    ),
    st.builds(lambda step, low: {"type": "integer", "multipleOf": step, "minimum": low}, st.integers(1, 9), SMALL),
    st.builds(
        lambda limits: {"type": "string", **limits},
        bounds("minLength", "maxLength", st.integers(0, 30)),
    ),
)
NAMES = st.sampled_from(["path", "query", "file_name", "n", "x y", "Ω", ""])


def nested(inner: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    return st.one_of(
        objects(inner),
        st.builds(lambda item, size: {"type": "array", "items": item, "minItems": size}, inner, st.integers(0, 3)),
        st.builds(lambda branches: {"anyOf": list(branches)}, st.lists(inner, min_size=1, max_size=3)),
    )


def objects(inner: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    def built(properties: dict[str, Schema], required: set[str]) -> Schema:
        return {
            "type": "object",
            "properties": dict(properties),
            "required": [name for name in properties if name in required],
        }

    return st.builds(built, st.dictionaries(NAMES, inner, max_size=4), st.sets(NAMES))


@relaxed
@given(objects(st.recursive(LEAVES, nested, max_leaves=8)))
def test_built_arguments_satisfy_the_schema(schema: Schema) -> None:
    arguments = minimal_arguments(schema)
    assert valid(arguments, schema), arguments


JSON: st.SearchStrategy[JsonValue] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(10**18), 10**18), st.floats(allow_nan=False), st.text()),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
    max_leaves=10,
)
KEYWORDS = st.sampled_from(
    [
        *("type", "properties", "required", "enum", "const", "minimum", "maximum", "exclusiveMinimum"),
        *("exclusiveMaximum", "multipleOf", "minLength", "maxLength", "minItems", "items", "prefixItems"),
        *("format", "$ref", "anyOf", "oneOf", "allOf"),
    ]
)
SENSELESS = st.recursive(
    st.one_of(JSON, st.sampled_from(["object", "array", "integer", "#", "#/properties/x", "#/a~1b"])),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYWORDS, inner, max_size=4)),
    max_leaves=12,
)


@relaxed
@given(st.dictionaries(KEYWORDS, SENSELESS, max_size=6))
def test_no_schema_breaks_the_builder(schema: Schema) -> None:
    assert json.loads(json.dumps(minimal_arguments(schema))) is not None


@pytest.mark.parametrize(
    ("schema", "arguments"),
    [
        ({}, {}),
        ({"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}, {"path": "."}),
        ({"properties": {"filePath": {}}, "required": ["filePath"]}, {"filePath": "."}),
        ({"properties": {"q": {"type": "string"}, "optional": {}}, "required": ["q"]}, {"q": "echo"}),
        ({"required": ["unknown"]}, {"unknown": "echo"}),
        ({"properties": {"u": {"type": "string", "format": "uri"}}, "required": ["u"]}, {"u": "https://example.com/"}),
        (
            {
                "$defs": {"Unit": {"enum": ["C", "F"]}, "Place": {"required": ["unit"], "properties": {}}},
                "properties": {"unit": {"$ref": "#/$defs/Unit"}, "n": {"allOf": [{"type": "integer"}, {"minimum": 3}]}},
                "required": ["unit", "n"],
            },
            {"unit": "C", "n": 3},
        ),
    ],
)
def test_examples(schema: Schema, arguments: Schema) -> None:
    assert minimal_arguments(schema) == arguments


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"self": {"$ref": "#"}}, "required": ["self"]},
        {"$ref": "#"},
        {"properties": {"a": {"$ref": "#"}, "b": {"$ref": "#"}}, "required": ["a", "b"]},
        {
            "properties": {"x": {"type": "array", "minItems": 9999, "items": {"type": "array", "minItems": 9999}}},
            "required": ["x"],
        },
        {"properties": {"x": {"type": "string", "minLength": 10**15}}, "required": ["x"]},
    ],
)
def test_schemas_without_end_cost_little(schema: Schema) -> None:
    began = time.perf_counter()
    text = json.dumps(minimal_arguments(schema))
    assert len(text) < MAX_VALUES * 40 + MAX_LENGTH
    assert time.perf_counter() - began < 2


@pytest.mark.parametrize("name", ["readFile", "read_file", "read-file", "ReadFile", "mcp__read.file", "READ_FILE"])
def test_words_of_names_in_every_convention(name: str) -> None:
    assert words_of(name)[-2:] == ["read", "file"]
