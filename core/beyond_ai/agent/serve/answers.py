"""What answers hold: the `data` of a response, one model for each kind, and which command has which.

A member that is not given to a model is left out of the frame; one that is given as None is null in it. The models are
built when the first answer needs them, so that a start does not pay for them.
"""

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_serializer

from beyond_ai.agent.loop import LaneMode
from beyond_ai.agent.run.frames import plain
from beyond_ai.spec.conversation import Block, JsonObject, StopReason, ThinkingLevel, TokenUsage


class Answer(BaseModel):
    """What all answers have in common."""

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)

    def members(self) -> JsonObject:
        """What stands in the frame."""
        return self.model_dump(exclude_unset=True)


class Counters(Answer):
    """Counters of the branch in use, from its first message on, earlier processes included.

    `new_session` and `switch_branch` lead to other branches, `compact` changes nothing here.

    Attributes:
        steps: answers of the model.
        input_tokens: neither read from nor written to a cache.
        cache_write_1h_tokens: among `cache_write_tokens`.
        reasoning_tokens: among `output_tokens`.
        last_input_tokens: all that the last request carried, cached or not.
    """

    steps: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    cache_write_1h_tokens: int
    reasoning_tokens: int
    last_input_tokens: int


class Prompted(Counters):
    """How a run has ended, which is on disk now. A prompt that waits in a queue is answered without `data`.

    Attributes:
        refused: true where the model refused to answer.
    """

    refused: bool | None = None


class Queues(Answer):
    """Texts that wait, the oldest first."""

    steer: tuple[str, ...]
    follow_up: tuple[str, ...]


class OpenRequest(Answer):
    """An `approval_request` that waits for its answer, in short; `attach` sends it whole."""

    request_id: str
    tool: str
    call_id: str
    summary: str


class State(Counters):
    """Where things stand.

    Attributes:
        message_count: messages of the conversation.
        title: the name of the session; null without one.
        cwd: the folder that the agent works in.
        thinking_level: how much the model reasons; null is the model's own default.
        steering_mode: how many words of `steer` are taken at a time, and `follow_up_mode` of `follow_up`.
        pending_messages: how many words wait.
        session_file: null where the session is in memory alone.
        is_streaming: a prompt runs.
        is_compacting: `compact` is going on.
        busy: a prompt runs, or `compact` or `switch_branch` is going on.
        seq: the number of the last event before this answer.
        instance: of this process, as in `ready`.
        approvals: the requests that are open.
    """

    session_id: str
    model: str
    message_count: int
    title: str | None
    cwd: str
    thinking_level: ThinkingLevel | None
    steering_mode: LaneMode
    follow_up_mode: LaneMode
    pending_messages: int
    queues: Queues
    session_file: str | None
    is_streaming: bool
    is_compacting: bool
    busy: bool
    seq: int
    instance: str
    pid: int
    approvals: tuple[OpenRequest, ...]


class ListedMessage(Answer):
    """A message with its id. What is not known is left out, in its blocks too.

    Attributes:
        content: `text`, `thinking`, `redacted_thinking`, `image` and `tool_use` blocks. One message of the user holds
            all results of an answer's calls, as `tool_result` blocks.
        model_id: who answered.
        usage: of the request that was answered so.
        stop_reason: why the answer ended; `aborted` and `error` are answers that broke off.
        error_message: what broke it off.
    """

    id: str
    role: Literal["user", "assistant"]
    content: tuple[Annotated[Block, Field(discriminator="type")], ...]
    model_id: str | None = None
    usage: TokenUsage | None = None
    stop_reason: StopReason | None = None
    error_message: str | None = None

    @field_serializer("content")
    def _without_nulls(self, content: tuple[Block, ...]) -> object:
        return plain(content)


class Messages(Answer):
    """Messages in order, those that `compact` has condensed too; as many as go into one frame.

    Attributes:
        leaf_id: the entry that the conversation has come to; null in an empty one.
        next_since: where there are more: ask again with it as `since`.
    """

    messages: tuple[ListedMessage, ...]
    leaf_id: str | None
    next_since: str | None = None


class LastText(Answer):
    """The text of the last answer that has some; empty where none has."""

    text: str


class SlashCommand(Answer):
    """A skill or a template: `/skill:NAME` or `/NAME` at the start of a prompt."""

    name: str
    source: Literal["skill", "prompt"]
    description: str
    path: str


