"""The configuration: defaults, then the TOML file, then `AI_*` variables; a key that is not known is refused.

pydantic takes a while to import, so commands that need no setting do not import this.
"""

from beyond_ai.config.loading import Loaded, load_accepted, load_settings
from beyond_ai.config.settings import Settings
from beyond_ai.config.values import Address

__all__ = ["Address", "Loaded", "Settings", "load_accepted", "load_settings"]
