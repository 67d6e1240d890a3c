"""What commands do: each has exactly one answer, and what takes a while is one task at a time."""

import asyncio
import json
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
from beyond_ai.agent.serve.approvals import Approvals
from beyond_ai.agent.serve.attachments import attached
from beyond_ai.agent.serve.reader import LARGEST, Line, id_in
from beyond_ai.agent.serve.refusal import Refused, refusal_of
from beyond_ai.agent.serve.sessions import Sessions, warn
from beyond_ai.agent.serve.writer import Writer
from beyond_ai.spec.conversation import Block, Image, JsonObject, Message, Text
from beyond_ai.validation import problems_of

NEED_IDLE: Final = frozenset({"new_session", "switch_session", "fork", "compact", "switch_branch"})
LATER: Final[JsonObject] = {}
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
            data = self._do(name, self._read(value))
        except Exception as error:  # noqa: BLE001 - each is told, and the next command is taken
            self._refuse(ident, name, error)
        else:
            if data is not LATER:
                self._answer(ident, name, data)

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

    def _answer(self, ident: str | None, name: str, data: JsonObject) -> None:
        self._writer.put(frames.Response(id=ident, command=name, success=True, data=data or None))

    def _refuse(self, ident: str | None, name: str, error: Exception) -> None:
        told = refusal_of(error)
        self._writer.put(
            frames.Response(id=ident or told.ident, command=name, success=False, error=str(told), code=told.code)
        )

    def _do(self, name: str, command: frames.Command) -> JsonObject:
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
                count, lost = self._writer.replay(command.from_seq)
                return {"replayed": count, "truncated": lost, "seq": self._writer.seq, "busy": bool(self._running)}
            case frames.SetModel() | frames.SetThinking():
                return self._sessions.switch_model(command, running=bool(self._running))
            case frames.SetSessionName():
                self._agent.session.rename(command.title)
            case frames.SwitchSession():
                return self._sessions.switch(command.session_id)
            case frames.Fork():
                return self._sessions.fork(command.upto)
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
            case "clear_queue":
                return {"cleared": list(agent.loop.control.clear("steer", "follow_up"))}
            case _:
                return self._sessions.new()

    # what takes a while

    def _prompt(self, command: frames.Prompt) -> JsonObject:
        if self._running == "prompt" and command.streaming_behavior is not None:
            return self._say(command.streaming_behavior, command.message, command.images)
        if self._running:
            raise Refused("busy", f"busy: `{self._running}` is going on; steer it, or wait for its answer")
        return self._start(command, "prompt", self._run(self._blocks(command)))

    def _start(self, command: frames.Command, name: str, work: Coroutine[None, None, JsonObject]) -> JsonObject:
        self._running = name
        self._writer.put(frames.Ack(id=command.id, command=name))
        self.task = asyncio.ensure_future(self._work(command.id, name, work))
        return LATER

    async def _work(self, ident: str | None, name: str, work: Coroutine[None, None, JsonObject]) -> None:
        data: JsonObject = {}
        problem: Exception | None = None
        try:
            try:
                data = await work
            finally:
                self._sessions.settle()
        except Exception as error:  # noqa: BLE001 - each is told, and the next command is taken
            problem = error
        self._running = ""
        if problem is None:
            self._answer(ident, name, data)
        else:
            self._refuse(ident, name, problem)

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
        if self.task is None or self.task.done():
            return {}
        self.cancel()
        # answered when the run has ended, so that the next prompt does not meet it
        self.task.add_done_callback(lambda _task: self._answer(command.id, "abort", {}))
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
            skills = partial(find_skills, skill_folders(cwd, home), warn)
            text = TaskReader(cwd, skills, template_folders(cwd, home)).expanded(text)
        return (Text(text=text), *_images(command.images))


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


def _images(images: tuple[frames.ImageData, ...]) -> tuple[Image, ...]:
    try:
        return attached(images)
    except ValueError as error:
        raise Refused("bad_request", str(error)) from None
