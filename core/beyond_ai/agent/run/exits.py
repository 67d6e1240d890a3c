"""Exit codes: the same in text and in JSON mode."""

import signal
from typing import Final

from beyond_ai.agent.failure import FailureCode
from beyond_ai.spec.agent_event import RunStatus

DONE: Final = 0
FAILED: Final = 1
USAGE: Final = 2
REFUSED: Final = 3
BUDGET: Final = 4
PROVIDER: Final = 5

OF_PROVIDER: Final[frozenset[FailureCode]] = frozenset(
    {"auth", "quota", "rate_limit", "overloaded", "network", "timeout", "context_overflow", "bad_request", "no_answer"}
)
"""Failures of the gateway, of the provider, or of the way there."""


def exit_code(status: RunStatus, code: str | None, caught: int | None) -> int:
    """The exit code of a run that ended with STATUS and failure CODE; CAUGHT is the signal that cancelled it."""
    match status:
        case "done":
            return DONE
        case "refused":
            return REFUSED
        case "budget":
            return BUDGET
        case "cancelled":
            return 128 + caught if caught is not None else DONE  # without a signal its reader is gone: a normal end
        case "failed":
            return PROVIDER if code in OF_PROVIDER else USAGE if code == "config" else FAILED


def signal_code(caught: int) -> int:
    """The exit code of a program that the signal CAUGHT has ended."""
    return 128 + caught


def name_of(caught: int) -> str:
    """The name of a signal, as SIGINT."""
    return signal.Signals(caught).name
