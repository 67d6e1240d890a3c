"""One `agent serve` from its first frame to its exit code, whatever happens on the way."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Coroutine
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final, NoReturn

from pydantic import TypeAdapter, ValidationError

from beyond_ai.agent.failure import ModelFailure
from beyond_ai.agent.loop import RunOutcome
from beyond_ai.agent.models import LEVELS
from beyond_ai.agent.prompt.skills import find_skills, skill_folders
from beyond_ai.agent.prompt.task import TaskReader
from beyond_ai.agent.prompt.templates import template_folders
from beyond_ai.agent.run import exits
from beyond_ai.agent.run.assembly import Agent, assemble
from beyond_ai.agent.run.options import DEFAULT_MODEL, RunOptions
from beyond_ai.agent.run.output import Output
from beyond_ai.agent.run.views import claim_stdout
from beyond_ai.agent.serve import frames, queries
from beyond_ai.agent.serve.approvals import Approvals
from beyond_ai.agent.serve.attachments import attached
from beyond_ai.agent.serve.reader import LARGEST, Line, StdinReader, id_in
from beyond_ai.agent.serve.writer import LARGEST as LARGEST_OUT
from beyond_ai.agent.serve.writer import REPLAY, Writer
from beyond_ai.agent.session import Session, SessionRepository
from beyond_ai.errors import BeyondError, ConfigError
from beyond_ai.spec.conversation import Block, Image, JsonObject, Message, Text, ThinkingLevel
from beyond_ai.validation import problems_of
from beyond_ai.version import VERSION

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
CANCEL_SECONDS: Final = 5.0
FLUSH_SECONDS: Final = 0.5
NEED_IDLE: Final = frozenset({"new_session", "switch_session", "fork", "compact", "switch_branch"})
CAPABILITIES: Final = ("ack", "seq", "attach", "approvals", "queries_while_running", "clear_queue", "exit")


class Refused(Exception):  # noqa: N818 - an answer, not a defect
    """A command is answered with success false."""

    def __init__(self, code: str, message: str, ident: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.ident = ident


class Server:
    """Does what frames say. `run` does not return: it ends the process."""

    def __init__(self, options: RunOptions, approval_seconds: float) -> None:
        self._options: Final = options
        self._writer: Final = Writer(Output(claim_stdout(), self._reader_gone))
        self._approvals: Final = Approvals(self._writer, approval_seconds)
        self._commands: Final = TypeAdapter[frames.Command](frames.AnyCommand)
        self._repository: Final = None if options.session.folder is None else SessionRepository(options.session.folder)
        self._agent: Agent
        self._task: asyncio.Task[None] | None = None
        self._running = ""
        self._ending: asyncio.Future[tuple[int, str]]

    def run(self) -> NoReturn:
        """Serve until stdin ends or a signal comes, and end the process."""
        code, reason = exits.FAILED, "internal"
        try:
            session = None
            if self._repository is not None:  # never silently one that was there before
                session = self._fresh()
            self._use(session)
            code, reason = asyncio.run(self._serve())
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
            if hasattr(self, "_agent"):
                self._agent.leave()
        finally:
            os._exit(code)

    async def _serve(self) -> tuple[int, str]:
        loop = asyncio.get_running_loop()
        self._ending = loop.create_future()
        for number in SIGNALS:
            loop.add_signal_handler(number, self._caught, number)
        conversation = self._agent.session.conversation
        limits = {"line_in": LARGEST, "line_out": LARGEST_OUT, "replay": REPLAY}
        self._writer.put(
            frames.Ready(
                session_id=self._agent.session.id,
                model=conversation.model,
                version=VERSION,
                pid=os.getpid(),
                capabilities=CAPABILITIES,
                limits=limits,
            )
        )
        reading = asyncio.ensure_future(self._read(StdinReader(loop)))
        await asyncio.wait([reading, self._ending], return_when=asyncio.FIRST_COMPLETED)
        code, reason = self._ending.result() if self._ending.done() else reading.result()
        reading.cancel()
        if self._task is not None and not self._task.done():
            if self._ending.done():
                self._writer.output.hurry()
            self._agent.loop.control.cancel()
            await asyncio.wait([self._task], timeout=CANCEL_SECONDS)
        # asyncio.run would wait for what is left over, which may be a thread that never ends
        self._leave(code, reason)

    async def _read(self, reader: StdinReader) -> tuple[int, str]:
        while (line := await reader.next()) is not None:
            await self._take(line)
            await self._writer.room()
        return exits.DONE, "end of input"

    def _caught(self, number: int) -> None:
        if self._ending.done():
            self._leave(exits.signal_code(number), exits.name_of(number))
        self._ending.set_result((exits.signal_code(number), exits.name_of(number)))

    def _reader_gone(self) -> None:
        if not self._ending.done():
            self._ending.set_result((exits.DONE, "nobody reads any more"))

    # commands

    async def _take(self, line: Line) -> None:
        """Answer LINE. What is wrong with it is its answer, and never the end."""
        name, ident = "?", None
        try:
            value = _object_in(line)
            given, kind = value.get("id"), value.get("type")
            ident = given if isinstance(given, str) else None
            name = kind[:200] if isinstance(kind, str) else "?"
            data = await self._do(name, self._read_command(value))
        except Refused as refused:
            self._answer(ident or refused.ident, name, error=str(refused), code=refused.code)
        except BeyondError as error:
            self._answer(
                ident, name, error=error.message, code="config" if isinstance(error, ConfigError) else "session"
            )
        except Exception as error:  # noqa: BLE001 - a defect is told, and the next command is taken
            self._answer(ident, name, error=f"{type(error).__name__}: {error}", code="internal")
        else:
            if data is not LATER:
                self._answer(ident, name, data)

    def _read_command(self, value: JsonObject) -> frames.Command:
        kind = value.get("type")
        if not isinstance(kind, str):
            raise Refused("bad_request", "`type` is missing, or is no string")
        if kind not in frames.COMMANDS:
            raise Refused("unknown_command", f"unknown command: {kind[:200]}")
        try:
            return self._commands.validate_python(value)
        except ValidationError as error:
            raise Refused("bad_request", "; ".join(problems_of(error))) from None

    def _answer(
        self, ident: str | None, name: str, data: JsonObject | None = None, *, error: str | None = None, code: str = ""
    ) -> None:
        self._writer.put(
            frames.Response(
                id=ident, command=name, success=error is None, data=data or None, error=error, code=code or None
            )
        )

    async def _do(self, name: str, command: frames.Command) -> JsonObject:
        if self._running and name in NEED_IDLE:
            raise Refused("busy", f"busy: `{self._running}` is going on; abort it, or wait for its answer")
        match command:
            case frames.Prompt():
                return self._prompt(command)
            case frames.Said():
                if self._running != "prompt":
                    raise Refused("idle", f"unknown command: {name} is for a running prompt, and none is going on")
                return self._say(command.type, command.message, command.images)
            case frames.Compact():
                return self._start(command, "compact", self._compact(command))
            case frames.Plain(type="abort"):
                return self._abort(command)
            case frames.GetMessages():
                return queries.messages(self._agent, command.since)
            case frames.Plain():
                return self._ask(command.type)
            case frames.Approve():
                if not self._approvals.answer(command):
                    raise Refused("already_resolved", f"{command.request_id} is not open, or was answered already")
            case frames.Attach():
                count, lost = self._writer.replay(command.from_seq)
                return {"replayed": count, "truncated": lost, "seq": self._writer.seq, "busy": bool(self._running)}
            case frames.SetModel() | frames.SetThinking():
                return await self._switch(command)
            case frames.SetSessionName():
                self._agent.session.rename(command.title)
            case frames.SwitchSession():
                repository = self._folder()
                if repository.find(command.session_id).id != self._agent.session.id:
                    self._use(repository.open(command.session_id, default_model=DEFAULT_MODEL))
                return {"session_id": self._agent.session.id}
            case frames.Fork():
                return self._fork(command.upto)
            case frames.SwitchBranch():
                self._agent.session.branch(command.target_id)
                return {"target_id": command.target_id, "summarized": False}
        return {}

    def _ask(self, name: str) -> JsonObject:
        agent = self._agent
        conversation = agent.session.conversation
        match name:
            case "get_state":
                return queries.state(agent, self._options.cwd, self._writer.seq, running=self._running)
            case "get_last_assistant_text":
                return {"text": queries.last_text(conversation)}
            case "get_session_stats":
                return queries.counters(conversation)
            case "get_commands":
                return {"commands": queries.commands(self._options.cwd)}
            case "get_available_models":
                return {"models": queries.models(conversation.model)}
            case "list_branches":
                return {"branches": queries.branches(agent)}
            case "list_sessions":
                listed = [] if self._repository is None else self._repository.list()
                return {"sessions": [info.as_json() for info in listed]}
            case "clear_queue":
                return {"cleared": list(agent.loop.control.clear("steer", "follow_up"))}
            case _:
                return self._new_session()

    # the run

    def _prompt(self, command: frames.Prompt) -> JsonObject:
        if self._running == "prompt" and command.streaming_behavior is not None:
            return self._say(command.streaming_behavior, command.message, command.images)
        if self._running:
            raise Refused("busy", f"busy: `{self._running}` is going on; steer it, or wait for its answer")
        return self._start(command, "prompt", self._run(self._blocks(command)))

    def _start(self, command: frames.Command, name: str, work: Coroutine[None, None, JsonObject]) -> JsonObject:
        self._running = name
        self._writer.put(frames.Ack(id=command.id, command=name))
        self._task = asyncio.ensure_future(self._work(command.id, name, work))
        return LATER

    async def _work(self, ident: str | None, name: str, work: Coroutine[None, None, JsonObject]) -> None:
        try:
            data = await work
        except Refused as refused:
            error, code = str(refused), refused.code
        except ModelFailure as failure:
            error, code = failure.message, failure.code
        except Exception as defect:  # noqa: BLE001 - told, and the next command is taken
            error, code = f"{type(defect).__name__}: {defect}", "internal"
        else:
            self._running = ""
            self._answer(ident, name, data)
            return
        self._running = ""
        self._answer(ident, name, error=error, code=code)

    async def _run(self, blocks: tuple[Block, ...]) -> JsonObject:
        agent = self._agent
        conversation, control = agent.session.conversation, agent.loop.control
        outcome = await agent.loop.run(conversation, Message(role="user", content=blocks))
        while outcome.status == "done" and (left := (*control.take("follow_up"), *control.take("steer"))):
            # accepted when the loop had looked for the last time
            more = tuple(block for waiting in left for block in waiting.content)
            outcome = await agent.loop.run(conversation, Message(role="user", content=more))
        return self._done(outcome)

    def _done(self, outcome: RunOutcome) -> JsonObject:
        if outcome.status not in ("done", "refused"):
            raise Refused(outcome.code or outcome.status, outcome.message or outcome.status)
        data = queries.counters(self._agent.session.conversation)
        return data | {"refused": True} if outcome.status == "refused" else data

    async def _compact(self, command: frames.Compact) -> JsonObject:
        conversation = self._agent.session.conversation
        result = await self._agent.loop.compact(conversation, command.custom_instructions)
        if result in ("failed", "cancelled"):
            raise Refused(result, f"the conversation was not condensed: {result}")
        entry = conversation.compaction
        if result != "compacted" or entry is None:
            return {"compacted": False, "reason": result}
        return {
            "compacted": True,
            "reason": entry.reason,
            "summary": entry.summary,
            "tokens_before": entry.tokens_before,
            "tokens_after": entry.tokens_after,
            "first_kept_entry_id": entry.first_kept,
        }

    def _abort(self, command: frames.Command) -> JsonObject:
        self._writer.put(frames.Ack(id=command.id, command="abort"))
        if self._task is None or self._task.done():
            return {}
        self._agent.loop.control.cancel()
        # answered when the run has ended, so that the next prompt does not meet it
        self._task.add_done_callback(lambda _task: self._answer(command.id, "abort"))
        return LATER

    def _say(self, lane: str, message: str, images: tuple[frames.ImageData, ...]) -> JsonObject:
        content: tuple[Text | Image, ...] = (Text(text=message), *_images(images))
        control = self._agent.loop.control
        if not (control.steer(content) if lane == "steer" else control.follow_up(content)):
            raise Refused("full", f"too many messages wait for {lane} already")
        return {}

    def _blocks(self, command: frames.Prompt) -> tuple[Block, ...]:
        cwd, home = self._options.cwd, Path.home()
        text = command.message
        if text.startswith("/"):
            skills = partial(find_skills, skill_folders(cwd, home), self._warn)
            text = TaskReader(cwd, skills, template_folders(cwd, home)).expanded(text)
        return (Text(text=text), *_images(command.images))

    # sessions and models

    async def _switch(self, command: frames.SetModel | frames.SetThinking) -> JsonObject:
        model: str | None = None
        thinking: ThinkingLevel | None = None
        if isinstance(command, frames.SetModel):
            model = command.model
            name, _, level = model.rpartition(":")
            if name and level in LEVELS:
                model, thinking = name, next(known for known in LEVELS if known == level)
        else:
            thinking = frames.level_of(command.budget)
        if self._running:
            self._agent.loop.control.switch(model=model, thinking=thinking)
        else:
            session = self._agent.session
            session.conversation.switch(model or session.conversation.model, thinking or session.conversation.thinking)
            await asyncio.to_thread(session.checkpoint)
        if isinstance(command, frames.SetThinking):
            return {"thinking": command.budget, "level": thinking}
        return {"model": model}

    def _new_session(self) -> JsonObject:
        if self._repository is not None:
            self._use(self._fresh())
        else:
            self._agent.session.branch(None)  # what there was stays in the file, as a branch
        return {"session_id": self._agent.session.id}

    def _fork(self, upto: int | None) -> JsonObject:
        repository, session = self._folder(), self._agent.session
        entries = queries.messages_of(session.conversation)
        if session.path is None or (upto is not None and upto > len(entries)):
            raise Refused("bad_request", f"upto: the session has {len(entries)} messages")
        session.checkpoint()
        if upto == 0 or not entries:
            forked = self._fresh()
        else:
            forked = repository.fork(session.path, None if upto is None else entries[upto - 1].id)
        self._use(forked)
        return {"session_id": forked.id}

    def _folder(self) -> SessionRepository:
        if self._repository is None:
            raise Refused("no_repository", "there is no folder of sessions: start with --session-dir")
        return self._repository

    def _fresh(self) -> Session:
        model, thinking = self._options.model or DEFAULT_MODEL, self._options.thinking
        return self._folder().create(cwd=self._options.cwd, model=model, thinking=thinking)

    def _use(self, session: Session | None) -> None:
        options = self._options
        if self._repository is None:
            options = replace(options, session=replace(options.session, keep=options.session.file is not None))
        try:
            agent = assemble(options, self._writer.event, self._warn, session)
        except BaseException:
            if session is not None:
                session.close()
            raise
        agent.approval.person = self._approvals
        before, self._agent = getattr(self, "_agent", None), agent
        self._writer.pointer = agent.session.path
        if before is not None:
            before.session.close()
            before.leave()

    def _warn(self, text: str) -> None:
        sys.stderr.write(f"warning: {text}\n")


LATER: Final[JsonObject] = {}
"""Stands for an answer that comes when the work is done."""


def _object_in(line: Line) -> JsonObject:
    if not line.whole:
        raise Refused("too_long", f"the line is longer than {LARGEST} bytes", id_in(line.data))
    try:
        value = json.loads(line.data)
    except (ValueError, RecursionError) as error:
        raise Refused("bad_request", f"invalid JSON: {error}", id_in(line.data)) from None
    if not isinstance(value, dict):
        raise Refused("bad_request", "invalid JSON: a command is an object")
    return value


def _images(images: tuple[frames.ImageData, ...]) -> tuple[Image, ...]:
    try:
        return attached(images)
    except ValueError as error:
        raise Refused("bad_request", str(error)) from None


def check(options: RunOptions) -> None:
    """Raise ConfigError where OPTIONS name both a file and a folder."""
    if options.session.file is not None and options.session.folder is not None:
        raise ConfigError("--session-file and --session-dir exclude each other", "keep one of them")
