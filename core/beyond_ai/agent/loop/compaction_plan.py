"""Which messages are condensed, and what is carried over from them word for word."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from beyond_ai.agent.loop.conversation import Conversation
from beyond_ai.agent.loop.definitions import ToolSet
from beyond_ai.agent.loop.settings import CompactionSettings
from beyond_ai.agent.model import ModelFacts
from beyond_ai.spec.conversation import Message, ToolOutput, ToolUse

MIN_MESSAGES: Final = 4
"""A shorter conversation is not condensed."""
TARGET_SHARE: Final = 0.75
"""Of the threshold: a compaction that leaves more has not helped."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Token figures of one model. A small window has smaller reserves."""

    window: int
    reserve: int
    keep_recent: int
    max_output: int

    @classmethod
    def of(cls, settings: CompactionSettings, facts: ModelFacts) -> "Sizes":
        """The figures for a model of which FACTS are known."""
        reserve = min(settings.reserve, facts.window // 4)
        keep_recent = min(settings.keep_recent, (facts.window - reserve) // 2)
        return cls(facts.window, reserve, keep_recent, facts.max_output)

    @property
    def threshold(self) -> int:
        """Above it, older messages are condensed."""
        return self.window - self.reserve

    @property
    def target(self) -> int:
        """Above it, a compaction has not helped."""
        return int(self.threshold * TARGET_SHARE)

    def summary_tokens(self, share: float) -> int:
        """How long a summary may be that gets SHARE of the reserve."""
        return min(max(1_024, int(self.reserve * share)), self.max_output)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do with the messages of a conversation: `history`, then `prefix` of a turn, then what is kept.

    `kept_from` is the position of the first message that stays; it is an assistant's.
    """

    kept_from: int
    history: tuple[Message, ...]
    prefix: tuple[Message, ...]


def plan(conversation: Conversation, keep_recent: int) -> Plan | None:
    """How to condense CONVERSATION so that about KEEP_RECENT tokens stay; None when it is too small."""
    messages = [entry.message for entry in conversation.kept]
    if len(messages) + (conversation.compaction is not None) < MIN_MESSAGES:
        return None
    cut = len(messages)
    size = 0
    while cut > 0 and size < keep_recent:
        cut -= 1
        size += conversation.size_of(cut)
    kept_from = _at_assistant(messages, cut)
    if kept_from is None:
        return None
    turn = next((at for at in range(kept_from - 1, -1, -1) if is_request(messages[at])), 0)
    history, prefix = messages[:turn], messages[turn:kept_from]
    if all(map(is_request, prefix)):
        prefix = []  # nothing but the request, which is carried over as it is
    return Plan(kept_from, tuple(history), tuple(prefix)) if history or prefix else None


def is_request(message: Message) -> bool:
    """Whether the user asks something with MESSAGE, rather than tools answering."""
    return message.role == "user" and not any(isinstance(block, ToolOutput) for block in message.content)


def files_of(messages: Sequence[Message], tools: ToolSet) -> tuple[list[str], list[str]]:
    """Paths that the calls in MESSAGES have read and written, in order, failed calls left out."""
    failed = {
        block.tool_use_id
        for message in messages
        for block in message.content
        if isinstance(block, ToolOutput) and block.is_error
    }
    calls = [call for message in messages for call in message.tool_uses if call.id not in failed]
    read = _paths(calls, tools, written=False)
    written = _paths(calls, tools, written=True)
    return read, written


def merged(before: Iterable[str], more: Iterable[str]) -> tuple[str, ...]:
    """Both, each path once."""
    return tuple(dict.fromkeys([*before, *more]))


def _at_assistant(messages: list[Message], cut: int) -> int | None:
    """The position nearest to CUT, rather after it, from which an assistant's message can be the first that is kept."""
    after = range(max(cut, 1), len(messages))
    before = range(min(cut, len(messages)) - 1, 0, -1)
    return next((at for at in (*after, *before) if messages[at].role == "assistant"), None)


def _paths(calls: Iterable[ToolUse], tools: ToolSet, *, written: bool) -> list[str]:
    paths = []
    for call in calls:
        tool = tools.by_name.get(call.name)
        teller = None if tool is None else tool.writes if written else tool.reads
        if tool is None or teller is None or call.malformed is not None:
            continue
        with suppress(Exception):  # a call that was never run
            paths.append(teller(tool.arguments.model_validate(call.input)))
    return paths
