"""How often, how soon and how long a failed request is made again. The only place that retries."""

from typing import Final

from beyond_ai.agent.failure import FailureCode, ModelFailure
from beyond_ai.agent.loop.settings import Clock, LoopSettings

HOPELESS: Final[frozenset[FailureCode]] = frozenset(
    {"auth", "quota", "bad_request", "context_overflow", "refused", "budget", "config", "cancelled", "internal"}
)
"""What another attempt would not change, whatever the transport says."""


class Patience:
    """What is left of it for one answer: attempts, and time since the first failure."""

    def __init__(self, settings: LoopSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._deadline: float | None = None
        self.attempt = 0

    @property
    def attempts(self) -> int:
        """How many retries there are at most."""
        return self._settings.retries

    @property
    def time_left(self) -> float:
        """Seconds that retries may still take."""
        if self._deadline is None:
            return self._settings.retry_seconds
        return max(0.0, self._deadline - self._clock.now())

    def delay_after(self, failure: ModelFailure) -> float:
        """Seconds to wait before the next attempt. Raises the failure that ends the attempts."""
        if not failure.retryable or failure.code in HOPELESS:
            raise failure
        if self._deadline is None:
            self._deadline = self._clock.now() + self._settings.retry_seconds
        asked = failure.retry_after or 0.0
        if asked > self._settings.retry_after_cap:
            raise _final(failure, f"the provider asks to wait {asked:g} s, which is too long to wait here")
        if self.attempt >= self._settings.retries:
            attempts = "1 attempt" if self.attempt == 0 else f"{self.attempt + 1} attempts"
            raise _final(failure, f"given up after {attempts}")
        bound = min(self._settings.retry_cap, self._settings.retry_base * 2.0**self.attempt)
        delay = max(asked, bound * self._clock.chance())
        if delay > self.time_left:
            raise _final(failure, f"given up after {self._settings.retry_seconds:g} s of retries")
        self.attempt += 1
        return delay


def _final(failure: ModelFailure, why: str) -> ModelFailure:
    return ModelFailure(
        failure.code, f"{failure.message} ({why})", retry_after=failure.retry_after, status=failure.status
    )
