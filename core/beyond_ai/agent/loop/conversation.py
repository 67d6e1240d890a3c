"""A conversation as it grows: what goes to the model, and the record of how it came to be.

The record is append-only. A store writes those of `entries` that it has not written yet, by their ids, and makes the
conversation again from them with `Conversation.replay`. What a run discards, as half an answer that is asked for again,
never gets in.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from beyond_ai.agent.loop.size import message_tokens
from beyond_ai.spec.conversation import Message, Text, ThinkingLevel, TokenUsage, ToolOutput, ToolUse

CompactionReason = Literal["threshold", "overflow", "manual"]
SpendReason = Literal["retry", "compaction"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageEntry:
    """A message was added; an assistant's carries the usage of its request."""

    id: str
    kind: Literal["message"] = "message"
    message: Message


@dataclass(frozen=True, slots=True, kw_only=True)
class CompactionEntry:
    """Older messages were replaced, for the model, by `message`.

    Attributes:
        reason: what made it necessary.
        message: a user's message that stands for what is older.
        first_kept: id of the first message that stays as it was; None when none does.
        summary: what the model wrote.
        original_request: what the user asked first, word for word.
        current_request: what the user asked last among the older messages, word for word.
        read_files: paths that were read until here.
        modified_files: paths that were written until here.
        tokens_before: estimated size before, and `tokens_after` after.
    """

    id: str
    kind: Literal["compaction"] = "compaction"
    reason: CompactionReason
    message: Message
    first_kept: str | None
    summary: str
    original_request: str
    current_request: str
    read_files: tuple[str, ...] = ()
    modified_files: tuple[str, ...] = ()
    tokens_before: int
    tokens_after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEntry:
    """Another model, or another level, answers from here on."""

    id: str
    kind: Literal["model"] = "model"
    model: str
    thinking: ThinkingLevel | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SpendEntry:
    """Tokens went into a request that left no message: one that failed half way, or a summary."""

    id: str
    kind: Literal["spend"] = "spend"
    reason: SpendReason
    usage: TokenUsage


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchSummaryEntry:
    """The conversation went on from an earlier place; `summary` tells the model what happened on the branch left.

    Attributes:
        from_id: the last entry of that branch.
        summary: what a model or a person wrote of it.
    """

    id: str
    kind: Literal["branch_summary"] = "branch_summary"
    from_id: str
    summary: str


Entry = MessageEntry | CompactionEntry | ModelEntry | SpendEntry | BranchSummaryEntry
BRANCH_SUMMARY: Final = (
    "(The conversation was taken back to here. What happened on the way that was left, summarised; files may still be "
    "as it left them:)\n\n"
)


def new_entry_id() -> str:
    """An id that no other entry has."""
    import secrets

    return secrets.token_hex(8)


