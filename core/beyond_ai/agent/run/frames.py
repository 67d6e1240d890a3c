"""`--json`: one event a line, in a form that is documented in docs/agent-events.md.

The first line says which version of the form it is; within a version members and kinds are only added. The last line is
the `result`, on every path. No line is longer than 1 MiB: what is longer is cut, and says where the whole of it is.
"""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Final

from beyond_ai.agent.json_line import json_line
from beyond_ai.agent.run.output import Output
from beyond_ai.spec.agent_event import AgentEvent
from beyond_ai.spec.conversation import JsonObject

SCHEMA: Final = 1
SPILLED: Final = "event-"
"""How files begin that hold whole frames; they are for whoever reads them, also when the run is over."""
LARGEST: Final = 1024 * 1024
"""Bytes of a line, its end included."""
CUTS: Final = (65_536, 8_192, 512, 16)
"""Characters that are left of a long text; the next where a line is too long all the same."""


class Frames:
    """Writes frames. SCRATCH is where the whole of one that is too long goes; nowhere while it is None."""

    def __init__(self, output: Output) -> None:
        self.scratch: Path | None = None
        self._output = output
        self._seq = 0
        self.begun = False
        self.ended = False

    async def __call__(self, event: AgentEvent) -> None:
        """Write EVENT."""
        await self._output.write(self.line(members_of(event)))

    def begin(self, **members: object) -> None:
        """Write the first line."""
        if not self.begun:
            self.begun = True
            self._output.put(self.line({"kind": "session", "schema": SCHEMA, **members}))

    def put(self, kind: object, **members: object) -> None:
        """Write a frame of KIND, without waiting for the reader."""
        self._output.put(self.line({"kind": kind, **members}))

    async def room(self) -> None:
        """Return when the reader has kept up."""
        await self._output.write(b"")

    def end(self, **members: object) -> None:
        """Write the last line; once."""
        if not self.ended:
            self.ended = True
            self._output.put(self.line({"kind": "result", **members}))

    def line(self, members: Mapping[str, object]) -> bytes:
        """MEMBERS as the next line."""
        frame: JsonObject = {"kind": members["kind"], "seq": self._seq}
        if frame["kind"] != "delta":  # of which there are very many
            frame["ts"] = round(time.time(), 3)
        frame |= members
        self._seq += 1
        data = json_line(frame)
        if len(data) <= LARGEST:
            return data
        whole = self._spilled(data, frame["seq"])
        for limit in CUTS:
            cut: list[JsonObject] = []
            shorter = {key: cut_texts(value, key, limit, cut) for key, value in frame.items()}
            shorter |= {"cut": cut, **whole}
            data = json_line(shorter)
            if len(data) <= LARGEST:
                return data
        return json_line({"kind": frame["kind"], "seq": frame["seq"], "cut": [], **whole})

    def _spilled(self, data: bytes, seq: object) -> JsonObject:
        """Where the whole of a frame is put."""
        if self.scratch is None:
            return {}
        path = self.scratch / f"{SPILLED}{seq}.json"
        try:
            self.scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.write_bytes(data)
        except OSError:
            with suppress(OSError):
                path.unlink()
            return {}
        return {"whole": str(path)}


def members_of(event: AgentEvent) -> JsonObject:
    """EVENT as JSON values; members that are None are left out."""
    value = plain(event)
    assert isinstance(value, dict)
    return value


def plain(value: object) -> object:
    """VALUE, records in it too, as JSON values; members that are None are left out."""
    if is_dataclass(value) and not isinstance(value, type):
        items = ((field.name, getattr(value, field.name)) for field in fields(value))
        return {name: plain(item) for name, item in items if item is not None}
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def cut_texts(value: object, where: str, limit: int, cut: list[JsonObject]) -> object:
    """VALUE with no text longer than LIMIT; what was cut is noted in CUT, with its place and its length."""
    if isinstance(value, str) and len(value) > limit:
        cut.append({"at": where, "chars": len(value)})
        return value[:limit]
    if isinstance(value, dict):
        return {key: cut_texts(item, f"{where}.{key}", limit, cut) for key, item in value.items()}
    if isinstance(value, list):
        return [cut_texts(item, f"{where}[{place}]", limit, cut) for place, item in enumerate(value)]
    return value
