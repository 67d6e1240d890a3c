"""The fields of the usage event, from the class that sinks receive."""

import re
from collections.abc import Iterator
from dataclasses import fields
from datetime import datetime
from inspect import getdoc
from types import NoneType
from typing import Final, get_args, get_type_hints

from beyond_ai import Dialect, Outcome, UsageEvent
from generators.tables import table as table_of

JSON_TYPES: Final = {
    datetime: "string",
    str: "string",
    int: "integer",
    bool: "boolean",
    Dialect: "string",
    Outcome: "string",
}
UNITS: Final = {"_tokens": "tokens", "_ms": "milliseconds", "_usd": "US dollars", "_calls": "calls"}


def table() -> Iterator[str]:
    """Yield the table. Raises ValueError where the docstring and the fields disagree."""
    texts = _described()
    if list(texts) != [field.name for field in fields(UsageEvent)]:
        raise ValueError("the docstring of UsageEvent must describe every field, in order")
    yield from table_of(
        ("field", "type", "unit", "meaning", "absent"), (_row(name, text) for name, text in texts.items())
    )


def _row(name: str, text: str) -> tuple[str, ...]:
    hint = get_type_hints(UsageEvent)[name]
    kinds = [kind for kind in get_args(hint) or (hint,) if kind is not NoneType]
    meaning, _, absent = text.rstrip(".").partition("; None ")
    if bool(absent) != (NoneType in get_args(hint)):
        raise ValueError(f"the docstring of UsageEvent must say when {name} is None, if it can be")
    unit = next((unit for suffix, unit in UNITS.items() if name.endswith(suffix)), "")
    return f"`{name}`", JSON_TYPES[kinds[0]], unit, meaning, absent


def _described() -> dict[str, str]:
    """The text of each attribute in the class's docstring."""
    _, _, listed = str(getdoc(UsageEvent)).partition("Attributes:\n")
    entries = re.findall(r"^    (\w+): (.*(?:\n        .*)*)", listed, re.MULTILINE)
    return {name: re.sub(r"\s+", " ", text) for name, text in entries}
