"""The folder for what is too long for a result, as the whole output of a command.

It is in the folder for temporary files, made when it is needed, and belongs to a session, which refers to what is in
it: it stays for whoever continues that, until it was not used for seven days. What a session in memory has left there
goes with it.
"""

import hashlib
import os
import re
import shutil
import stat
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from beyond_ai.agent.run.frames import SPILLED

SECONDS_KEPT: Final = 7 * 24 * 3600
SWEPT: Final = 20
"""Old folders that one start removes: it is not to take long."""
_NAME: Final = re.compile(r"beyond-ai-[0-9a-f]{16}")


def scratch_folder(session: str) -> Path:
    """The folder of SESSION, which need not be there yet. Where it is, it counts as used now."""
    name = hashlib.sha256(session.encode(errors="replace")).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"beyond-ai-{name}"
    if os.path.lexists(folder):
        if not _is_ours(folder):
            return Path(tempfile.mkdtemp(prefix="beyond-ai-"))
        with suppress(OSError):
            os.utime(folder)
    return folder


def sweep(now: float | None = None) -> None:
    """Remove folders of ours that were not used for long."""
    oldest = (time.time() if now is None else now) - SECONDS_KEPT
    left = SWEPT
    with suppress(OSError), os.scandir(tempfile.gettempdir()) as entries:
        for entry in entries:
            if left and _NAME.fullmatch(entry.name) and _is_ours(entry) and entry.stat().st_mtime < oldest:
                shutil.rmtree(entry, ignore_errors=True)
                left -= 1


def leave(folder: Path, *, kept: bool) -> None:
    """A run is over: what is in its FOLDER stays where its session is KEPT, but for nothing at all."""
    if not kept:
        for path in _files(folder):
            if not path.name.startswith(SPILLED):
                with suppress(OSError):
                    path.unlink()
    with suppress(OSError):
        folder.rmdir()


def _files(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _is_ours(folder: "Path | os.DirEntry[str]") -> bool:
    """Whether FOLDER is one that nobody else can have made, or written to."""
    try:
        facts = os.lstat(folder)
    except OSError:
        return False
    return stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.getuid() and not facts.st_mode & 0o077
