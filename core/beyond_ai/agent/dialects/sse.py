"""Server-sent events, framed on bytes: https://html.spec.whatwg.org/multipage/server-sent-events.html.

Only LF ends a line, with a CR before it tolerated, so that no character of a model's text (U+2028, a lone CR within a
JSON string, half of a multi-byte character at the border of a chunk) can end one. Comments and fields other than
`event` and `data` are skipped.
"""

from dataclasses import dataclass
from typing import Final

from beyond_ai.agent.failure import ModelFailure

MAX_EVENT_BYTES: Final = 32 * 1024 * 1024
"""Of one line, and of the data of one event. Events that repeat a whole answer, images in it, are a few MiB."""

_BOM: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One event: its `data` lines, joined by LF, and its name, empty when it has none."""

    data: bytes
    name: str = ""


class EventFramer:
    """Cuts a stream into events, wherever its chunks begin and end. ModelFailure for one above MAX_BYTES."""

    def __init__(self, max_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max_bytes = max_bytes
        self._line: list[bytes] = []
        self._line_bytes = 0
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._name = ""
        self._at_start = True

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """The events that CHUNK completes."""
        first, *others = chunk.split(b"\n")
        self._line.append(first)
        self._line_bytes += len(first)
        events: list[ServerSentEvent] = []
        if others:
            self._end_line(b"".join(self._line), events)
            for line in others[:-1]:
                self._end_line(line, events)
            self._line, self._line_bytes = [others[-1]], len(others[-1])
        if self._line_bytes > self._max_bytes:
            raise self._too_long()
        return events

    def finish(self) -> list[ServerSentEvent]:
        """The event that the end of the stream completes: some servers leave out its last empty line."""
        events: list[ServerSentEvent] = []
        self._end_line(b"".join(self._line), events)
        self._end_line(b"", events)
        self._line, self._line_bytes = [], 0
        return events

    def _end_line(self, line: bytes, events: list[ServerSentEvent]) -> None:
        if self._at_start:
            line, self._at_start = line.removeprefix(_BOM), False
        line = line.removesuffix(b"\r")
        if not line:
            if self._data:
                events.append(ServerSentEvent(b"\n".join(self._data), self._name))
            self._data, self._data_bytes, self._name = [], 0, ""
            return
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
            self._data_bytes += len(value) + 1
            if self._data_bytes > self._max_bytes:
                raise self._too_long()
        elif name == b"event":
            self._name = value.decode("utf-8", "replace")

    def _too_long(self) -> ModelFailure:
        return ModelFailure("network", f"the model's stream holds an event of more than {self._max_bytes:,} bytes")
