"""One `agent serve` from its first frame to its exit code, whatever happens on the way."""

import asyncio
import os
import signal
import sys
from typing import Final, NoReturn

from beyond_ai.agent.run import exits
from beyond_ai.agent.run.options import RunOptions
from beyond_ai.agent.run.output import Output
from beyond_ai.agent.run.views import claim_stdout
from beyond_ai.agent.serve import frames
from beyond_ai.agent.serve.approvals import Approvals
from beyond_ai.agent.serve.commands import Commands
from beyond_ai.agent.serve.reader import LARGEST, StdinReader
from beyond_ai.agent.serve.sessions import Sessions
from beyond_ai.agent.serve.writer import LARGEST as LARGEST_OUT
from beyond_ai.agent.serve.writer import REPLAY, Writer
from beyond_ai.errors import BeyondError, ConfigError
from beyond_ai.version import VERSION

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
CANCEL_SECONDS: Final = 5.0
FLUSH_SECONDS: Final = 0.5
CAPABILITIES: Final = (
    "ack", "seq", "attach", "approvals", "queries_while_running", "clear_queue", "branch_summaries", "exit",
    "instance",
)  # fmt: skip


class Server:
    """The process. `run` does not return: it ends it."""

    def __init__(self, options: RunOptions, approval_seconds: float) -> None:
        self._options: Final = options
        self._writer: Final = Writer(Output(claim_stdout(), self._reader_gone))
        self._approvals: Final = Approvals(self._writer, approval_seconds)
        self._sessions: Sessions | None = None
        self._ending: asyncio.Future[tuple[int, str]]

    def run(self) -> NoReturn:
        """Serve until stdin ends or a signal comes, and end the process."""
        code, reason = exits.FAILED, "internal"
        try:
            self._sessions = Sessions(self._options, self._writer, self._approvals)
            code, reason = asyncio.run(self._serve(self._sessions))
        except BeyondError as error:
            code, reason = error.exit_code, error.message
            sys.stderr.write(f"error: {error.message}\n" + (f"hint: {error.hint}\n" if error.hint else ""))
        except BaseException as error:  # noqa: BLE001 - a defect: one line for people, and a last frame for programs
            reason = f"{type(error).__name__}: {error}"
            sys.stderr.write(f"error: {reason}\n")
        finally:
            self._leave(code, reason)

    def _leave(self, code: int, reason: str) -> NoReturn:
        try:
            self._writer.output.hurry()
            self._writer.put(frames.Exit(code=code, reason=reason))
            self._writer.output.finish(FLUSH_SECONDS)
            sys.stderr.flush()
            if self._sessions is not None:
                self._sessions.agent.leave()
        finally:
            os._exit(code)

    async def _serve(self, sessions: Sessions) -> tuple[int, str]:
        loop = asyncio.get_running_loop()
        self._ending = loop.create_future()
        for number in SIGNALS:
            loop.add_signal_handler(number, self._caught, number)
        commands = Commands(self._options, self._writer, self._approvals, sessions)
        limits = {"line_in": LARGEST, "line_out": LARGEST_OUT, "replay": REPLAY}
        self._writer.put(
            frames.Ready(
                session_id=sessions.agent.session.id,
                model=sessions.agent.session.conversation.model,
                version=VERSION,
                pid=os.getpid(),
                instance=self._writer.instance,
                capabilities=CAPABILITIES,
                limits=limits,
            )
        )
        reading = asyncio.ensure_future(self._read(StdinReader(loop), commands))
        await asyncio.wait([reading, self._ending], return_when=asyncio.FIRST_COMPLETED)
        code, reason = self._ending.result() if self._ending.done() else reading.result()
        reading.cancel()
        if commands.task is not None and not commands.task.done():
            if self._ending.done():
                self._writer.output.hurry()
            commands.cancel()
            await asyncio.wait([commands.task], timeout=CANCEL_SECONDS)
        # asyncio.run would wait for what is left over, which may be a thread that never ends
        self._leave(code, reason)

    async def _read(self, reader: StdinReader, commands: Commands) -> tuple[int, str]:
        while (line := await reader.next()) is not None:
            commands.take(line)
            await self._writer.room()
        return exits.DONE, "end of input"

    def _caught(self, number: int) -> None:
        if self._ending.done():
            self._leave(exits.signal_code(number), exits.name_of(number))
        self._ending.set_result((exits.signal_code(number), exits.name_of(number)))

    def _reader_gone(self) -> None:
        if not self._ending.done():
            self._ending.set_result((exits.DONE, "nobody reads any more"))


def check(options: RunOptions) -> None:
    """Raise ConfigError where OPTIONS name both a file and a folder."""
    if options.session.file is not None and options.session.folder is not None:
        raise ConfigError("--session-file and --session-dir exclude each other", "keep one of them")
