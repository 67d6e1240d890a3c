"""AGENTS.md, or CLAUDE.md: what people tell agents about a project. The user's own first, then from the root down."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from beyond_ai.agent.prompt.documents import read_text

NAMES: Final = ("agents.md", "claude.md")
"""In the order of preference; at most one a folder counts. Case does not matter."""
USER_FOLDERS: Final = (".beyond-ai", ".claude")


@dataclass(frozen=True, slots=True)
class ContextFile:
    """A file with instructions."""

    path: Path
    text: str


def context_files(cwd: Path, home: Path, warn: Callable[[str], None]) -> list[ContextFile]:
    """The files that hold for CWD; each real file once. What cannot be read is told to WARN, and left out."""
    found: list[ContextFile] = []
    seen: set[Path] = set()
    for folder in [*(home / name for name in USER_FOLDERS), *reversed(cwd.parents), cwd]:
        for path in _candidates(folder):
            real = path.resolve()
            if real in seen:
                break
            try:
                text = read_text(path)
            except (OSError, ValueError) as error:
                warn(f"{path}: left out of the prompt: {error.strerror if isinstance(error, OSError) else error}")
                continue
            if text.strip():
                seen.add(real)
                found.append(ContextFile(path, text.strip("\n")))
                break
    return found


def _candidates(folder: Path) -> Iterator[Path]:
    try:
        names = {path.name.lower(): path for path in sorted(folder.iterdir()) if path.name.lower() in NAMES}
    except OSError:
        return
    yield from (names[name] for name in NAMES if name in names and names[name].is_file())
