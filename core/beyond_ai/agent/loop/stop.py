"""How a run is stopped in the middle: by people, or by its budget of seconds.

`Stop` is told once. What waits inside `interrupting()` is interrupted by it, with `Stopped`; what waits elsewhere, as a
checkpoint or a sink that writes, is not torn apart, and the next `interrupting()` notices. It costs no task, so that it
may surround the reading of every single event of a stream.
"""

import asyncio
from collections.abc import Coroutine
from types import TracebackType
from typing import Final, Literal, Self, TypeVar

Result = TypeVar("Result")
StopCause = Literal["cancelled", "budget"]

INTERRUPTIONS: Final = (asyncio.CancelledError, KeyboardInterrupt, SystemExit)
"""What ends a task at once: a run puts things in order as well as it can, and passes it on."""


class Stopped(Exception):  # noqa: N818 - not an error
    """The run is to stop now."""


class Interrupting:
    """A stretch of code that a stop interrupts."""

    __slots__ = ("_before", "_fired", "_stop", "_task")

    def __init__(self, stop: "Stop") -> None:
        self._stop = stop
        self._task: asyncio.Task[object] | None = None
        self._before = 0
        self._fired = False

    def __enter__(self) -> Self:
        self._stop.check()
        self._task = asyncio.current_task()
        if self._task is not None:
            self._before = self._task.cancelling()
        self._stop.watch(self)
        return self

    def fire(self) -> None:
        """Interrupt what waits here. When the stop comes from within it, it may first get to where it waits."""
        if self._task is asyncio.current_task():
            asyncio.get_running_loop().call_soon(self._cancel)
        else:
            self._cancel()

    def _cancel(self) -> None:
        if self._task is not None:
            self._fired = True
            self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.unwatch(self)
        task, self._task = self._task, None
        if self._fired and task is not None:
            left = task.uncancel()
            if left <= self._before and kind is not None:  # whatever the interrupted code made of it
                raise Stopped from None


class Stop:
    """Whether one run is to stop, and why. It is also the `Cancellation` that tools see."""

    def __init__(self) -> None:
        self.cause: StopCause | None = None
        self._told = asyncio.Event()
        self._watching: set[Interrupting] = set()

    @property
    def requested(self) -> bool:
        """Whether to stop now."""
        return self.cause is not None

    async def wait(self) -> None:
        """Return when it is requested."""
        await self._told.wait()

    def request(self, cause: StopCause) -> None:
        """Stop the run because of CAUSE. Only the first request counts."""
        if self.cause is None:
            self.cause = cause
            self._told.set()
            for interrupting in tuple(self._watching):
                interrupting.fire()

    def check(self) -> None:
        """Raise Stopped when it is requested."""
        if self.cause is not None:
            raise Stopped

    def interrupting(self) -> Interrupting:
        """Interrupt with Stopped what waits in this block, at once when it is requested already."""
        return Interrupting(self)

    def watch(self, interrupting: Interrupting) -> None:
        """INTERRUPTING has begun."""
        self._watching.add(interrupting)

    def unwatch(self, interrupting: Interrupting) -> None:
        """INTERRUPTING is over."""
        self._watching.discard(interrupting)


async def orderly(work: Coroutine[object, object, Result], stop: Stop) -> Result:
    """What WORK returns. When the caller is cancelled, STOP ends the work in good order before that is passed on.

    So no event and no checkpoint is torn apart. A second cancellation does not wait for the good order.
    """
    task = asyncio.ensure_future(work)
    cancellation: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            if cancellation is not None:
                task.cancel()
            cancellation = error
            stop.request("cancelled")
    if cancellation is None:
        return task.result()
    if not task.cancelled():
        task.exception()  # seen, and outranked
    raise cancellation
