"""What a running tool says, passed on now and then: only what is new, and not too much at once."""

import asyncio
from typing import Final

from beyond_ai.agent.loop.emitter import Emitter
from beyond_ai.agent.loop.settings import Clock
from beyond_ai.spec.agent_event import ToolProgress
from beyond_ai.spec.conversation import ToolUse

PROGRESS_CHARS: Final = 8_192
"""Characters of one event; of more, the end is shown."""


class Progress:
    """The `progress` of one call: it is told everything so far, and tells what was added."""

    def __init__(self, call: ToolUse, emitter: Emitter, clock: Clock, interval: float) -> None:
        self._call = call
        self._emitter = emitter
        self._clock = clock
        self._interval = interval
        self._latest = ""
        self._told = ""
        self._closed = self._shut = False
        self._resting = False
        self._task: asyncio.Task[None] | None = None

    def __call__(self, text: str) -> None:
        """The tool has said TEXT so far."""
        if self._closed or not isinstance(text, str):
            return
        self._latest = text
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._pass_on())

    def shut(self) -> None:
        """Tell nothing any more: the run does not wait for this call."""
        self._closed = self._shut = True

    async def close(self) -> None:
        """Tell the rest; nothing is told after it."""
        self._closed = True
        if self._task is not None:
            if self._resting:
                self._task.cancel()
            await asyncio.wait({self._task})
        await self._tell()

    async def _pass_on(self) -> None:
        while self._told != self._latest and not self._closed:
            await self._tell()
            self._resting = True
            try:
                await self._clock.sleep(self._interval)
            finally:
                self._resting = False
        self._task = None

    async def _tell(self) -> None:
        latest, told = self._latest, self._told
        if latest == told or self._shut:
            return
        self._told = latest
        new = latest.removeprefix(told)  # all of it where a tool keeps only the end
        if len(new) > PROGRESS_CHARS:
            new = "…" + new[-PROGRESS_CHARS:]
        await self._emitter(
            ToolProgress(
                id=self._call.id, name=self._call.name, text=new, total_bytes=len(latest.encode(errors="replace"))
            )
        )