class SlashCommands(Answer):
    """What a prompt can begin with."""

    commands: tuple[SlashCommand, ...]


class Models(Answer):
    """Ids to choose from: a hint, any other is taken too."""

    models: tuple[str, ...]


class ModelSet(Answer):
    """Who answers from the next request on.

    Attributes:
        model: without the level.
        level: what stood behind it; without it the session's level stays.
    """

    model: str
    level: ThinkingLevel | None = None


class ThinkingSet(Answer):
    """How much the model reasons from the next request on.

    Attributes:
        thinking: the budget that was asked for.
        level: the level whose budget comes nearest to it from below.
    """

    thinking: int | None
    level: ThinkingLevel


class Compacted(Answer):
    """Whether older messages are a summary now.

    Attributes:
        reason: `manual`; where `compacted` is false `too_small` or `already_compacted`, and the rest is left out.
        tokens_before: estimated, and so `tokens_after`.
        first_kept_entry_id: the first message that stays word for word; null where none does.
    """

    compacted: bool
    reason: Literal["manual", "too_small", "already_compacted"]
    summary: str | None = None
    tokens_before: int | None = None
    tokens_after: int | None = None
    first_kept_entry_id: str | None = None


class SessionInUse(Answer):
    """The session that is used from now on."""

    session_id: str


class ListedSession(Answer):
    """A session of the folder.

    Attributes:
        model: who was asked first.
        prompt: how the first prompt begins.
        parent: id of the session that it is a fork of.
        created_at: Unix seconds, and so `updated_at`, when the file was written last.
        size: bytes of the file.
    """

    id: str
    path: str
    cwd: str
    model: str
    title: str | None
    prompt: str
    parent: str | None
    created_at: float
    updated_at: float
    size: int


class SessionList(Answer):
    """Sessions, the latest first; as many as go into one frame. Without a folder there are none.

    Attributes:
        next_offset: where there are more: ask again with it as `offset`.
    """

    sessions: tuple[ListedSession, ...]
    next_offset: int | None = None


class Branch(Answer):
    """A branch.

    Attributes:
        leaf_id: its last entry.
        current: whether the conversation is at its end; of no branch after `new_session`.
        entries: what is on it: messages, summaries, switches of models.
        messages: how many of these are messages.
        label: the name that somebody gave to its last entry.
    """

    leaf_id: str
    current: bool
    entries: int
    messages: int
    label: str | None


class Branches(Answer):
    """The branches of the session."""

    branches: tuple[Branch, ...]


class BranchSwitched(Answer):
    """The conversation goes on from `target_id`.

    Attributes:
        summarized: whether the model will be told of the branch that was left.
        summary: what it will be told.
        problem: why there is no summary, where one was wanted.
    """

    target_id: str
    summarized: bool
    summary: str | None = None
    problem: str | None = None


class Cleared(Answer):
    """Words that waited, and do not any more. `abort` is answered without `data` where there were none.

    Attributes:
        cleared: their texts, those of `steer` first; images are gone.
    """

    cleared: tuple[str, ...]


class Attached(Answer):
    """What came before this answer.

    Attributes:
        replayed: how many events came again.
        truncated: whether some of those that were asked for are gone.
        other: whether `instance` named another process; then no event came again.
        seq: the number of the last event.
        busy: a prompt runs, or `compact` or `switch_branch` is going on.
        instance: of this process, as in `ready`.
    """

    replayed: int
    truncated: bool
    other: bool
    seq: int
    busy: bool
    instance: str
    pid: int


ANSWERS: Final[Mapping[str, type[Answer]]] = {
    "prompt": Prompted,
    "abort": Cleared,
    "clear_queue": Cleared,
    "get_state": State,
    "get_messages": Messages,
    "get_last_assistant_text": LastText,
    "get_session_stats": Counters,
    "get_commands": SlashCommands,
    "get_available_models": Models,
    "set_model": ModelSet,
    "set_thinking": ThinkingSet,
    "compact": Compacted,
    "new_session": SessionInUse,
    "switch_session": SessionInUse,
    "fork": SessionInUse,
    "list_sessions": SessionList,
    "list_branches": Branches,
    "switch_branch": BranchSwitched,
    "attach": Attached,
}
"""By command, what its answer holds; the answers of others hold nothing."""
