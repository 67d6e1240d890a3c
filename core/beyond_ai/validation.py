"""What pydantic found wrong, as one line a key. The refused value is never in it: it may be a secret."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


def problems_of(error: "ValidationError") -> list[str]:
    """Each problem as `key: what is wrong`, with a dotted key.

    A validator that raises an error of type `below` stands for several problems below its key, one a line.
    """
    problems: list[str] = []
    for found in error.errors(include_url=False, include_input=False, include_context=False):
        key = ".".join(str(part) for part in found["loc"] if part != "[key]")
        if found["type"] == "extra_forbidden":
            problems.append(f"{key}: unknown key")
            continue
        text = found["msg"].removeprefix("Value error, ").removeprefix("Input ")
        if found["type"] == "below":
            problems += [f"{key}.{line}" if key else line for line in text.splitlines()]
        else:
            problems.append(f"{key}: {text}" if key else text)
    return problems
