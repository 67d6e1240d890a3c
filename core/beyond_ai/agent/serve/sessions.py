"""The session that is served, with the agent that works in it, and the way to others."""

import sys
from dataclasses import replace
from typing import Final

from beyond_ai.agent.failure import ModelFailure
from beyond_ai.agent.models import LEVELS
from beyond_ai.agent.run.assembly import Agent, assemble
from beyond_ai.agent.run.options import DEFAULT_MODEL, RunOptions
from beyond_ai.agent.serve import frames, queries
from beyond_ai.agent.serve.answers import (
    BranchSwitched,
    ListedSession,
    ModelSet,
    SessionInUse,
    SessionList,
    ThinkingSet,
)
from beyond_ai.agent.serve.approvals import Approvals
from beyond_ai.agent.serve.refusal import Refused
from beyond_ai.agent.serve.writer import Writer
from beyond_ai.agent.session import Session, SessionRepository
from beyond_ai.spec.conversation import ThinkingLevel


class Sessions:
    """Holds one session open; another one comes with an agent of its own, so that nothing leaks between them."""

    def __init__(self, options: RunOptions, writer: Writer, approvals: Approvals) -> None:
        """Open the session that OPTIONS name, a new one in a folder. Raises BeyondError."""
        self._options: Final = options
        self._writer: Final = writer
        self._approvals: Final = approvals
        self._repository: Final = None if options.session.folder is None else SessionRepository(options.session.folder)
        self.agent = self._assembled(None if self._repository is None else self._fresh())

    def list(self, offset: int, limit: int | None) -> SessionList:
        """What can be switched to, from number OFFSET on: LIMIT sessions, or as many as go into one frame."""
        found = () if self._repository is None else self._repository.list()
        chosen = found[offset : None if limit is None else offset + limit]
        sessions = queries.page(ListedSession.model_validate(info.as_json()) for info in chosen)
        following = offset + len(sessions)
        if following >= len(found):
            return SessionList(sessions=sessions)
        return SessionList(sessions=sessions, next_offset=following)

    def new(self) -> SessionInUse:
        """Begin a session. A single file keeps its id, and what there was as a branch."""
        if self._repository is not None:
            self._use(self._fresh())
        else:
            agent = self.agent
            conversation = agent.session.branch(None)
            options = self._options
            conversation.switch(options.model or conversation.model, options.thinking or conversation.thinking)
            agent.session.checkpoint()
            agent.loop.control.clear()
            agent.approval.forget()
        return SessionInUse(session_id=self.agent.session.id)

    def switch(self, prefix: str) -> SessionInUse:
        """Go on in the session whose id begins with PREFIX."""
        repository = self._folder()
        if repository.find(prefix).id != self.agent.session.id:
            self._use(repository.open(prefix, default_model=DEFAULT_MODEL))
        return SessionInUse(session_id=self.agent.session.id)

    def fork(self, upto: int | None) -> SessionInUse:
        """Go on in a copy: of the first UPTO messages, or of all."""
        repository, session = self._folder(), self.agent.session
        entries = queries.messages_of(session.conversation)
        if session.path is None or (upto is not None and upto > len(entries)):
            raise Refused("bad_request", f"upto: the session has {len(entries)} messages")
        session.checkpoint()
        if upto == 0 or not entries:
            forked = self._fresh()
        else:
            forked = repository.fork(session.path, None if upto is None else entries[upto - 1].id)
        self._use(forked)
        return SessionInUse(session_id=forked.id)

    async def switch_branch(self, command: frames.SwitchBranch) -> BranchSwitched:
        """Go on from an earlier entry, with a summary of what is left where one is wanted and can be had."""
        session, target = self.agent.session, command.target_id
        left = session.left_by(target)
        summary, problem = "", None
        if left and command.summarize:
            try:
                summary = await self.agent.loop.summarise(session.conversation, left, command.custom_instructions)
            except ModelFailure as failure:
                if failure.code == "cancelled":
                    raise
                problem = failure.message
                warn(f"the branch that is left has no summary: {problem}")
        session.branch(target, summary)
        if summary:
            return BranchSwitched(target_id=target, summarized=True, summary=summary)
        if problem is not None:
            return BranchSwitched(target_id=target, summarized=False, problem=problem)
        return BranchSwitched(target_id=target, summarized=False)

    def set_model(self, wanted: str, *, running: bool) -> ModelSet:
        """Let the model WANTED answer, a `:level` behind it perhaps; while one is RUNNING from the next request on."""
        name, _, suffix = wanted.rpartition(":")
        level = next((known for known in LEVELS if name and known == suffix), None)
        model = wanted if level is None else name
        self._switch(model, level, running=running)
        return ModelSet(model=model) if level is None else ModelSet(model=model, level=level)

    def set_thinking(self, budget: int | None, *, running: bool) -> ThinkingSet:
        """Let the model reason within BUDGET; while one is RUNNING from the next request on."""
        level = frames.level_of(budget)
        self._switch(None, level, running=running)
        return ThinkingSet(thinking=budget, level=level)

    def settle(self) -> None:
        """Put a switch of models into the session that no request has met. Raises SessionError."""
        switch, session = self.agent.loop.control.take_switch(), self.agent.session
        if switch is not None:
            conversation = session.conversation
            conversation.switch(switch.model or conversation.model, switch.thinking or conversation.thinking)
            session.checkpoint()

    def _switch(self, model: str | None, thinking: ThinkingLevel | None, *, running: bool) -> None:
        self.agent.loop.control.switch(model=model, thinking=thinking)
        if not running:
            self.settle()

    def _folder(self) -> SessionRepository:
        if self._repository is None:
            raise Refused("no_repository", "there is no folder of sessions: start with --session-dir")
        return self._repository

    def _fresh(self) -> Session:
        model, thinking = self._options.model or DEFAULT_MODEL, self._options.thinking
        return self._folder().create(cwd=self._options.cwd, model=model, thinking=thinking)

    def _use(self, session: Session) -> None:
        agent = self._assembled(session)
        before, self.agent = self.agent, agent
        before.session.close()
        before.leave()

    def _assembled(self, session: Session | None) -> Agent:
        options = self._options
        if self._repository is None:
            options = replace(options, session=replace(options.session, keep=options.session.file is not None))
        try:
            agent = assemble(options, self._writer.event, warn, session)
        except BaseException:
            if session is not None:
                session.close()
            raise
        agent.approval.person = self._approvals
        self._writer.pointer = agent.session.path
        return agent


def warn(text: str) -> None:
    """Tell people TEXT."""
    sys.stderr.write(f"warning: {text}\n")
