"""What a loop is told once: limits, patience, and how the conversation is kept small."""

import asyncio
import time
from dataclasses import dataclass, field

from beyond_ai.spec.conversation import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class CompactionSettings:
    """When older messages are summarised. Tokens; all are scaled down for a small window.

    Attributes:
        enabled: whether to do it before the window is full. An overflow is answered by a compaction either way.
        reserve: what stays free of the window for an answer; a compaction is due above window minus reserve.
        keep_recent: how much of the latest conversation stays word for word.
    """

    enabled: bool = True
    reserve: int = 16_384
    keep_recent: int = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopSettings:
    """Settings of a loop. Times are seconds.

    Attributes:
        max_tokens: of one answer; None lets the dialect choose. Less is asked for where the window has less room.
        temperature: None leaves it to the provider.
        cache_key: groups requests for the provider's prompt cache; the session's id.
        cache_long: whether to ask for the longer of the cache times.
        output_schema: a JSON schema that the final text must fit; None for free text.
        max_turns: answers in one run; None for no limit, as with the other budgets.
        max_tokens_total: tokens of one run, read and written, summaries and retries included.
        max_seconds: of one run.
        retries: how often a failed request is made again.
        retry_seconds: how long, from its first failure on, a request may be retried.
        retry_base: the first delay is at most this, the next at most twice as much, and so on.
        retry_cap: no delay of our own is longer.
        retry_after_cap: a provider that asks for more patience than this is not waited for.
        parallel: how many calls may run at once; 1 runs them in their order.
        tool_grace: how long a call may go on by itself once the run is cancelled.
        tool_cleanup: how long it may clean up after that, before it is left behind.
        progress_interval: the least time between two `tool_progress` of a call.
        compaction: how the conversation is kept small.
    """

    max_tokens: int | None = None
    temperature: float | None = None
    cache_key: str | None = None
    cache_long: bool = False
    output_schema: JsonObject | None = None
    max_turns: int | None = None
    max_tokens_total: int | None = None
    max_seconds: float | None = None
    retries: int = 4
    retry_seconds: float = 120.0
    retry_base: float = 1.0
    retry_cap: float = 30.0
    retry_after_cap: float = 60.0
    parallel: int = 8
    tool_grace: float = 0.5
    tool_cleanup: float = 2.0
    progress_interval: float = 0.1
    compaction: CompactionSettings = field(default_factory=CompactionSettings)

    @property
    def limits(self) -> dict[str, float]:
        """The budgets that are set, by name."""
        budgets = {
            "max_turns": self.max_turns,
            "max_tokens_total": self.max_tokens_total,
            "max_seconds": self.max_seconds,
        }
        return {name: value for name, value in budgets.items() if value is not None}


class Clock:
    """Time and chance. Tests bring their own."""

    def now(self) -> float:
        """Seconds that only grow."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Return after SECONDS."""
        await asyncio.sleep(seconds)

    def chance(self) -> float:
        """A number from 0 to 1, each time another."""
        import random

        return random.random()  # noqa: S311 - spreads retries, keeps no secret
