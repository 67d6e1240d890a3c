"""Notices a model that makes the same failing call again and again."""

import json
from typing import Final

from beyond_ai.spec.conversation import ToolUse

REMARK_AT: Final = 3
"""At this failure of one call in a row the model is told."""

REMARK: Final = (
    "[This very call has now failed {count} times in a row. Do not send it again as it is: "
    "find out why it fails, or go another way. The run stops if it is repeated.]"
)


class Repeats:
    """How often in a row one call has failed."""

    def __init__(self) -> None:
        self._key: tuple[str, str] | None = None
        self._count = 0

    @property
    def just_told(self) -> bool:
        """Whether the latest call is the one at which the model is told."""
        return self._count == REMARK_AT

    @property
    def stuck(self) -> bool:
        """Whether the model has gone on after it was told."""
        return self._count > REMARK_AT

    @property
    def name(self) -> str:
        """The tool of the latest failing call."""
        return self._key[0] if self._key else ""

    def note(self, call: ToolUse, *, failed: bool) -> str | None:
        """Take in the result of CALL, in call order; return what the model is to be told."""
        if not failed:
            self._key, self._count = None, 0
            return None
        arguments = call.malformed if call.malformed is not None else json.dumps(call.input, sort_keys=True)
        key = (call.name, arguments)
        self._count = self._count + 1 if key == self._key else 1
        self._key = key
        return REMARK.format(count=self._count) if self._count == REMARK_AT else None
