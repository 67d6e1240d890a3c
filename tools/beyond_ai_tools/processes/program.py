"""A helper program, run to its end: it answers on its standard output, and is killed with whoever waits for it."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from beyond_ai import ToolContext, ToolError

DYING: Final = 1.0
"""Seconds for a killed program to be gone."""


@dataclass(frozen=True, slots=True)
class Finished:
    """What a program has left behind."""

    code: int
    output: bytes
    errors: bytes


async def run_program(
    words: Sequence[str | bytes], *, folder: Path, context: ToolContext, seconds: float, data: bytes = b""
) -> Finished:
    """Run WORDS[0] in FOLDER with the rest as its arguments and DATA as its input.

    Raises ToolError when it takes longer than SECONDS or the run is being cancelled, and OSError or ValueError when it
    cannot be started.
    """
    process = await asyncio.create_subprocess_exec(
        *words,
        stdin=asyncio.subprocess.PIPE if data else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=folder,
        env=dict(context.environment),
        start_new_session=True,
    )
    answer = asyncio.ensure_future(process.communicate(data or None))
    cancelled = asyncio.ensure_future(context.cancellation.wait())
    try:
        await asyncio.wait({answer, cancelled}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        cancelled.cancel()
        killed = not answer.done()
        if killed:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await asyncio.wait({answer}, timeout=DYING)
    if killed:
        why = "was cancelled" if context.cancellation.requested else f"took more than {seconds:g} seconds"
        raise ToolError(f"The search {why} and was stopped. Narrow it: a simpler pattern, a glob or a narrower path.")
    output, errors = answer.result()
    assert process.returncode is not None
    return Finished(process.returncode, output, errors)
