"""Where log lines go, and which are written."""

import logging
import sys
from typing import Final

from beyond_ai.config import Settings

_CHATTY: Final = ("uvicorn.error", "stevedore", "httpx", "httpcore")


def start_logging(settings: Settings) -> None:
    """Write log lines to stderr, as SETTINGS want them; again after they have changed."""
    logging.basicConfig(
        stream=sys.stderr,
        level=settings.log_level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        force=True,
    )
    for chatty in _CHATTY:
        logging.getLogger(chatty).setLevel(logging.WARNING)
