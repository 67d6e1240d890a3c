"""Commands as tools run them: to their end, in a bounded time, and with all that they start."""

import asyncio
import contextlib
import errno
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

from beyond_ai import ToolContext, ToolError, ToolResult
from beyond_ai_tools.processes.group import Survivor, Warden, alive, holders, kill, survivors
from beyond_ai_tools.processes.output import CommandOutput

GRACE: Final = 0.1
"""Seconds that output may still come after a command has ended, from what it has left running."""
STEP: Final = 0.01
"""Seconds between two looks at whether a group has ended."""
DYING: Final = 1.0
"""Seconds for killed processes to be gone."""
PROGRESS: Final = 0.1
"""Seconds between two reports of progress."""
CHUNK: Final = 1 << 16
PIECES: Final = 16
"""Pipes hold one piece, or, where somebody has enlarged them, these many."""
NAME: Final = 60
"""Characters of a survivor's command line that are shown."""
SIGNALLED: Final = 128
"""A shell adds this to the number of the signal that ended a command."""

Unfinished = Literal["timeout", "aborted"]


class Reader:
    """Reads the pipe that a command writes to, for as long as anything writes to it.

    What stays in the background is read on, into the file of its output: it would be killed by the first line that it
    writes to a pipe nobody reads.
    """

    def __init__(self, pipe: int, output: CommandOutput, context: ToolContext) -> None:
        self.ended = asyncio.Event()
        self.output = output
        self._pipe = pipe
        self._context: ToolContext | None = context
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        os.set_blocking(pipe, False)
        self._loop.add_reader(pipe, self._read)

    @property
    def pipe(self) -> int:
        """The descriptor."""
        return self._pipe

    def rest(self) -> None:
        """Read what is in the pipe now, but not for ever, as something may still be filling it."""
        for _ in range(PIECES):
            if self.ended.is_set() or not self._read():
                return

    def leave(self) -> None:
        """Report no more progress: the call is over, whatever else is written."""
        self._context = None
        if self._timer is not None:
            self._timer.cancel()

    def close(self) -> None:
        """Read no more."""
        if not self.ended.is_set():
            self._loop.remove_reader(self._pipe)
            os.close(self._pipe)
            self.ended.set()

    def _read(self) -> bool:
        """Take the next piece; whether there was any."""
        try:
            data = os.read(self._pipe, CHUNK)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        self.output.take(data, final=not data)
        if not data:
            self.close()
            if self._context is None:
                self.output.close()
        if self._context is not None and self._timer is None:
            self._report()
            self._timer = self._loop.call_later(PROGRESS, self._next_report)
        return bool(data)

    def _next_report(self) -> None:
        self._timer = None
        self._report()

    def _report(self) -> None:
        if self._context is not None:
            self._context.progress(self.output.end)


