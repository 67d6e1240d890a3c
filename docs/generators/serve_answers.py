"""What the answers of `agent serve` hold, from their models."""

from collections.abc import Iterator
from inspect import getdoc
from typing import Any, get_args

from beyond_ai.agent.serve.answers import ANSWERS, Answer, Counters
from generators.definitions import ATTRIBUTE
from generators.tables import one_line, table


def answers() -> Iterator[str]:
    """Yield a table for each model, below the commands that it answers, and those of the models within it."""
    for model in dict.fromkeys(ANSWERS.values()):
        yield "### " + ", ".join(f"`{name}`" for name, answer in ANSWERS.items() if answer is model)
        yield ""
        yield from _described(model)


def _described(model: type[Answer], head: str = "") -> Iterator[str]:
    prose, _, listed = str(getdoc(model)).partition("\n\nAttributes:\n")
    texts = dict(ATTRIBUTE.findall(listed))
    counted = Counters.model_fields if model is not Counters and issubclass(model, Counters) else {}
    own = [name for name in model.model_fields if name not in counted]
    yield head + one_line(prose) + (" The members of `get_session_stats`, and:" if counted else "")
    yield ""
    values = model.model_json_schema()["properties"]
    yield from table(
        ("member", "value", "meaning"),
        ((_member(name, model), _value(values[name]), one_line(texts.get(name, "")).rstrip(".")) for name in own),
    )
    yield ""
    for name in own:
        for inner in _models_in(model.model_fields[name].annotation):
            yield from _described(inner, f"In `{name}`: ")


def _member(name: str, model: type[Answer]) -> str:
    return f"`{name}`" if model.model_fields[name].is_required() else f"`{name}`, may be left out"


def _value(found: dict[str, Any]) -> str:
    """What FOUND, a JSON Schema, allows, in words."""
    if "anyOf" in found:
        kinds = [_value(kind) for kind in found["anyOf"]]
        return " or ".join(kind for kind in kinds if kind != "null" or "default" not in found)
    if "enum" in found:
        return ", ".join(f"`{value}`" for value in found["enum"])
    if found.get("type") == "array":
        return f"list: {_value(found['items'])}"
    return str(found.get("type", "object"))


def _models_in(annotation: Any) -> Iterator[type[Answer]]:
    if isinstance(annotation, type) and issubclass(annotation, Answer):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)
