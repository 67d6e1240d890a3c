"""What a run has used, in words for people, and what that cost where the configuration says what tokens cost."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from beyond_ai.agent.loop.outcome import RunOutcome
from beyond_ai.prices import ModelPrice
from beyond_ai.spec.conversation import TokenUsage


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """All tasks of a run together. `cost` is in US dollars; None where no price is known."""

    usage: TokenUsage = field(default_factory=TokenUsage)
    steps: int = 0
    requests: int = 0
    retries: int = 0
    seconds: float = 0.0
    cost: float | None = None

    def plus(self, outcome: RunOutcome, price: ModelPrice | None) -> "Total":
        """This and what the task of OUTCOME used, at PRICE."""
        return replace(
            self,
            usage=self.usage + outcome.usage,
            steps=self.steps + outcome.steps,
            requests=self.requests + outcome.requests,
            retries=self.retries + outcome.retries,
            seconds=self.seconds + outcome.seconds,
            cost=None if price is None else (self.cost or 0.0) + cost_of(outcome.usage, price),
        )


def cost_of(usage: TokenUsage, price: ModelPrice) -> float:
    """US dollars that USAGE costs at PRICE."""
    read = price.input if price.cache_read is None else price.cache_read
    write = price.input if price.cache_write is None else price.cache_write
    tokens = (
        (usage.input_tokens, price.input),
        (usage.cache_read_tokens, read),
        (usage.cache_write_tokens, write),
        (usage.output_tokens, price.output),
    )
    return sum(count * dollars for count, dollars in tokens) / 1_000_000


def usage_line(total: Total) -> str:
    """What TOTAL says, in one line."""
    usage = total.usage
    cached = f" ({usage.cache_read_tokens:,} from cache)" if usage.cache_read_tokens else ""
    reasoning = f" ({usage.reasoning_tokens:,} of reasoning)" if usage.reasoning_tokens else ""
    pieces = [
        f"{total.steps} {'turn' if total.steps == 1 else 'turns'} in {total.seconds:.1f} s",
        f"tokens {usage.prompt_tokens:,} in{cached}, {usage.output_tokens:,} out{reasoning}",
    ]
    if total.retries:
        pieces.append(f"{total.retries} of {total.requests} requests were retries")
    if total.cost is not None:
        pieces.append(f"${total.cost:.4f}")
    return "; ".join(pieces)


def limits_line(limits: Mapping[str, float]) -> str:
    """Which budgets were set."""
    if not limits:
        return "no limits were set (--max-turns, --max-tokens-total, --max-seconds)"
    return "limits: " + ", ".join(f"--{name.replace('_', '-')} {value:g}" for name, value in limits.items())