class Command:
    """A command that runs, in a session of its own."""

    def __init__(self, process: asyncio.subprocess.Process, reader: Reader) -> None:
        self._process = process
        self._reader = reader
        self.left: list[Survivor] = []
        """what it has left running"""

    @property
    def group(self) -> int:
        """Of its processes; the session has the same number."""
        return self._process.pid

    async def wait(self, context: ToolContext, seconds: float) -> int | Unfinished:
        """Its exit code, or why it was killed after SECONDS at most: with all that belongs to it.

        When this task is cancelled it is killed too.
        """
        exited = asyncio.ensure_future(self._process.wait())
        cancelled = asyncio.ensure_future(context.cancellation.wait())
        try:
            done, _ = await asyncio.wait({exited, cancelled}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if exited in done:
                await self._look_for_survivors()
                return exited.result()
            self._kill()
            await asyncio.wait({exited}, timeout=DYING)
            await self._output_ends()
            return "aborted" if cancelled in done else "timeout"
        except asyncio.CancelledError:
            self._kill()
            await asyncio.wait({exited}, timeout=DYING)
            raise
        finally:
            cancelled.cancel()
            self._reader.rest()

    async def _look_for_survivors(self) -> None:
        """Give what it has left running a moment, then see what that is."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + GRACE
        await self._output_ends()
        while alive(self.group) and loop.time() < deadline:  # noqa: ASYNC110 - nothing tells when a group has ended
            await asyncio.sleep(STEP)
        if not self._reader.ended.is_set() or alive(self.group):
            self.left = await asyncio.to_thread(self._relatives)

    async def _output_ends(self) -> None:
        """Wait for the end of its output, a moment at most."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._reader.ended.wait(), GRACE)

    def _relatives(self) -> list[Survivor]:
        """Its processes: those of its session, and whoever else holds its output."""
        found = {survivor.pid: survivor for survivor in survivors(self.group)}
        if not self._reader.ended.is_set():
            found |= {survivor.pid: survivor for survivor in holders(self._reader.pipe)}
        return [found[pid] for pid in sorted(found)]

    def _kill(self) -> None:
        kill({self.group})
        kill({survivor.group for survivor in self._relatives()})


class Commands:
    """Runs commands. One warden sees to all that they leave running."""

    def __init__(self) -> None:
        self._warden = Warden()

    async def run(self, words: Sequence[str], *, folder: Path, seconds: float, context: ToolContext) -> ToolResult:
        """Run the program WORDS[0] with the rest as its arguments, in FOLDER, for SECONDS at most.

        Whatever it writes, to whichever stream, is the result; any end but exit code 0 is an error. Raises ToolError
        when it cannot be started.
        """
        output = CommandOutput(context.limits, context.scratch)
        command, reader = await _start(words, folder, context, output)
        self._warden.watch(command.group)
        try:
            outcome = await command.wait(context, seconds)
        except BaseException:
            reader.close()
            output.close()
            raise
        finally:
            reader.leave()
            if not alive(command.group):
                self._warden.release(command.group)
        for survivor in command.left:
            if survivor.session == command.group:
                self._warden.watch(survivor.group)
        return _result(outcome, command.left, reader, seconds)


async def _start(
    words: Sequence[str], folder: Path, context: ToolContext, output: CommandOutput
) -> tuple[Command, Reader]:
    """Start a command. Raises ToolError when it cannot be."""
    reading, writing = os.pipe()
    try:
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=writing,
            stderr=writing,
            cwd=folder,
            env=dict(context.environment),
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        os.close(reading)
        raise ToolError(f"The command was not run: {_reason(error)}") from error
    except BaseException:
        os.close(reading)
        raise
    finally:
        os.close(writing)
    reader = Reader(reading, output, context)
    return Command(process, reader), reader


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, OSError):
        if error.errno == errno.E2BIG:
            return "it is too long for a command line. Write it to a file and run that."
        return f"{error.strerror}."
    return "it holds a character that no command line can, as NUL or half of a surrogate pair."


def _result(outcome: int | Unfinished, left: list[Survivor], reader: Reader, seconds: float) -> ToolResult:
    output = reader.output
    if not reader.ended.is_set():
        output.keep()
    cut = output.cut()
    parts = [cut.text or "(no output)"]
    if cut.truncated:
        parts.append(cut.marker(_where(output)))
    if left or not reader.ended.is_set():
        parts.append(_left_running(left, reader))
    else:
        output.close(remove=not cut.truncated)
    details = {"exit_code": str(outcome)} if isinstance(outcome, int) else {}
    if outcome != 0:
        parts.append(_failure(outcome, seconds))
    return ToolResult("\n\n".join(parts), is_error=outcome != 0, details=details)


def _where(output: CommandOutput) -> str:
    """Where what is not shown can be read, as far as it can."""
    if not output.problem:
        return f"Full output: {output.path}"
    if output.path is None:
        return f"The rest is lost ({output.problem})"
    return f"Only the first {output.written:,} bytes are in {output.path}, the rest is lost ({output.problem})"


def _left_running(left: list[Survivor], reader: Reader) -> str:
    """What the model should know of what goes on in the background."""
    names = ", ".join(f"{survivor.pid} ({survivor.name[:NAME]})" for survivor in left)
    text = f"Still running in the background: {names or 'a process that holds the output'}."
    if not reader.ended.is_set() and reader.output.path is not None:
        problem = reader.output.problem
        goes_on = f"is lost from here on ({problem})" if problem else f"goes on in {reader.output.path}"
        text += f" Its output {goes_on}"
    return f"[{text}]"


def _failure(outcome: int | Unfinished, seconds: float) -> str:
    if outcome == "timeout":
        return f"Command timed out after {seconds:g} seconds"
    if outcome == "aborted":
        return "Command aborted"
    assert isinstance(outcome, int)
    if outcome < 0:
        return f"Command was killed by signal {-outcome} ({_signal(-outcome)})"
    if outcome > SIGNALLED and (name := _signal(outcome - SIGNALLED)):
        return f"Command exited with code {outcome} ({name})"
    return f"Command exited with code {outcome}"


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return ""
