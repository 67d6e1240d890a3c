"""Why a command is answered with success false."""

from beyond_ai.agent.failure import ModelFailure
from beyond_ai.errors import BeyondError, ConfigError


class Refused(Exception):  # noqa: N818 - an answer, not a defect
    """A command is answered with success false; IDENT is its id, where only what found the fault could read it."""

    def __init__(self, code: str, message: str, ident: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.ident = ident


def refusal_of(error: Exception) -> Refused:
    """What a client is told of ERROR. A defect is told too, and is not the end."""
    match error:
        case Refused():
            return error
        case ModelFailure():
            return Refused(error.code, error.message)
        case BeyondError():
            return Refused("config" if isinstance(error, ConfigError) else "session", error.message)
    return Refused("internal", f"{type(error).__name__}: {error}")
