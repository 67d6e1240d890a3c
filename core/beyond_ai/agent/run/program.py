"""One `agent run` from its options to its exit code, whatever happens on the way."""

import asyncio
import gc
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from beyond_ai.agent.prompt.piped import stdin_text
from beyond_ai.agent.prompt.skills import find_skills, skill_folders
from beyond_ai.agent.prompt.task import Task, TaskReader
from beyond_ai.agent.prompt.templates import template_folders
from beyond_ai.agent.run import exits
from beyond_ai.agent.run.frames import Frames
from beyond_ai.agent.run.options import RunOptions
from beyond_ai.agent.run.output import Output
from beyond_ai.agent.run.views import STDERR, JsonView, View, claim_stdout, make_view, paused
from beyond_ai.errors import BeyondError, ConfigError
from beyond_ai.spec.conversation import Block, Message, Text
from beyond_ai.version import VERSION

if TYPE_CHECKING:  # assembled behind a guard that turns what goes wrong into a last frame
    from beyond_ai.agent.loop import RunOutcome
    from beyond_ai.agent.run.assembly import Agent
    from beyond_ai.agent.run.summary import Total

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
CANCEL_SECONDS: Final = 5.0
"""How long a run may take to stop after a signal; then the program ends without it."""
CLOSE_SECONDS: Final = 0.3
FLUSH_SECONDS: Final = 0.5
ASK_AGAIN: Final = "Your answer does not fit the schema: {problem}. Answer again, with the JSON value alone."


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How the program ends; `code` and `message` say why where it is no success."""

    status: str
    exit_code: int
    code: str | None = None
    message: str | None = None
    answer: object = None
    """the structured answer"""


class Program:
    """Runs tasks. `run` does not return: it ends the process, and nothing that is left of the run can hold it up."""

    def __init__(self, options: RunOptions) -> None:
        self._options: Final = options
        self._descriptor: Final = claim_stdout()
        self._stdout: Final = Output(self._descriptor, self._reader_gone)
        self._stderr: Final = Output(STDERR)
        self._frames: Final = Frames(self._stdout) if options.json else None
        self._view: View
        if self._frames is not None:
            self._view = JsonView(self._frames, self._stderr)
        else:
            self._view = make_view(self._stdout, self._stderr, self._descriptor, answers=options.output_schema is None)
        self._agent: Agent | None = None
        self._total: Total | None = None
        self._caught: int | None = None

    def run(self, words: Sequence[str]) -> NoReturn:
        """Do the tasks in WORDS, and end the process."""
        for number in SIGNALS:
            signal.signal(number, lambda caught, _frame: self._leave_now(caught))
        try:
            ending = self._run(words)
        except BeyondError as error:
            ending = Ending(status="failed", exit_code=error.exit_code, code=code_of(error), message=error.message)
            self._show_error(error)
        except BaseException as error:  # noqa: BLE001 - a defect: one line for people, and a last frame for programs
            if self._options.debug:
                traceback.print_exception(error)
            message = f"{type(error).__name__}: {error}"
            ending = Ending(status="failed", exit_code=exits.FAILED, code="internal", message=message)
            self._view.line(f"error: {message}")
        self._leave(ending)

    # the run

    def _run(self, words: Sequence[str]) -> Ending:
        _start_lightly()
        from beyond_ai.agent.run.assembly import assemble

        tasks = self._tasks(words)
        agent = self._agent = assemble(self._options, self._view, self._warn)
        self._begin_frames(agent)
        self._let_ask(agent)
        gc.freeze()  # what is there now stays, and need not be looked through again and again
        gc.enable()
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        return loop.run_until_complete(self._drive(agent, tasks))

    def _tasks(self, words: Sequence[str]) -> list[Task]:
        left, piped = stdin_text(words, self._warn)
        cwd, home = self._options.cwd, Path.home()
        skills = partial(find_skills, skill_folders(cwd, home), self._warn)
        tasks = TaskReader(cwd, skills, template_folders(cwd, home)).tasks(left, piped)
        if not tasks:
            raise ConfigError("no task", 'say what to do: beyond-ai agent run "fix the failing test"')
        return tasks

    async def _drive(self, agent: "Agent", tasks: Sequence[Task]) -> Ending:
        from beyond_ai.agent.run.summary import Total

        self._total = Total()
        running = asyncio.get_running_loop()
        for number in SIGNALS:
            running.add_signal_handler(number, self._interrupt, number)
        try:
            for task in tasks[:-1]:
                outcome = await self._one(agent, task.blocks)
                if outcome.status != "done" or self._stdout.broken:
                    return self._ending(agent, outcome)
            outcome = await self._one(agent, tasks[-1].blocks)
            return await self._checked(agent, outcome) if outcome.status == "done" else self._ending(agent, outcome)
        finally:
            with suppress(Exception):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await agent.transport.aclose()

    async def _one(self, agent: "Agent", blocks: Sequence[Block]) -> "RunOutcome":
        prompt = Message(role="user", content=tuple(blocks))
        outcome = await agent.loop.run(agent.session.conversation, prompt)
        assert self._total is not None
        self._total = self._total.plus(outcome, agent.price)
        return outcome

    async def _checked(self, agent: "Agent", outcome: "RunOutcome") -> Ending:
        """How a run ends that is done; an answer that does not fit the schema is asked for once more."""
        if agent.schema is None:
            return self._ending(agent, outcome)
        for last in (False, True):
            try:
                answer = agent.schema.read(outcome.text)
            except ValueError as error:
                if last:
                    message = f"the answer does not fit the schema: {error}"
                    return Ending(status="failed", exit_code=exits.FAILED, code="no_answer", message=message)
                self._warn(f"the answer does not fit the schema, and is asked for again: {error}")
                outcome = await self._one(agent, [Text(text=ASK_AGAIN.format(problem=error))])
                if outcome.status != "done":
                    break
            else:
                return replace(self._ending(agent, outcome), answer=answer)
        return self._ending(agent, outcome)

    def _ending(self, agent: "Agent", outcome: "RunOutcome") -> Ending:
        code = exits.exit_code(outcome.status, outcome.code, self._caught)
        if outcome.status == "done" and agent.approval.unanswered:
            count = agent.approval.unanswered
            denied = "1 call was denied" if count == 1 else f"{count} calls were denied"
            message = f"{denied}, as nobody could be asked"
            return Ending(status="refused", exit_code=exits.REFUSED, code="refused", message=message)
        reason = outcome.message if self._caught is None else f"stopped by {exits.name_of(self._caught)}"
        return Ending(status=outcome.status, exit_code=code, code=outcome.code, message=reason)

    # what is shown beside events

    def _begin_frames(self, agent: "Agent") -> None:
        if self._frames is not None:
            self._frames.scratch = agent.scratch
            path = agent.session.path
            self._frames.begin(
                id=agent.session.id,
                version=VERSION,
                model=agent.session.conversation.model,
                cwd=str(self._options.cwd),
                tools=sorted(agent.tools),
                file=None if path is None else str(path),
            )

    def _let_ask(self, agent: "Agent") -> None:
        """Have a person asked, where there is a terminal and no program reads. Hooks may ask under every mode."""
        if self._frames is not None or not os.isatty(STDERR):
            return
        from beyond_ai.agent.run.asking import open_terminal

        terminal = open_terminal()
        if terminal is not None:
            terminal.pausing = partial(paused, self._view)
            agent.approval.person = terminal

    def _warn(self, text: str) -> None:
        self._view.line(f"warning: {text}")

    def _show_error(self, error: BeyondError) -> None:
        self._view.close()
        if self._options.debug:
            traceback.print_exception(error)
        for line in error.message.splitlines():
            self._view.line(f"error: {line}")
        if error.hint:
            self._view.line(f"hint: {error.hint}")

    # signals

    def _interrupt(self, number: int) -> None:
        """Cancel the run at the first signal, and end the program at the second or when the run does not stop."""
        if self._caught is not None or self._agent is None:
            self._leave_now(number)
        self._caught = number
        self._stdout.hurry()
        if not self._agent.loop.control.cancel():
            self._leave_now(number)
        asyncio.get_running_loop().call_later(CANCEL_SECONDS, self._leave_now, number)

    def _reader_gone(self) -> None:
        """Nobody reads stdout any more: stop, which is no failure."""
        if self._agent is not None:
            self._agent.loop.control.cancel()

    # the end

    def _leave_now(self, number: int) -> NoReturn:
        message = f"stopped by {exits.name_of(number)}"
        self._leave(Ending(status="cancelled", exit_code=exits.signal_code(number), code="cancelled", message=message))

    def _leave(self, ending: Ending) -> NoReturn:
        """Tell how it ended, and end the process at once: no thread, child or handler of a plugin's can hold it."""
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        code = ending.exit_code
        try:
            self._view.close()
            self._tell(ending)
            if self._agent is not None:
                self._agent.leave()
            self._stdout.finish(FLUSH_SECONDS)
            self._stderr.finish(FLUSH_SECONDS)
            code = self._written(ending.exit_code)
        finally:
            os._exit(code)

    def _written(self, code: int) -> int:
        """The exit code, CODE if all was written. A slow reader is waited for, unless a signal has ended the run."""
        if code < 128:
            for number in SIGNALS:
                signal.signal(number, lambda caught, _frame: os._exit(exits.signal_code(caught)))
            self._stdout.finish_slowly(self._options.idle_timeout)
        problem = self._stdout.problem
        if problem is None and not self._stdout.waiting:
            return code
        self._stderr.put(f"error: stdout was not all written: {problem or 'it is not read'}\n".encode())
        self._stderr.finish(FLUSH_SECONDS)
        return code or exits.FAILED

    def _tell(self, ending: Ending) -> None:
        if self._frames is not None:
            self._tell_programs(self._frames, ending)
        else:
            self._tell_people(ending)

    def _tell_programs(self, frames: Frames, ending: Ending) -> None:
        from beyond_ai.agent.run.frames import plain

        frames.begin(version=VERSION, cwd=str(self._options.cwd))
        if self._agent is None and ending.exit_code:
            frames.put("error", code=ending.code, message=ending.message)
        members: dict[str, object] = {"status": ending.status, "exit_code": ending.exit_code}
        if ending.status != "done":
            members |= {"code": ending.code, "message": ending.message}
        if self._total is not None:
            members |= {"total_usage": plain(self._total.usage), "steps": self._total.steps}
            members |= {"requests": self._total.requests, "seconds": round(self._total.seconds, 3)}
            if self._total.cost is not None:
                members["cost_usd"] = round(self._total.cost, 6)
        if ending.answer is not None or (ending.status == "done" and self._options.output_schema is not None):
            members["structured_output"] = ending.answer
        frames.end(**members)

    def _tell_people(self, ending: Ending) -> None:
        from beyond_ai.agent.run.structured import as_line
        from beyond_ai.agent.run.summary import limits_line, usage_line

        if self._agent is None or self._total is None:
            return
        if self._options.output_schema is not None and ending.exit_code == exits.DONE:
            self._stdout.put(as_line(ending.answer))
        reason = f": {ending.message}" if ending.status != "done" and ending.message else ""
        self._view.line(f"{ending.status}{reason}")
        self._view.line(usage_line(self._total))
        self._view.line(limits_line(self._agent.settings.limits))
        if self._agent.session.path is not None:
            self._view.line(f"session {self._agent.session.path}")


def _start_lightly() -> None:
    """Leave out what makes a start long and a run no better: a twelfth of it is collecting garbage of imports, and an
    eighth is httpx's own command line with rich and its lexers, which httpx can do without.
    """
    gc.disable()
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # an import of it fails, as where it is not installed


def code_of(error: BeyondError) -> str:
    """The failure code of an error that kept the run from starting."""
    return "config" if error.exit_code == exits.USAGE else "internal"
