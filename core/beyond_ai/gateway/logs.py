"""The log of a gateway, in all its processes."""

from beyond_ai.config import Settings
from beyond_ai.logs import LogFormat, configure_logs


def start_logging(settings: Settings) -> None:
    """Write log lines to stderr, as SETTINGS want them; again after they have changed."""
    pool_keys = [key.get_secret_value() for keys in settings.pool_keys.values() for key in keys]
    configure_logs(settings.log_level, LogFormat(settings.log_format), pool_keys)
