"""What commands do: each has exactly one answer, and what takes a while is one task at a time."""

import asyncio
import json
import os
from collections.abc import Coroutine
from functools import partial
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from beyond_ai.agent.loop import RunOutcome
from beyond_ai.agent.prompt.skills import find_skills, skill_folders
from beyond_ai.agent.prompt.task import TaskReader
from beyond_ai.agent.prompt.templates import template_folders
from beyond_ai.agent.run.assembly import Agent
from beyond_ai.agent.run.options import RunOptions
from beyond_ai.agent.serve import frames, queries
from beyond_ai.agent.serve.answers import Answer, Attached, Cleared, Compacted
from beyond_ai.agent.serve.approvals import Approvals
from beyond_ai.agent.serve.attachments import attached
from beyond_ai.agent.serve.reader import LARGEST, Line, id_in
from beyond_ai.agent.serve.refusal import Refused, refusal_of
from beyond_ai.agent.serve.sessions import Sessions, warn
from beyond_ai.agent.serve.writer import Writer
from beyond_ai.spec.conversation import Block, Image, JsonObject, Message, Text
from beyond_ai.validation import problems_of

NEED_IDLE: Final = frozenset({"new_session", "switch_session", "fork", "compact", "switch_branch"})
NOTHING: Final = Answer()
LATER: Final = Answer()
"""Stands for an answer that comes when the work is done."""


