"""`--output-schema`: the answer as JSON that fits a schema, or no answer at all."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn

from beyond_ai.errors import ConfigError
from beyond_ai.spec.conversation import JsonObject

UNCHECKED: Final = frozenset({"unevaluatedProperties", "unevaluatedItems", "$dynamicRef", "$recursiveRef"})
"""Keywords that the validator would pass over, so that an answer would be called good without being checked."""
FENCE: Final = re.compile(r"\A\s*```(?:json)?\s*\n(.*)\n```\s*\Z", re.DOTALL)


class OutputSchema:
    """A schema and its check."""

    def __init__(self, schema: JsonObject, validate: Callable[[object], object]) -> None:
        self.schema: Final = schema
        self._validate = validate

    def read(self, text: str) -> object:
        """The JSON value that TEXT is. Raises ValueError, which says what is wrong with it."""
        from fastjsonschema import JsonSchemaValueException

        fenced = FENCE.match(text)
        try:
            value = json.loads(fenced[1] if fenced else text)
        except ValueError as error:
            raise ValueError(f"it is no JSON: {error}") from None
        try:
            self._validate(value)
        except JsonSchemaValueException as error:
            raise ValueError(error.message.replace("data", "the answer", 1)) from None
        return value


def load_schema(path: Path) -> OutputSchema:
    """The schema in PATH. Raises ConfigError when it is none, or more than can be checked."""
    import fastjsonschema

    where = f"--output-schema {path}"
    try:
        schema = json.loads(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{where}: {error.strerror}") from None
    except ValueError as error:
        raise ConfigError(f"{where}: is no JSON: {error}") from None
    if not isinstance(schema, dict):
        raise ConfigError(f"{where}: must be a JSON object")
    unchecked = sorted(_keywords(schema) & UNCHECKED)
    if unchecked:
        raise ConfigError(f"{where}: `{unchecked[0]}` cannot be checked here", "say it with other keywords")
    try:
        validate = fastjsonschema.compile(schema, handlers=dict.fromkeys(("http", "https", "ftp", "file"), _refuse))
    except Exception as error:  # noqa: BLE001 - a schema can be wrong in many ways
        raise ConfigError(f"{where}: is no usable JSON schema: {error}") from None
    return OutputSchema(schema, validate)


def as_line(answer: object) -> bytes:
    """ANSWER as a line of JSON."""
    return json.dumps(answer, ensure_ascii=False).encode(errors="replace") + b"\n"


def _keywords(schema: object) -> set[str]:
    if isinstance(schema, dict):
        return set(schema).union(*map(_keywords, schema.values()))
    if isinstance(schema, list):
        return set().union(*map(_keywords, schema))
    return set()


def _refuse(uri: str) -> NoReturn:
    raise ValueError(f"it refers to {uri}, and nothing is fetched")
