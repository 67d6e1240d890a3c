"""Text that is piped into the program, without ever waiting for a pipe that nobody writes to."""

import os
import select
import stat
import sys
from collections.abc import Callable, Sequence
from typing import Final, TextIO

from beyond_ai.errors import ConfigError

MOST_PIPED: Final = 1024 * 1024
"""Bytes of piped text."""
PIPE_PATIENCE: Final = 0.3
"""Seconds in which something must come from a pipe, or it is not waited for."""


def read_piped(stream: TextIO, *, wait: bool, warn: Callable[[str], None]) -> str:
    """The text that is piped into STREAM; empty for a terminal, and for a pipe that nothing comes from.

    Once something has come it is read to its end; with WAIT it is waited for. Raises ConfigError when it is too long,
    or no text.
    """
    try:
        descriptor = stream.fileno()
        kind = os.fstat(descriptor).st_mode
    except (OSError, ValueError):
        return ""
    if os.isatty(descriptor):
        return ""
    if not wait and (stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind)):
        ready, _, _ = select.select([descriptor], [], [], PIPE_PATIENCE)
        if not ready:
            warn("standard input is a pipe that nothing came from; it is not waited for. Give - as a task to wait")
            return ""
    content = bytearray()
    try:
        while piece := os.read(descriptor, 65_536):
            content += piece
            if len(content) > MOST_PIPED:
                raise ConfigError("more than 1 MiB was piped in", "put it into a file, and name the file in the task")
    except OSError:
        return ""
    if 0 in content:
        raise ConfigError("what was piped in is no text", "put it into a file, and name the file in the task")
    return content.decode(errors="replace")


def stdin_text(words: Sequence[str], warn: Callable[[str], None]) -> tuple[list[str], str]:
    """WORDS without `-`, and the text that is piped in."""
    left = [word for word in words if word != "-"]
    return left, read_piped(sys.stdin, wait=len(left) < len(words), warn=warn)
