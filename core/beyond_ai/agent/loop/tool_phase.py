"""From the calls of an answer to their results.

All calls are checked and pass the gate, in call order, before any of them runs. Then they run side by side, except that
calls which write one path keep their order, and that nothing runs beside a tool that is exclusive. Whatever happens, a
call has one result in the end: `outputs` closes those that have none.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from beyond_ai.agent.loop.arguments import Unfit, check_call, describe
from beyond_ai.agent.loop.definitions import ToolSet
from beyond_ai.agent.loop.emitter import Emitter
from beyond_ai.agent.loop.hooks import HookChain
from beyond_ai.agent.loop.progress import Progress
from beyond_ai.agent.loop.repeats import Repeats
from beyond_ai.agent.loop.results import checked, failure, output
from beyond_ai.agent.loop.settings import Clock, LoopSettings
from beyond_ai.agent.loop.stop import Stop
from beyond_ai.spec.agent_event import ToolEnd, ToolStart
from beyond_ai.spec.conversation import ToolOutput, ToolUse
from beyond_ai.spec.tool import Tool, ToolContext, ToolError, ToolResult

if TYPE_CHECKING:
    from pydantic import BaseModel

NOT_RUN: Final = "The run was stopped before this call was run. Nothing of it was done."
BROKEN_OFF: Final = "The run was stopped while this call was running. What it had done until then stays done."


@dataclass(slots=True, eq=False)
class Job:
    """One call on its way to a result. `tool` is None when it must not run."""

    call: ToolUse
    tool: Tool | None = None
    arguments: "BaseModel | None" = None
    refusal: str | None = None
    context: ToolContext | None = None
    progress: Progress | None = None
    started: float | None = None
    result: ToolResult | None = None
    announced: bool = False
    closed: bool = False
    """whether it was given a result from outside; its own comes too late then"""


class ToolPhase:
    """The calls of one answer."""

    def __init__(
        self,
        calls: Sequence[ToolUse],
        *,
        cut: ToolUse | None,
        tools: ToolSet,
        hooks: HookChain,
        emitter: Emitter,
        settings: LoopSettings,
        clock: Clock,
        stop: Stop,
        tool_context: Callable[[str], ToolContext],
    ) -> None:
        """Prepare CALLS; CUT is one of them that a token limit broke off."""
        self._hooks = hooks
        self._emitter = emitter
        self._settings = settings
        self._clock = clock
        self._stop = stop
        self._tool_context = tool_context
        self._jobs = [_checked_job(call, tools, cut=call is cut) for call in calls]

    async def run(self) -> None:
        """Give as many calls as possible their results. Raises Stopped; also then `outputs` has one for each."""
        for job in self._jobs:
            job.announced = True
            call, summary = job.call, describe(job.call, job.tool, job.arguments)
            await self._emitter(ToolStart(id=call.id, name=call.name, input=call.input, summary=summary))
        for job in self._jobs:
            await self._gate(job)
        ready = [job for job in self._jobs if job.tool is not None]
        if ready:
            await self._run_side_by_side(self._groups(ready))
        self._stop.check()

    def close(self) -> tuple[ToolEnd, ...]:
        """Give an error result to every call that has none; return the events that are still to be told."""
        ends = []
        for job in self._jobs:
            if job.result is None:
                job.closed = True
                if job.progress is not None:
                    job.progress.shut()
                job.result = failure(NOT_RUN if job.started is None else BROKEN_OFF)
                if job.announced:
                    ends.append(self._end(job, job.result))
        return tuple(ends)

    def outputs(self, repeats: Repeats) -> tuple[ToolOutput, ...]:
        """One result for each call, in call order. REPEATS watches for calls that fail again and again."""
        outputs = []
        for job in self._jobs:
            assert job.result is not None, "closed before"
            remark = None if job.closed else repeats.note(job.call, failed=job.result.is_error)
            outputs.append(output(job.call.id, job.result, remark))
        return tuple(outputs)

    @property
    def terminates(self) -> bool:
        """Whether every call says that the model need not be asked again."""
        return all(job.result is not None and job.result.terminate for job in self._jobs)

    async def _gate(self, job: Job) -> None:
        if job.tool is not None:
            reason = await self._hooks.gate(job.call, self._stop)
            if reason is not None:
                job.refusal = f"This call was blocked, so nothing was run: {reason}"
            else:
                job.refusal = self._equip(job)
        if job.refusal is not None:
            job.tool = None
            await self._finish(job, failure(job.refusal))

    def _equip(self, job: Job) -> str | None:
        progress = Progress(job.call, self._emitter, self._clock, self._settings.progress_interval)
        try:
            context = self._tool_context(job.call.id)
        except Exception as error:  # noqa: BLE001 - where a tool runs is made by the shell
            return f"There is no place to run it: {type(error).__name__}: {error}"
        job.progress = progress
        job.context = replace(context, progress=progress, cancellation=self._stop)
        return None

    def _groups(self, jobs: list[Job]) -> list[list[Job]]:
        """JOBS that keep their order stand in one list."""
        if self._settings.parallel <= 1 or any(job.tool is not None and job.tool.exclusive for job in jobs):
            return [jobs]
        groups: dict[object, list[Job]] = {}
        for job in jobs:
            groups.setdefault(_target(job) or job.call.id, []).append(job)
        return list(groups.values())

    async def _run_side_by_side(self, groups: list[list[Job]]) -> None:
        places = asyncio.Semaphore(self._settings.parallel)
        tasks: dict[asyncio.Future[None], list[Job]] = {
            asyncio.ensure_future(self._run_group(group, places)): group for group in groups
        }
        for task in tasks:
            task.add_done_callback(_seen)
        told = asyncio.ensure_future(self._stop.wait())
        try:
            await _until(tasks, told)
        except asyncio.CancelledError:
            self._stop.request("cancelled")
            raise
        finally:
            told.cancel()
            if self._stop.requested:
                await self._wind_down(tasks)
        for task in tasks:
            if task.done() and not task.cancelled():
                task.result()  # a failure of ours, not of a tool

    async def _wind_down(self, tasks: dict[asyncio.Future[None], list[Job]]) -> None:
        """Let TASKS end by themselves, then cancel them, then leave them behind."""
        await self._wait(tasks, self._settings.tool_grace)
        for task in tasks:
            task.cancel()
        await self._wait(tasks, self._settings.tool_cleanup)
        for job in [job for task, group in tasks.items() if not task.done() for job in group]:
            if job.started is not None and job.result is None:
                await self._emitter.notice(f"{job.call.name} does not stop and was left behind")

    async def _wait(self, tasks: Iterable[asyncio.Future[None]], seconds: float) -> None:
        if any(not task.done() for task in tasks):
            timer = asyncio.ensure_future(self._clock.sleep(seconds))
            try:
                await _until(tasks, timer)
            finally:
                timer.cancel()

    async def _run_group(self, group: list[Job], places: asyncio.Semaphore) -> None:
        async with places:
            for job in group:
                if self._stop.requested:
                    return
                await self._run_job(job)

    async def _run_job(self, job: Job) -> None:
        assert job.tool is not None
        assert job.progress is not None
        job.started = self._clock.now()
        try:
            result = await _called(job.tool, job.arguments, job.context)
        finally:
            await job.progress.close()
        if not job.closed:
            await self._finish(job, await self._hooks.after(job.call, result))

    async def _finish(self, job: Job, result: ToolResult) -> None:
        if not job.closed:
            job.result = result
            await self._emitter(self._end(job, result))

    def _end(self, job: Job, result: ToolResult) -> ToolEnd:
        return ToolEnd(
            id=job.call.id,
            name=job.call.name,
            text=result.text,
            is_error=result.is_error,
            seconds=0.0 if job.started is None else self._clock.now() - job.started,
            details=result.details,
        )


def _checked_job(call: ToolUse, tools: ToolSet, *, cut: bool) -> Job:
    try:
        tool, arguments = check_call(call, tools, cut=cut)
    except Unfit as refusal:
        return Job(call, refusal=str(refusal))
    return Job(call, tool, arguments)


async def _called(tool: Tool, arguments: object, context: object) -> ToolResult:
    """What TOOL gives back; no exception but cancellation gets out."""
    assert isinstance(context, ToolContext)
    try:
        return checked(tool.name, await tool.run(arguments, context))
    except ToolError as error:
        return failure(str(error) or f"{tool.name} failed without saying why.")
    except (Exception, SystemExit) as error:  # noqa: BLE001 - nothing that a tool does ends the run
        return failure(f"{tool.name} failed: {type(error).__name__}: {error}")


def _target(job: Job) -> object:
    """The one true path that JOB writes; None when it writes none or the tool cannot tell."""
    if job.tool is None or job.tool.writes is None or job.context is None:
        return None
    cwd = job.context.cwd
    try:
        path = job.tool.writes(job.arguments)
        return (type(cwd)(path).expanduser() if path.startswith("~") else cwd / path).resolve()
    except Exception:  # noqa: BLE001 - a path that is none; the tool itself will say so
        return None


def _seen(task: asyncio.Future[None]) -> None:
    """Nobody may be there any more to ask what became of TASK."""
    if not task.cancelled():
        task.exception()


async def _until(tasks: Iterable[asyncio.Future[None]], end: asyncio.Future[None]) -> None:
    """Return when all of TASKS are done, or END is."""
    while not end.done() and (open_tasks := {task for task in tasks if not task.done()}):
        await asyncio.wait({*open_tasks, end}, return_when=asyncio.FIRST_COMPLETED)
