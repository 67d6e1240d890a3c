"""The log of a gateway, in all its processes."""

import logging

from beyond_ai.config import Settings
from beyond_ai.logs import LogFormat, configure_logs

_log = logging.getLogger(__name__)


def start_logging(settings: Settings) -> None:
    """Write log lines to stderr, as SETTINGS want them; again after they have changed."""
    pool_keys = [key.get_secret_value() for keys in settings.pool_keys.values() for key in keys]
    configure_logs(settings.log_level, LogFormat(settings.log_format), pool_keys)


def warn_of_test_settings(settings: Settings) -> None:
    """Log which of SETTINGS are for tests only."""
    if not settings.upstream_tls:
        _log.warning("upstream_tls = false: every provider is spoken to in PLAIN TEXT, keys included; for tests only")
    if not settings.upstream_verify_cert:
        _log.warning("upstream_verify_cert = false: providers are NOT authenticated; for tests only")
