"""The one writer of stdout. A reader that does not keep up makes the run wait, and nothing is dropped."""

import asyncio
import os
from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import Final

from beyond_ai.agent.json_line import json_line
from beyond_ai.agent.run.frames import CUTS, cut_texts, members_of
from beyond_ai.agent.run.output import Output
from beyond_ai.agent.serve.frames import Event, Frame
from beyond_ai.spec.agent_event import AgentEvent, Delta, Steered, ToolEnd
from beyond_ai.spec.conversation import JsonObject

LARGEST: Final = 1024 * 1024
"""Bytes of a line, its end included."""
REPLAY: Final = 4 * 1024 * 1024
"""Bytes of events that are kept for `attach`."""


class Writer:
    """Writes frames; events get their numbers here, which count for `instance` alone.

    `pointer` says where the whole of a text is that had to be cut.
    """

    def __init__(self, output: Output) -> None:
        self.output: Final = output
        self.instance: Final = os.urandom(8).hex()
        """names this process, as no other is called, on another machine neither"""
        self.pointer: Path | None = None
        self.seq = 0
        self._kept: deque[tuple[int, JsonObject, int]] = deque()
        self._kept_bytes = 0
        self._delta: Delta | None = None

    def put(self, frame: Frame) -> None:
        """Write FRAME, after all that came before it."""
        self._flush()
        self.output.put(self._line(frame.model_dump(exclude_none=True)))

    async def room(self) -> None:
        """Return when the reader has kept up."""
        await self.output.write(b"")

    async def event(self, event: AgentEvent) -> None:
        """Write EVENT. Deltas that came in one piece are one frame."""
        if isinstance(event, Delta):
            held = self._delta
            if held is not None and (held.type, held.index) == (event.type, event.index):
                self._delta = replace(held, text=held.text + event.text)
            else:
                self._flush()
                self._delta = event
                asyncio.get_running_loop().call_soon(self._flush)
        else:
            self._flush()
            self._event(shown(event))
        await self.room()

    def replay(self, after: int) -> tuple[int, bool]:
        """Write again what came after number AFTER: how many events, and whether some are not kept any more."""
        self._flush()
        kept = [(seq, event) for seq, event, _ in self._kept if seq > after]
        for seq, event in kept:
            self.output.put(self._line(Event(event=event, seq=seq, replayed=True).model_dump(exclude_none=True)))
        return len(kept), after < self.seq and (not kept or kept[0][0] > after + 1)

    def _flush(self) -> None:
        held, self._delta = self._delta, None
        if held is not None:
            self._event(shown(held))

    def _event(self, event: JsonObject) -> None:
        self.seq += 1
        line = self._line({"type": "event", "event": event, "seq": self.seq})
        self.output.put(line)
        self._kept.append((self.seq, event, len(line)))
        self._kept_bytes += len(line)
        while self._kept_bytes > REPLAY:
            self._kept_bytes -= self._kept.popleft()[2]

    def _line(self, frame: JsonObject) -> bytes:
        data = json_line(frame)
        for limit in CUTS:
            if len(data) <= LARGEST:
                return data
            cut: list[JsonObject] = []
            shorter = {key: cut_texts(value, key, limit, cut) for key, value in frame.items()}
            data = json_line(shorter | {"cut": cut} | self._whole())
        if len(data) <= LARGEST:
            return data
        members = {name: frame[name] for name in ("type", "id", "command", "success", "seq") if name in frame}
        return json_line(members | {"cut": []} | self._whole())

    def _whole(self) -> JsonObject:
        return {} if self.pointer is None else {"whole": str(self.pointer)}


def shown(event: AgentEvent) -> JsonObject:
    """EVENT as the protocol has it, which differs from the agent's own words in a few places."""
    members = members_of(event)
    if isinstance(event, Delta):
        name = {"text": "text", "thinking": "thinking", "tool_arguments": "partial_json"}[event.type]
        kind = {"text": "text_delta", "thinking": "thinking_delta", "tool_arguments": "input_json_delta"}[event.type]
        return {"kind": "stream", "type": kind, "index": event.index, name: event.text}
    if isinstance(event, ToolEnd):
        members["result"] = members.pop("text")
    if isinstance(event, Steered):
        members |= {"messages": len(event.messages), "texts": list(event.messages)}
    return members
