"""Expected failures, as types. Each is shown once, at a border: a line on a terminal, a JSON error on the wire."""


class BeyondError(Exception):
    """Something went wrong that a person can mend; `hint` says how."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ConfigError(BeyondError):
    """The configuration was not understood; nothing was started."""

    exit_code = 2


class PluginError(BeyondError):
    """A plugin could not be used, where it cannot be set aside."""