class Conversation:
    """Messages, their record, and what has been spent on them.

    Attributes:
        model: who answers next.
        thinking: how much it reasons; None is its own default.
        total_usage: of all requests, those of earlier runs included.
        compaction: the last one.
    """

    def __init__(
        self, *, model: str, thinking: ThinkingLevel | None = None, new_id: Callable[[], str] = new_entry_id
    ) -> None:
        self.model = model
        self.thinking = thinking
        self.total_usage = TokenUsage()
        self.compaction: CompactionEntry | None = None
        self._new_id = new_id
        self._entries: list[Entry] = []
        self._kept: list[MessageEntry] = []
        self._sizes: list[int] = []
        self._messages: tuple[Message, ...] | None = ()
        self._told: tuple[Text, ...] = ()  # of other branches: goes to the model with the user's next message
        self._reported: tuple[int, int] | None = None  # tokens, and how many kept messages these cover

    @classmethod
    def replay(
        cls,
        entries: Iterable[Entry],
        *,
        model: str,
        thinking: ThinkingLevel | None = None,
        new_id: Callable[[], str] = new_entry_id,
    ) -> "Conversation":
        """The conversation that ENTRIES record. MODEL and THINKING hold until an entry says otherwise."""
        conversation = cls(model=model, thinking=thinking, new_id=new_id)
        for entry in entries:
            conversation._apply(entry)
        return conversation

    @property
    def entries(self) -> Sequence[Entry]:
        """All that happened, oldest first. It only grows."""
        return self._entries

    @property
    def messages(self) -> tuple[Message, ...]:
        """What goes to the model: all messages, or the last compaction and what it kept."""
        if self._messages is None:
            head = (self.compaction.message,) if self.compaction else ()
            self._messages = (*head, *(entry.message for entry in self._kept))
        return self._messages

    @property
    def kept(self) -> Sequence[MessageEntry]:
        """The messages that no compaction has replaced, with their ids."""
        return self._kept

    @property
    def last(self) -> Message | None:
        """The latest message."""
        if self._kept:
            return self._kept[-1].message
        return self.compaction.message if self.compaction else None

    @property
    def unanswered(self) -> tuple[ToolUse, ...]:
        """Calls at the end that have no result."""
        last = self.last
        return last.tool_uses if last is not None and last.role == "assistant" else ()

    def size_of(self, position: int) -> int:
        """Estimated tokens of the message at POSITION of `kept`."""
        return self._sizes[position]

    def live_tokens(self, overhead: int) -> int:
        """How large a request is now: what the provider said last, and an estimate of what came after it.

        OVERHEAD is the estimate for system prompt and tools, for when it has said nothing yet.
        """
        if self._reported is not None:
            reported, covered = self._reported
            return reported + sum(self._sizes[covered:])
        head = message_tokens(self.compaction.message) if self.compaction else 0
        return overhead + head + sum(self._sizes)

    def append(self, message: Message) -> MessageEntry:
        """Add MESSAGE. Raises ValueError when the history would not be legal with it."""
        self._check(message)
        entry = MessageEntry(id=self._new_id(), message=message)
        self._apply(entry)
        return entry

    def spend(self, usage: TokenUsage, reason: SpendReason) -> None:
        """Note USAGE that belongs to no message."""
        if usage != TokenUsage():
            self._apply(SpendEntry(id=self._new_id(), reason=reason, usage=usage))

    def tell_of_branch(self, from_id: str, summary: str) -> BranchSummaryEntry:
        """Let the model know, by SUMMARY, what happened on the branch that ended with FROM_ID."""
        entry = BranchSummaryEntry(id=self._new_id(), from_id=from_id, summary=summary)
        self._apply(entry)
        return entry

    def switch(self, model: str, thinking: ThinkingLevel | None) -> None:
        """Let MODEL answer from here on."""
        if (model, thinking) != (self.model, self.thinking):
            self._apply(ModelEntry(id=self._new_id(), model=model, thinking=thinking))

    def compact(
        self,
        *,
        reason: CompactionReason,
        message: Message,
        kept_from: int,
        summary: str,
        original_request: str,
        current_request: str,
        read_files: tuple[str, ...],
        modified_files: tuple[str, ...],
        tokens_before: int,
        tokens_after: int,
    ) -> CompactionEntry:
        """Let MESSAGE stand for all before position KEPT_FROM of `kept`."""
        entry = CompactionEntry(
            id=self._new_id(),
            reason=reason,
            message=message,
            first_kept=self._kept[kept_from].id if kept_from < len(self._kept) else None,
            summary=summary,
            original_request=original_request,
            current_request=current_request,
            read_files=read_files,
            modified_files=modified_files,
            tokens_before=tokens_before,
            tokens_after=tokens_after,
        )
        self._apply(entry)
        return entry

    def _apply(self, entry: Entry) -> None:
        self._entries.append(entry)
        if isinstance(entry, MessageEntry):
            self._add(entry)
        elif isinstance(entry, CompactionEntry):
            self._cut(entry)
        elif isinstance(entry, ModelEntry):
            self.model, self.thinking = entry.model, entry.thinking
        elif isinstance(entry, BranchSummaryEntry):
            self._tell(Text(text=f"{BRANCH_SUMMARY}{entry.summary}"))
        else:
            self.total_usage += entry.usage

    def _add(self, entry: MessageEntry) -> None:
        message = entry.message
        if self._told and message.role == "user":
            message = replace(message, content=(*message.content, *self._told))
            self._told = ()
        self._kept.append(replace(entry, message=message) if message is not entry.message else entry)
        self._sizes.append(message_tokens(message))
        self._messages = None
        if message.usage is None:
            return
        self.total_usage += message.usage
        whole = message.stop_reason not in ("aborted", "error")
        if whole and message.usage.prompt_tokens:  # half an answer has often half a report
            self._reported = (message.usage.prompt_tokens + message.usage.output_tokens, len(self._kept))

    def _tell(self, text: Text) -> None:
        """Add TEXT to the user's last words, or keep it for the next: roles alternate."""
        last = self._kept[-1] if self._kept else None
        if last is None or last.message.role == "assistant":
            self._told = (*self._told, text)
            return
        message = replace(last.message, content=(*last.message.content, text))
        self._kept[-1] = replace(last, message=message)
        self._sizes[-1] = message_tokens(message)
        self._messages = None

    def _cut(self, entry: CompactionEntry) -> None:
        ids = [kept.id for kept in self._kept]
        start = ids.index(entry.first_kept) if entry.first_kept in ids else len(ids)
        self._kept, self._sizes = self._kept[start:], self._sizes[start:]
        self.compaction = entry
        self._messages = None
        self._reported = None  # what was said of the longer conversation

    def _check(self, message: Message) -> None:
        last = self.last
        if last is None:
            if message.role != "user":
                raise ValueError("a conversation starts with a user's message")
            return
        if last.role == message.role:
            raise ValueError(f"two messages of the {message.role} in a row")
        results = [block.tool_use_id for block in message.content if isinstance(block, ToolOutput)]
        calls = [call.id for call in last.tool_uses]
        if results != calls:
            raise ValueError(f"calls {calls} are answered by results {results}")
