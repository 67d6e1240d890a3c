"""Whether a call may be run as it stands, and what the model is told when not."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, cast

from beyond_ai.agent.loop.definitions import ToolSet
from beyond_ai.spec.conversation import ToolUse
from beyond_ai.spec.tool import Tool

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic_core import ErrorDetails

QUOTE_CHARS: Final = 400
"""How much of broken arguments is quoted back."""
VALUE_CHARS: Final = 60
PROBLEMS: Final = 8
"""How many problems of one call are told."""
SUMMARY_CHARS: Final = 100

CUT_ADVICE: Final = (
    "The answer reached its token limit before the arguments of this call were complete, so nothing was run. "
    "Write less in one call: split the work into several smaller calls."
)


class Unfit(Exception):  # noqa: N818 - a word to the model
    """A call that is not run; the text is for the model."""


def check_call(call: ToolUse, tools: ToolSet, *, cut: bool) -> tuple[Tool, "BaseModel"]:
    """The tool of CALL, and its arguments as the tool takes them. Raises Unfit. CUT: the token limit broke it off."""
    if cut:
        raise Unfit(CUT_ADVICE)
    tool = tools.by_name.get(call.name)
    if tool is None:
        raise Unfit(_unknown(call.name, tools))
    if call.malformed is not None:
        raise Unfit(_malformed(call.malformed, tool))
    return tool, _arguments(call, tool)


def describe(call: ToolUse, tool: Tool | None, arguments: "BaseModel | None") -> str:
    """What CALL does in a few words, for people."""
    text = ""
    if tool is not None and tool.summary is not None and arguments is not None:
        try:
            text = str(tool.summary(arguments))
        except Exception:  # noqa: BLE001 - a summary is not worth a call
            text = ""
    if not text:
        given = call.input.values() or (value for _, value in arguments or ())
        text = str(next((value for value in given if value is not None), ""))
    line = " ".join(text.split())
    return line if len(line) <= SUMMARY_CHARS else line[: SUMMARY_CHARS - 1] + "…"


def summary_of(call: ToolUse, tool: Tool | None) -> str:
    """The same of a CALL whose arguments are not read yet; the name of the tool where there is nothing to say."""
    try:
        arguments = None if tool is None else _arguments(call, tool)
    except Unfit:
        arguments = None
    return describe(call, tool, arguments) or call.name


def _unknown(name: str, tools: ToolSet) -> str:
    from difflib import get_close_matches

    known = sorted(tools.by_name)
    folded = {other.lower(): other for other in known}
    near = [folded[match] for match in get_close_matches(name.lower(), folded, n=3, cutoff=0.5)]
    hint = f"Did you mean {' or '.join(near)}? " if near else ""
    return f"There is no tool {name!r}. {hint}The tools are: {', '.join(known) or 'none'}."


def _malformed(text: str, tool: Tool) -> str:
    try:
        json.loads(text)
    except ValueError as error:
        problem = str(error)
    else:
        problem = "they are no JSON object"
    quote = text if len(text) <= QUOTE_CHARS else f"{text[: QUOTE_CHARS // 2]} … {text[-QUOTE_CHARS // 2 :]}"
    return (
        f"The arguments of this call of {tool.name} are no whole JSON object, so nothing was run: {problem}. "
        f"They were: {quote}\nSend the whole call again."
    )


def _arguments(call: ToolUse, tool: Tool) -> "BaseModel":
    from pydantic import ValidationError

    try:
        # as JSON and strictly: nothing but what the schema allows, and still text for a path or an enum
        return tool.arguments.model_validate_json(json.dumps(call.input), strict=True)
    except ValidationError as error:
        raise Unfit(_misfit(call, tool, error.errors(include_url=False, include_context=False))) from None
    except Exception as error:  # noqa: BLE001 - a validator of the tool's own may raise anything
        raise Unfit(f"The arguments of {tool.name} could not be checked, so nothing was run: {error}") from None


def _misfit(call: ToolUse, tool: Tool, errors: "list[ErrorDetails]") -> str:
    from difflib import get_close_matches

    lines = [f"The arguments do not fit {tool.name}, so nothing was run:"]
    lines += [f"- {_problem(error)}" for error in errors[:PROBLEMS]]
    if len(errors) > PROBLEMS:
        lines.append(f"- and {len(errors) - PROBLEMS} more")
    fields = tool.arguments.model_fields
    names = {field.alias or name for name, field in fields.items()}
    for unknown in [name for name in call.input if name not in names and name not in fields]:
        near = get_close_matches(unknown, names, n=1, cutoff=0.4)
        lines.append(f"- {unknown} is no argument of it" + (f"; did you mean {near[0]}?" if near else ""))
    takes = [f"{field.alias or name}{' (required)' if field.is_required() else ''}" for name, field in fields.items()]
    lines.append(f"It takes: {', '.join(takes) or 'no arguments'}.")
    return "\n".join(lines)


def _problem(error: "ErrorDetails") -> str:
    where = ".".join(str(part) for part in error["loc"]) or "arguments"
    if error["type"] == "missing":
        return f"{where} is required"
    if error["type"] == "extra_forbidden":
        return f"{where} is not allowed"
    given = cast(object, error["input"])
    message = error["msg"][:1].lower() + error["msg"][1:]
    if isinstance(given, Mapping | list):
        return f"{where}: {message}"
    value = json.dumps(given, ensure_ascii=False, default=str)
    return f"{where}: {message}, not {value if len(value) <= VALUE_CHARS else value[:VALUE_CHARS] + '…'}"
