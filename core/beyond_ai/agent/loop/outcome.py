"""How a run ended."""

from dataclasses import dataclass

from beyond_ai.agent.failure import FailureCode
from beyond_ai.spec.agent_event import RunStatus
from beyond_ai.spec.conversation import TokenUsage


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOutcome:
    """How a run ended; says what its `agent_end` says.

    Attributes:
        status: `done` alone is success.
        code: what kind of failure; None when it is done.
        message: for people: why it ended so; None when there is nothing to say.
        text: of the last whole answer.
        steps: answers.
        requests: model requests, retries and summaries included.
        retries: how many of these repeated one that had failed.
        usage: of all requests of the run.
        seconds: how long it took.
    """

    status: RunStatus
    code: FailureCode | None = None
    message: str | None = None
    text: str = ""
    steps: int = 0
    requests: int = 0
    retries: int = 0
    usage: TokenUsage
    seconds: float = 0.0