class Commands:
    """Takes lines, and does what is in them. `task` is what takes a while, the latest."""

    def __init__(self, options: RunOptions, writer: Writer, approvals: Approvals, sessions: Sessions) -> None:
        self._options: Final = options
        self._writer: Final = writer
        self._approvals: Final = approvals
        self._sessions: Final = sessions
        self._models: Final = TypeAdapter[frames.Command](frames.AnyCommand)
        self._running = ""
        self.task: asyncio.Task[None] | None = None

    def take(self, line: Line) -> None:
        """Answer LINE. What is wrong with it is its answer, and never the end."""
        name, ident = "?", None
        try:
            value = _object_in(line)
            kind = value.get("type")
            ident = _id_of(value)
            name = kind[:200] if isinstance(kind, str) else "?"
            answer = self._do(name, self._read(value))
        except Exception as error:  # noqa: BLE001 - each is told, and the next command is taken
            self._refuse(ident, name, error)
        else:
            if answer is not LATER:
                self._answer(ident, name, answer)

    def cancel(self) -> None:
        """Stop what takes a while."""
        self._agent.loop.control.cancel()

    @property
    def _agent(self) -> Agent:
        return self._sessions.agent

    def _read(self, value: JsonObject) -> frames.Command:
        kind = value.get("type")
        if not isinstance(kind, str):
            raise Refused("bad_request", "`type` is missing, or is no string")
        if kind not in frames.COMMANDS:
            raise Refused("unknown_command", f"unknown command: {kind[:200]}")
        try:
            return self._models.validate_python(value)
        except ValidationError as error:
            raise Refused("bad_request", "; ".join(problems_of(error))) from None

    def _answer(self, ident: str | None, name: str, answer: Answer) -> None:
        self._writer.put(frames.Response(id=ident, command=name, success=True, data=answer.members() or None))

    def _refuse(self, ident: str | None, name: str, error: Exception) -> None:
        told = refusal_of(error)
        self._writer.put(
            frames.Response(id=ident or told.ident, command=name, success=False, error=str(told), code=told.code)
        )

    def _do(self, name: str, command: frames.Command) -> Answer:
        if self._running and name in NEED_IDLE:
            raise Refused("busy", self._busy)
        match command:
            case frames.Prompt():
                return self._prompt(command)
            case frames.Said():
                if self._running != "prompt":
                    raise Refused("idle", f"`{name}` is for a running prompt: none is going on, send `prompt`")
                return self._say(command.type, command)
            case frames.Compact():
                return self._start(command, name, self._compact(command))
            case frames.SwitchBranch():
                return self._start(command, name, self._sessions.switch_branch(command))
            case frames.Plain(type="abort"):
                return self._abort(command)
            case frames.GetMessages():
                return queries.messages(self._agent, command.since)
            case frames.ListSessions():
                return self._sessions.list(command.offset, command.limit)
            case frames.Plain():
                return self._ask(command.type)
            case frames.Approve():
                if not self._approvals.answer(command):
                    raise Refused("already_resolved", f"{command.request_id} is not open, or was answered already")
            case frames.Attach():
                return self._attach(command)
            case frames.SetModel():
                return self._sessions.set_model(command.model, running=bool(self._running))
            case frames.SetThinking():
                return self._sessions.set_thinking(command.budget, running=bool(self._running))
            case frames.SetSessionName():
                self._agent.session.rename(command.title)
            case frames.SwitchSession():
                return self._sessions.switch(command.session_id)
            case frames.Fork():
                return self._sessions.fork(command.upto)
        return NOTHING

    def _ask(self, name: str) -> Answer:
        agent = self._agent
        conversation = agent.session.conversation
        match name:
            case "get_state":
                return queries.state(agent, self._options.cwd, self._writer, self._approvals, running=self._running)
            case "get_last_assistant_text":
                return queries.last_text(conversation)
            case "get_session_stats":
                return queries.counters(conversation)
            case "get_commands":
                return queries.commands(self._options.cwd)
            case "get_available_models":
                return queries.models(conversation.model)
            case "list_branches":
                return queries.branches(agent)
            case "clear_queue":
                return Cleared(cleared=agent.loop.control.clear("steer", "follow_up"))
            case _:
                return self._sessions.new()

    def _attach(self, command: frames.Attach) -> Answer:
        writer = self._writer
        other = command.instance not in (None, writer.instance)
        count, lost = (0, True) if other else writer.replay(command.from_seq)
        for request in self._approvals.open:
            writer.put(request.model_copy(update={"replayed": True}))
        return Attached(
            replayed=count,
            truncated=lost,
            other=other,
            seq=writer.seq,
            busy=bool(self._running),
            instance=writer.instance,
            pid=os.getpid(),
        )

    @property
    def _busy(self) -> str:
        """Why a command is refused that needs rest, and what can be done."""
        if self._running == "prompt":
            return "busy: a prompt is going on; wait for its answer, `abort` it, or give `streaming_behavior`"
        return f"busy: `{self._running}` is going on; wait for its answer, or `abort` it"

    # what takes a while

    def _prompt(self, command: frames.Prompt) -> Answer:
        if self._running == "prompt" and command.streaming_behavior is not None:
            return self._say(command.streaming_behavior, command)
        if self._running:
            raise Refused("busy", self._busy)
        return self._start(command, "prompt", self._run(self._blocks(command)))

    def _start(self, command: frames.Command, name: str, work: Coroutine[None, None, Answer]) -> Answer:
        self._running = name
        self._writer.put(frames.Ack(id=command.id, command=name))
        self.task = asyncio.ensure_future(self._work(command.id, name, work))
        return LATER

    async def _work(self, ident: str | None, name: str, work: Coroutine[None, None, Answer]) -> None:
        answer = NOTHING
        problem: Exception | None = None
        try:
            try:
                answer = await work
            finally:
                self._sessions.settle()
        except Exception as error:  # noqa: BLE001 - each is told, and the next command is taken
            problem = error
        self._running = ""
        if problem is None:
            self._answer(ident, name, answer)
        else:
            self._refuse(ident, name, problem)

    async def _run(self, blocks: tuple[Block, ...]) -> Answer:
        agent = self._agent
        conversation, control = agent.session.conversation, agent.loop.control
        outcome = await agent.loop.run(conversation, Message(role="user", content=blocks))
        while outcome.status == "done" and (left := (*control.take("follow_up"), *control.take("steer"))):
            # accepted when the loop had looked for the last time
            more = tuple(block for waiting in left for block in waiting.content)
            outcome = await agent.loop.run(conversation, Message(role="user", content=more))
        return self._done(outcome)

    def _done(self, outcome: RunOutcome) -> Answer:
        if outcome.status not in ("done", "refused"):
            raise Refused(outcome.code or outcome.status, outcome.message or outcome.status)
        return queries.prompted(self._agent.session.conversation, refused=outcome.status == "refused")

    async def _compact(self, command: frames.Compact) -> Answer:
        conversation = self._agent.session.conversation
        result = await self._agent.loop.compact(conversation, command.custom_instructions)
        if result in ("failed", "cancelled"):
            raise Refused(result, f"the conversation was not condensed: {result}")
        entry = conversation.compaction
        if result != "compacted":
            return Compacted(compacted=False, reason=result)
        assert entry is not None, "it was condensed"
        return Compacted(
            compacted=True,
            reason="manual",
            summary=entry.summary,
            tokens_before=entry.tokens_before,
            tokens_after=entry.tokens_after,
            first_kept_entry_id=entry.first_kept,
        )

    def _abort(self, command: frames.Command) -> Answer:
        self._writer.put(frames.Ack(id=command.id, command="abort"))
        if self.task is None or self.task.done():
            return NOTHING
        self.cancel()
        # answered when the run has ended, so that the next prompt does not meet it
        self.task.add_done_callback(lambda _task: self._answer(command.id, "abort", self._unsaid()))
        return LATER

    def _unsaid(self) -> Answer:
        """What waited for a run that was aborted. An early client expects nothing, and mostly there is nothing."""
        texts = self._agent.loop.control.take_unsaid()
        return Cleared(cleared=texts) if texts else NOTHING

    def _say(self, lane: str, command: frames.Words) -> Answer:
        content: tuple[Text | Image, ...] = (*_texts(command.message), *_images(command.images))
        control = self._agent.loop.control
        if not (control.steer(content) if lane == "steer" else control.follow_up(content)):
            raise Refused("full", f"too many messages wait for {lane} already")
        return NOTHING

    def _blocks(self, command: frames.Prompt) -> tuple[Block, ...]:
        cwd, home = self._options.cwd, Path.home()
        text = command.message
        if text.startswith("/"):
            skills = partial(find_skills, skill_folders(cwd, home), warn)
            text = TaskReader(cwd, skills, template_folders(cwd, home)).expanded(text)
        return (*_texts(text), *_images(command.images))


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


def _id_of(value: JsonObject) -> str | None:
    """The id in VALUE where it can be given back as it is: half a surrogate pair cannot."""
    given = value.get("id")
    if not isinstance(given, str) or len(given) > frames.LONGEST_ID:
        return None
    return given if given == given.encode(errors="replace").decode() else None


def _texts(message: str) -> tuple[Text, ...]:
    return (Text(text=message),) if message.strip() else ()


def _images(images: tuple[frames.ImageData, ...]) -> tuple[Image, ...]:
    try:
        return attached(images)
    except ValueError as error:
        raise Refused("bad_request", str(error)) from None
