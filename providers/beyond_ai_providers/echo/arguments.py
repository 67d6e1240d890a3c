"""The smallest arguments that satisfy a tool's JSON schema (draft 2020-12, the part that tools use).

Understood: `type`, `properties`, `required`, `enum`, `const`, `minimum`, `maximum` and their exclusive forms,
`multipleOf`, `minLength`, `maxLength`, `minItems`, `items`, `prefixItems`, the common `format`s, `$ref` within the
schema, and the first branch of `anyOf` and `oneOf`, all of `allOf`. `pattern`, `not` and conditions are not; a schema
that needs them may refuse what is built here.
"""

import math
import re
from collections.abc import Mapping
from typing import Final

from pydantic import JsonValue

Schema = Mapping[str, JsonValue]

PATH_WORDS: Final = frozenset({"cwd", "dir", "directory", "file", "filename", "folder", "path", "root"})
FORMATS: Final = {
    "date": "2000-01-01",
    "date-time": "2000-01-01T00:00:00Z",
    "email": "echo@example.com",
    "time": "00:00:00Z",
    "uri": "https://example.com/",
    "url": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
MAX_VALUES: Final = 1_000
"""Values made for one call; a schema that wants more (it may refer to itself) gets null for the rest."""
MAX_DEPTH: Final = 32
MAX_LENGTH: Final = 10_000
SMALLEST_STEP: Final = 1e-6
EXACT: Final = 2**53
"""Up to here every whole number is exact as a double; bounds beyond it are left aside."""


def minimal_arguments(schema: Schema) -> dict[str, JsonValue]:
    """Arguments with the properties that SCHEMA requires and no more. Never raises, whatever SCHEMA holds."""
    value = _Builder(schema).value(schema, "", 0)
    return value if isinstance(value, dict) else {}


def words_of(name: str) -> list[str]:
    """The lower-case words of an identifier: `readFile`, `read_file` and `read-file` are `read`, `file`."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)]


class _Builder:
    """Builds one value; `root` resolves references, `left` bounds the work."""

    def __init__(self, root: Schema) -> None:
        self.root = root
        self.left = MAX_VALUES

    def value(self, schema: JsonValue | Schema, name: str, depth: int) -> JsonValue:
        """The smallest value of SCHEMA; NAME is the property it is for."""
        self.left -= 1
        if self.left < 0 or depth > MAX_DEPTH or not isinstance(schema, Mapping):
            return None
        schema = self.resolved(schema)
        if "const" in schema:
            return schema["const"]
        choices = schema.get("enum")
        if isinstance(choices, list) and choices:
            return choices[0]
        match _type_of(schema):
            case "object":
                return self.object(schema, depth)
            case "array":
                return self.array(schema, name, depth)
            case "boolean":
                return False
            case "null":
                return None
            case "integer" | "number" as kind:
                return _number(schema, whole=kind == "integer")
        return _string(schema, name)

    def object(self, schema: Schema, depth: int) -> JsonValue:
        """An object with the required properties."""
        properties = schema.get("properties")
        required = schema.get("required")
        known = properties if isinstance(properties, dict) else {}
        names = [name for name in required if isinstance(name, str)] if isinstance(required, list) else []
        return {name: self.value(known.get(name, {}), name, depth + 1) for name in names[:MAX_VALUES]}

    def array(self, schema: Schema, name: str, depth: int) -> JsonValue:
        """An array of `minItems` items, mostly none."""
        first = schema.get("prefixItems")
        heads = first if isinstance(first, list) else []
        rest = schema.get("items", {})
        size = _natural(schema.get("minItems"), 0)
        schemas = [heads[index] if index < len(heads) else rest for index in range(min(size, max(self.left, 0)))]
        return [self.value(item, name, depth + 1) for item in schemas]

    def resolved(self, schema: Schema) -> Schema:
        """SCHEMA with its reference followed, its `allOf` merged in and the first of its alternatives taken."""
        for _ in range(MAX_DEPTH):
            rest = dict(schema)
            parts: list[JsonValue] = []
            if isinstance(reference := rest.pop("$ref", None), str):
                parts.append(self.referred(reference))
            if isinstance(every := rest.pop("allOf", None), list):
                parts.extend(every)
            for key in ("anyOf", "oneOf"):
                if isinstance(some := rest.pop(key, None), list):
                    parts.extend(some[:1])
            if not parts:
                break
            schema = rest
            for part in parts:
                schema = _merged(schema, part)
        return schema

    def referred(self, reference: str) -> JsonValue:
        """What a JSON pointer (RFC 6901) into the root schema points at; an empty schema where there is nothing."""
        found: JsonValue = dict(self.root)
        for step in reference.removeprefix("#").split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            found = found.get(key) if isinstance(found, dict) else None
        return found if isinstance(found, dict) and reference.startswith("#") else {}


def _merged(schema: Schema, part: JsonValue) -> Schema:
    """SCHEMA and PART as one: required names and properties add up, for the rest SCHEMA wins."""
    if not isinstance(part, dict):
        return schema
    merged: dict[str, JsonValue] = {**part, **schema}
    mine, other = schema.get("properties"), part.get("properties")
    if isinstance(mine, dict) and isinstance(other, dict):
        merged["properties"] = {**other, **mine}
    needs, more = schema.get("required"), part.get("required")
    if isinstance(needs, list) and isinstance(more, list):
        merged["required"] = [*needs, *more]
    return merged


def _type_of(schema: Schema) -> str:
    """The type to build: the first of those named, else what the other keywords speak of."""
    named = schema.get("type")
    if isinstance(named, list):
        named = next((kind for kind in named if isinstance(kind, str)), None)
    if isinstance(named, str):
        return named
    if "properties" in schema or "required" in schema:
        return "object"
    if "items" in schema or "prefixItems" in schema:
        return "array"
    return "string"


def _number(schema: Schema, *, whole: bool) -> int | float:
    """Zero where SCHEMA allows it, else an allowed number near one of its bounds."""
    low = max(_real(schema.get("minimum"), -math.inf), _real(schema.get("exclusiveMinimum"), -math.inf))
    high = min(_real(schema.get("maximum"), math.inf), _real(schema.get("exclusiveMaximum"), math.inf))
    step = _real(schema.get("multipleOf"), 0.0)
    step = step if step >= SMALLEST_STEP else float(whole)
    for near in (0.0, low, low + 1, high, high - 1, (low + high) / 2):
        if not math.isfinite(near):
            continue
        for value in (math.ceil(near / step) * step, math.floor(near / step) * step) if step else (near,):
            if _within(schema, value) and (value.is_integer() or not whole):
                return int(value) if value.is_integer() else value
    return 0


def _within(schema: Schema, value: float) -> bool:
    """Whether VALUE keeps all four bounds of SCHEMA."""
    return _real(schema.get("minimum"), -math.inf) <= value <= _real(schema.get("maximum"), math.inf) and _real(
        schema.get("exclusiveMinimum"), -math.inf
    ) < value < _real(schema.get("exclusiveMaximum"), math.inf)


def _string(schema: Schema, name: str) -> str:
    """`.` for what is named like a path, else `echo` or an example of its format, within the length bounds."""
    kind = schema.get("format")
    text = FORMATS.get(kind, "echo") if isinstance(kind, str) else "echo"
    if not PATH_WORDS.isdisjoint(words_of(name)):
        text = "."
    shortest = _natural(schema.get("minLength"), 0)
    longest = _natural(schema.get("maxLength"), MAX_LENGTH)
    return (text + text[-1] * (shortest - len(text)))[:longest]


def _real(value: JsonValue, default: float) -> float:
    """VALUE when it is a number of moderate size, else DEFAULT. Booleans, as in draft 4, are none."""
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= EXACT:
        return float(value)
    return default


def _natural(value: JsonValue, default: int) -> int:
    """VALUE when it is a whole number from 0 to `MAX_LENGTH`, else DEFAULT."""
    number = _real(value, -1.0)
    return int(number) if 0 <= number <= MAX_LENGTH else default
