"""What a run has used so far, and what it may use."""

from dataclasses import dataclass, field

from beyond_ai.agent.loop.settings import LoopSettings
from beyond_ai.spec.conversation import TokenUsage


class BudgetUsed(Exception):  # noqa: N818 - not an error
    """A budget is used up; the text says which, for people."""


@dataclass(slots=True)
class Tally:
    """Counts of one run; `started` is when it began."""

    started: float
    steps: int = 0
    requests: int = 0
    retries: int = 0
    usage: TokenUsage = field(default_factory=TokenUsage)

    def check(self, settings: LoopSettings, now: float) -> None:
        """Raise BudgetUsed when one more request would go beyond the tokens or seconds of SETTINGS."""
        tokens = self.usage.prompt_tokens + self.usage.output_tokens
        if settings.max_tokens_total is not None and tokens >= settings.max_tokens_total:
            raise BudgetUsed(f"the run has used {tokens:,} tokens of its budget of {settings.max_tokens_total:,}")
        if settings.max_seconds is not None and now - self.started >= settings.max_seconds:
            raise BudgetUsed(seconds_used(settings.max_seconds))

    def check_turn(self, settings: LoopSettings, now: float) -> None:
        """Raise BudgetUsed when there is no budget for another turn."""
        if settings.max_turns is not None and self.steps >= settings.max_turns:
            raise BudgetUsed(f"the run has used its budget of {settings.max_turns} turns")
        self.check(settings, now)


def seconds_used(seconds: float) -> str:
    """That a budget of SECONDS is used up."""
    return f"the run has used its budget of {seconds:g} seconds"
