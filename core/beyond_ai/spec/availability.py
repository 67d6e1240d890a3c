"""How a plugin says that it cannot serve in this installation although nothing is broken."""


class Unavailable(Exception):  # noqa: N818 - named for what it says about the plugin
    """Raised by a plugin's hook where something optional is missing: an extension that was not built, a driver.

    The text says what is missing and how to have it, and `plugins list` shows it. The plugin is left out, as one that
    is switched off, and no check fails. An auth plugin cannot be left out like that: the gateway does not start.
    """
