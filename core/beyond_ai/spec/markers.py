"""What marks a hook: pluggy's two decorators under our project name, and the version of the whole seam."""

from typing import Final

from pluggy import HookimplMarker, HookspecMarker

PROJECT: Final = "beyond_ai"

API_VERSION: Final = 1
"""Grows by one when a seam gains something that a plugin could depend on; nothing goes without a deprecation."""

hookspec = HookspecMarker(PROJECT)
hookimpl = HookimplMarker(PROJECT)
"""Marks a plugin's function: `@hookimpl`, or `@hookimpl(tryfirst=True)` and `trylast` where order matters."""
