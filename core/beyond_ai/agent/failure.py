"""What can go wrong with a model request, in the words that programs rely on."""

from typing import Literal

FailureCode = Literal[
    "auth",
    "quota",
    "rate_limit",
    "overloaded",
    "network",
    "timeout",
    "context_overflow",
    "no_answer",
    "bad_request",
    "refused",
    "budget",
    "tool",
    "config",
    "cancelled",
    "internal",
]
"""Stable: a code is added, never renamed. `network` includes a stream that broke off or ended without its end;
`no_answer` is one that ended with nothing in it, or for a reason that nobody knows."""


class ModelFailure(Exception):  # noqa: N818 - what failed is a request, and it is often expected
    """A model request failed.

    Attributes:
        code: what kind of failure.
        message: for people: what happened, and what to do.
        retryable: whether the same request may succeed a little later.
        retry_after: seconds that the provider asks to wait; None when it did not say.
        status: the HTTP status; None when there was none.
    """

    def __init__(
        self,
        code: FailureCode,
        message: str,
        *,
        retryable: bool = False,
        retry_after: float | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code: FailureCode = code
        self.message = message
        self.retryable = retryable
        self.retry_after = retry_after
        self.status = status
