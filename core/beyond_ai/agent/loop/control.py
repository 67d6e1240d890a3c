"""What may be said to a run while it goes on: messages, a stop, another model."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from beyond_ai.agent.loop.stop import Stop
from beyond_ai.spec.conversation import Image, Text, ThinkingLevel

Lane = Literal["steer", "follow_up", "next_turn"]
LaneMode = Literal["one_at_a_time", "all"]

LANES: Final[tuple[Lane, ...]] = ("steer", "follow_up", "next_turn")
LANE_SIZE: Final = 64
"""Messages that may wait in a lane."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message that waits for its time."""

    content: tuple[Text | Image, ...]

    @property
    def text(self) -> str:
        """Its text."""
        return "".join(block.text for block in self.content if isinstance(block, Text))


@dataclass(frozen=True, slots=True)
class Switch:
    """Another model, another level, or both; None leaves it as it is."""

    model: str | None
    thinking: ThinkingLevel | None


class Control:
    """The handle on a loop. It outlives runs; all methods belong to the event loop's thread.

    Three lanes of messages wait for their time: `steer` goes to the model with the next results of tools, or as a
    message of its own if the run would end; `follow_up` when the run would end; `next_turn` with the next prompt.

        control = Control()
        ...
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, control.cancel)
    """

    def __init__(
        self, *, steer: LaneMode = "one_at_a_time", follow_up: LaneMode = "one_at_a_time", size: int = LANE_SIZE
    ) -> None:
        """Make one whose lanes hold SIZE messages each. A mode says how many are taken at a time."""
        self._lanes: dict[Lane, deque[Waiting]] = {lane: deque() for lane in LANES}
        self.modes: dict[Lane, LaneMode] = {"steer": steer, "follow_up": follow_up, "next_turn": "all"}
        self._size = size
        self._stop: Stop | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._stop_after_turn = False
        self._switch: Switch | None = None
        self._unsaid: tuple[str, ...] = ()

    # what others say

    def steer(self, content: str | Sequence[Text | Image]) -> bool:
        """Tell the running agent CONTENT as soon as possible. False when the lane is full; then nothing is kept."""
        return self._put("steer", content)

    def follow_up(self, content: str | Sequence[Text | Image]) -> bool:
        """Ask CONTENT when the agent is through with what it does. False when the lane is full."""
        return self._put("follow_up", content)

    def next_turn(self, content: str | Sequence[Text | Image]) -> bool:
        """Put CONTENT before the next prompt. False when the lane is full."""
        return self._put("next_turn", content)

    def clear(self, *lanes: Lane) -> tuple[str, ...]:
        """Drop what waits in LANES, or in all of them; return the texts."""
        texts: list[str] = []
        for lane in lanes or LANES:
            texts += [waiting.text for waiting in self._lanes[lane]]
            self._lanes[lane].clear()
        return tuple(texts)

    def pending(self, lane: Lane) -> tuple[str, ...]:
        """The texts that wait in LANE."""
        return tuple(waiting.text for waiting in self._lanes[lane])

    def cancel(self) -> bool:
        """Stop the run now; False when none is going on. `idle` tells when it has ended."""
        if self._stop is None:
            return False
        self._stop.request("cancelled")
        return True

    def stop_after_turn(self) -> None:
        """End the run when the present answer and its calls are through. Nothing when no run is going on."""
        self._stop_after_turn = self._stop is not None

    def switch(self, *, model: str | None = None, thinking: ThinkingLevel | None = None) -> None:
        """Ask MODEL, with THINKING, from the next request on; it stays so after the run."""
        before = self._switch or Switch(None, None)
        self._switch = Switch(model or before.model, thinking or before.thinking)

    @property
    def running(self) -> bool:
        """Whether a run is going on."""
        return self._stop is not None

    async def idle(self) -> None:
        """Return when no run is going on."""
        await self._idle.wait()

    # what the loop asks

    def begin(self) -> Stop:
        """A run begins. Raises RuntimeError when one is going on."""
        if self._stop is not None:
            raise RuntimeError("a run is going on already: wait for control.idle()")
        self._stop = Stop()
        self._idle.clear()
        return self._stop

    def end(self) -> None:
        """The run is over. After a cancellation nothing waits for it any more: `take_unsaid` has it."""
        if self._stop is not None and self._stop.cause == "cancelled":
            self._unsaid += self.clear("steer", "follow_up")
        self._stop = None
        self._stop_after_turn = False
        self._idle.set()

    def take(self, lane: Lane) -> tuple[Waiting, ...]:
        """What of LANE is due now: the first, or all, by its mode."""
        waiting = self._lanes[lane]
        count = len(waiting) if self.modes[lane] == "all" else min(1, len(waiting))
        return tuple(waiting.popleft() for _ in range(count))

    def take_unsaid(self) -> tuple[str, ...]:
        """The texts that waited when runs were cancelled, since the last time."""
        unsaid, self._unsaid = self._unsaid, ()
        return unsaid

    def take_switch(self) -> Switch | None:
        """The switch that was asked for since the last time."""
        switch, self._switch = self._switch, None
        return switch

    @property
    def stopping(self) -> bool:
        """Whether the run is to end after this turn."""
        return self._stop_after_turn

    def _put(self, lane: Lane, content: str | Sequence[Text | Image]) -> bool:
        if len(self._lanes[lane]) >= self._size:
            return False
        blocks = (Text(text=content),) if isinstance(content, str) else tuple(content)
        self._lanes[lane].append(Waiting(blocks))
        return True
