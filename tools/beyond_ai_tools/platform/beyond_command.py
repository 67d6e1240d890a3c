"""The command `beyond` as the platform tools run it: by argument list, with a time limit, never through a shell."""

import os
import shutil
from collections.abc import Sequence
from typing import Final

from beyond_ai import ToolContext, ToolError, ToolResult
from beyond_ai_tools.coding.paths import require_directory
from beyond_ai_tools.processes.command import Commands

TIMEOUT: Final = 120.0
"""Seconds that a command may take."""

MISSING: Final = (
    "The command `beyond` is not installed, or not on PATH, so nothing was done. It is the command line of the Beyond "
    "platform: install it as its documentation says, sign in, and try again. Nothing else here depends on it."
)


async def run_beyond(commands: Commands, words: Sequence[str], context: ToolContext) -> ToolResult:
    """Run `beyond` with WORDS in the working folder. Raises ToolError when there is no such command."""
    program = shutil.which("beyond", path=context.environment.get("PATH", os.defpath))
    if program is None:
        raise ToolError(MISSING)
    require_directory(context.cwd, context)
    return await commands.run((program, *words), folder=context.cwd, seconds=TIMEOUT, context=context)
