"""Where sessions lie: a folder for each working folder, a file for each session, named so that they sort by age."""

import hashlib
import os
import re
import secrets
import time
from pathlib import Path
from typing import Final

from beyond_ai.agent.session.journal import parse_lines

HEADER_BYTES: Final = 65_536
"""A header lies within the first of these."""


def default_folder(cwd: Path, home: Path | None = None) -> Path:
    """The folder for sessions of the working folder CWD, an absolute path. Two folders never share one."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", str(cwd)).strip("-")[-80:]
    digest = hashlib.sha256(os.fsencode(cwd)).hexdigest()[:12]
    return (home or Path.home()) / ".beyond-ai" / "sessions" / f"{readable}-{digest}"


def new_path(folder: Path) -> Path:
    """The path of a session that begins now."""
    started = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    return folder / f"{started}-{secrets.token_hex(4)}.jsonl"


def latest(folder: Path, cwd: Path) -> Path | None:
    """The session of CWD in FOLDER that was written last; None when there is none."""
    try:
        files = [path for path in folder.iterdir() if path.suffix == ".jsonl" and path.is_file()]
        files.sort(key=lambda path: (path.stat().st_mtime_ns, path.name), reverse=True)
    except OSError:
        return None
    return next((path for path in files if _working_folder(path) in (str(cwd), None)), None)


def _working_folder(path: Path) -> str | None:
    """The working folder in the header of PATH; None where it cannot be read."""
    try:
        with path.open("rb") as file:
            values, _ = parse_lines(file.read(HEADER_BYTES))
    except OSError:
        return None
    header = next((value for value in values if value.get("type") == "session"), {})
    cwd = header.get("cwd")
    return cwd if isinstance(cwd, str) else None
