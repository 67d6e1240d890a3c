"""What happens in a run, as everybody sees it who watches: the terminal, `--json`, `agent serve` and hooks.

Order of a run: `agent_start`, then for each turn `turn_start`, the `delta`s of the answer, `turn_end`,
`tool_start` for every call in call order, and `tool_progress` and `tool_end` as they come; and `agent_end`, exactly
once, on every path. An `error` comes before the `agent_end` of a run that failed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from beyond_ai.spec.conversation import JsonObject, StopReason, TokenUsage

RunStatus = Literal["done", "failed", "refused", "budget", "cancelled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentStart:
    """A run begins. `limits` are the budgets that are set, by name."""

    kind: Literal["agent_start"] = "agent_start"
    model: str
    limits: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnStart:
    """A request goes to the model; `step` counts from 1."""

    kind: Literal["turn_start"] = "turn_start"
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """More of the answer: text, reasoning, or a call's arguments as they are written."""

    kind: Literal["delta"] = "delta"
    type: Literal["text", "thinking", "tool_arguments"]
    index: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnEnd:
    """An answer is complete. `turn_usage` is of this request alone, `total_usage` of all requests of the run."""

    kind: Literal["turn_end"] = "turn_end"
    step: int
    stop_reason: StopReason
    text: str
    turn_usage: TokenUsage
    total_usage: TokenUsage


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolStart:
    """A call whose arguments are whole; it is about to be checked and run."""

    kind: Literal["tool_start"] = "tool_start"
    id: str
    name: str
    input: JsonObject
    summary: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolProgress:
    """What a tool has said since the last of these, cut to a bound; `total_bytes` is how much there is in all."""

    kind: Literal["tool_progress"] = "tool_progress"
    id: str
    name: str
    text: str
    total_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolEnd:
    """A call has its result. `details` is for people, `diff` among it."""

    kind: Literal["tool_end"] = "tool_end"
    id: str
    name: str
    text: str
    is_error: bool
    seconds: float
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Steered:
    """Messages that were waiting have been put into the conversation."""

    kind: Literal["steered"] = "steered"
    lane: Literal["steer", "follow_up", "next_turn"]
    messages: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """A request failed and is made again after `delay` seconds; `time_left` is what retries may still take.

    What the answer had said until then is void: it begins anew, without another `turn_start`.
    """

    kind: Literal["retry"] = "retry"
    attempt: int
    attempts: int
    delay: float
    time_left: float
    code: str
    message: str
    status: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CompactionStart:
    """The conversation is being summarised."""

    kind: Literal["compaction_start"] = "compaction_start"
    reason: Literal["threshold", "overflow", "manual"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compacted:
    """What is older is now a summary; tokens are estimates."""

    kind: Literal["compacted"] = "compacted"
    reason: Literal["threshold", "overflow", "manual"]
    messages_before: int
    messages_after: int
    tokens_before: int
    tokens_after: int
    summary: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CompactionFailed:
    """The conversation stays as it is. Not fatal."""

    kind: Literal["compaction_failed"] = "compaction_failed"
    reason: Literal["threshold", "overflow", "manual"]
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSwitched:
    """Another model answers from here on."""

    kind: Literal["model_switched"] = "model_switched"
    model: str
    thinking: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something that people should know and that ends nothing: a hook that failed, a tool that repeats itself."""

    kind: Literal["notice"] = "notice"
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorEvent:
    """Why the run fails; `code` is one of `beyond_ai.agent.failure`."""

    kind: Literal["error"] = "error"
    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentEnd:
    """The run is over; nothing of it follows. `requests` counts model requests, retries included."""

    kind: Literal["agent_end"] = "agent_end"
    status: RunStatus
    steps: int
    requests: int
    retries: int
    total_usage: TokenUsage
    seconds: float
    code: str | None = None
    message: str | None = None


AgentEvent = (
    AgentStart
    | TurnStart
    | Delta
    | TurnEnd
    | ToolStart
    | ToolProgress
    | ToolEnd
    | Steered
    | Retry
    | CompactionStart
    | Compacted
    | CompactionFailed
    | ModelSwitched
    | Notice
    | ErrorEvent
    | AgentEnd
)
