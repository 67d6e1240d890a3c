"""Keeps a conversation within its model's window: what is older becomes a summary by the same model."""

from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

from beyond_ai.agent.failure import ModelFailure
from beyond_ai.agent.loop.compaction_plan import Plan, Sizes, files_of, is_request, merged, plan
from beyond_ai.agent.loop.conversation import CompactionReason, Conversation
from beyond_ai.agent.loop.definitions import ToolSet
from beyond_ai.agent.loop.emitter import Emitter
from beyond_ai.agent.loop.history import CONTINUE
from beyond_ai.agent.loop.requests import Requests
from beyond_ai.agent.loop.settings import Clock, LoopSettings
from beyond_ai.agent.loop.size import CHARS_PER_TOKEN, message_tokens
from beyond_ai.agent.loop.stop import Stopped
from beyond_ai.agent.loop.summariser import Summariser
from beyond_ai.agent.loop.summary_prompts import PREFIX, stand_in
from beyond_ai.agent.loop.transcript import clip
from beyond_ai.spec.agent_event import Compacted, CompactionFailed, CompactionStart
from beyond_ai.spec.conversation import Message, Text

CompactionResult = Literal["compacted", "too_small", "already_compacted", "failed", "cancelled"]

PREFIX_SHARE: Final = 0.5
"""Of the reserve, for the summary of a turn's first part."""
REQUEST_SHARE: Final = 0.25
"""Of what is kept, for a request that is carried over word for word; a longer one loses its middle."""
GROWTH_SHARE: Final = 0.03
"""Of the window: how much a conversation grows after a compaction that failed before another is tried."""


@dataclass(frozen=True, slots=True)
class _Draft:
    """What a compaction would put in place."""

    message: Message
    summary: str
    original_request: str
    current_request: str
    read_files: tuple[str, ...]
    modified_files: tuple[str, ...]


class Compactor:
    """Condenses one conversation. `overhead` is what system prompt and tools take, estimated."""

    def __init__(
        self,
        *,
        conversation: Conversation,
        requests: Requests,
        tools: ToolSet,
        emitter: Emitter,
        settings: LoopSettings,
        clock: Clock,
        overhead: int,
    ) -> None:
        self._conversation = conversation
        self._requests = requests
        self._tools = tools
        self._emitter = emitter
        self._settings = settings
        self._summariser = Summariser(conversation=conversation, requests=requests, settings=settings, clock=clock)
        self._overhead = overhead
        self._useless = False
        self._failed_at = 0

    @property
    def live_tokens(self) -> int:
        """How large the next request is, about."""
        return self._conversation.live_tokens(self._overhead)

    def due(self, sizes: Sizes) -> CompactionReason | None:
        """Why to condense before the next request, if at all."""
        live = self.live_tokens
        if self._settings.compaction.enabled:
            again = self._failed_at + int(sizes.window * GROWTH_SHARE)
            return "threshold" if live > sizes.threshold and (not self._failed_at or live > again) else None
        return "overflow" if live >= sizes.window else None

    async def compact(
        self, sizes: Sizes, reason: CompactionReason, instructions: str | None = None
    ) -> CompactionResult:
        """Condense now. Raises Stopped; a failure is a result."""
        conversation = self._conversation
        previous = conversation.compaction
        if previous is not None and conversation.entries[-1] is previous:
            return "already_compacted"
        before = self.live_tokens
        keep_recent = sizes.keep_recent if reason == "threshold" else min(sizes.keep_recent, before // 2)
        chosen = plan(conversation, keep_recent)
        if chosen is None:
            return "too_small"
        await self._emitter(CompactionStart(reason=reason))
        count = len(conversation.messages)
        try:
            draft = await self._draft(chosen, sizes, before if reason == "overflow" else sizes.window, instructions)
            after = self._apply(chosen, draft, reason, before)
        except ModelFailure as failure:
            self._requests.discard()
            self._failed_at = before
            await self._emitter(CompactionFailed(reason=reason, message=failure.message))
            return "failed"
        except Exception as error:
            why = "the run was stopped" if isinstance(error, Stopped) else str(error)
            await self._emitter(CompactionFailed(reason=reason, message=why))
            raise
        await self._emitter(
            Compacted(
                reason=reason,
                messages_before=count,
                messages_after=len(conversation.messages),
                tokens_before=before,
                tokens_after=after,
                summary=draft.summary,
            )
        )
        self._useless = previous is not None and min(previous.tokens_after, after) > sizes.target
        return "compacted"

    def guard(self, sizes: Sizes) -> None:
        """Raise ModelFailure when the last two compactions have not helped: more of them would not either."""
        last = self._conversation.compaction
        if self._useless and last is not None:
            raise ModelFailure(
                "context_overflow",
                f"the conversation stays too large: condensing it twice left {last.tokens_after:,} tokens of a window "
                f"of {sizes.window:,}. Start a new session, or take a model with a larger window.",
            )

    async def _draft(self, chosen: Plan, sizes: Sizes, window: int, instructions: str | None) -> _Draft:
        previous = self._conversation.compaction
        before = previous.summary if previous else ""
        summariser = partial(self._summariser.summary, sizes=sizes, window=window, instructions=instructions)
        if chosen.history:
            summary = await summariser(chosen.history, previous=before)
            if chosen.prefix:
                part = await summariser(chosen.prefix, share=PREFIX_SHARE, ask=PREFIX)
                summary = f"{summary}\n\n## Turn In Progress\n{part}"
        else:
            summary = await summariser(chosen.prefix, previous=before)

        older = self._conversation.kept[: chosen.kept_from]
        messages = [entry.message for entry in older]
        read, written = files_of(messages, self._tools)
        limit = int(sizes.keep_recent * REQUEST_SHARE) * CHARS_PER_TOKEN
        requests = [message.text for message in messages if is_request(message)]
        asked = [clip(text, limit) for text in requests if text != CONTINUE]
        original = previous.original_request if previous else "".join(asked[:1])
        current = asked[-1] if asked else previous.current_request if previous else ""
        read_files = merged(previous.read_files if previous else (), read)
        modified_files = merged(previous.modified_files if previous else (), written)
        text = stand_in(
            original_request=original,
            current_request=current,
            summary=summary,
            read_files=read_files,
            modified_files=modified_files,
        )
        message = Message(role="user", content=(Text(text=text),))
        return _Draft(message, summary, original, current, read_files, modified_files)

    def _apply(self, chosen: Plan, draft: _Draft, reason: CompactionReason, before: int) -> int:
        """Put DRAFT in place; return the estimated size after it."""
        conversation = self._conversation
        older, younger = range(chosen.kept_from), range(chosen.kept_from, len(conversation.kept))
        head = message_tokens(conversation.compaction.message) if conversation.compaction else 0
        size = message_tokens(draft.message)
        if size >= head + sum(map(conversation.size_of, older)):
            raise ModelFailure("internal", "the summary is no shorter than what it stands for")
        after = self._overhead + size + sum(map(conversation.size_of, younger))
        conversation.compact(
            reason=reason,
            message=draft.message,
            kept_from=chosen.kept_from,
            summary=draft.summary,
            original_request=draft.original_request,
            current_request=draft.current_request,
            read_files=draft.read_files,
            modified_files=draft.modified_files,
            tokens_before=before,
            tokens_after=after,
        )
        return after
