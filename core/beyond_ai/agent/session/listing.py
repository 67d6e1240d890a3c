"""What a list says of a session, out of the first and the last bytes of its file."""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from beyond_ai.agent.session.journal import RESTATED_BYTES, parse_lines, title_of
from beyond_ai.spec.conversation import JsonObject

HEAD_BYTES: Final = 16_384
TAIL_BYTES: Final = RESTATED_BYTES + 8_192
PROMPT_LENGTH: Final = 200
"""Characters of a first prompt that a list has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionInfo:
    """A session in a list.

    Attributes:
        title: the name that somebody gave it.
        prompt: how the first prompt begins; empty where it lies too far behind in the file.
        model: who was asked first.
        parent: id of the session that it is a fork of.
        created_at: Unix seconds, and so `updated_at`, when the file was written last.
        size: bytes.
    """

    id: str
    path: Path
    cwd: str
    model: str
    title: str | None
    prompt: str
    parent: str | None
    created_at: float
    updated_at: float
    size: int

    def as_json(self) -> JsonObject:
        """It as a JSON object."""
        return asdict(self) | {"path": str(self.path)}


def session_info(path: Path) -> SessionInfo | None:
    """What a list says of the session in PATH; None when it is none, or cannot be read."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            head = file.read(HEAD_BYTES)
            file.seek(max(0, status.st_size - TAIL_BYTES))
            tail = file.read()
    except OSError:
        return None
    values, _ = parse_lines(head)
    header = next((value for value in values if value.get("type") == "session"), None)
    if header is None or not isinstance(header.get("id"), str):
        return None
    named, _ = parse_lines(b"\n".join(line for line in tail.split(b"\n") if b'"title' in line or b'"opened"' in line))
    created = header.get("created_at")
    return SessionInfo(
        id=str(header["id"]),
        path=path,
        cwd=_text(header, "cwd"),
        model=_text(header, "model"),
        title=title_of(named, header),
        prompt=next(filter(None, map(_prompt, values)), ""),
        parent=_text(header, "parent") or None,
        created_at=float(created) if isinstance(created, int | float) else status.st_mtime,
        updated_at=round(status.st_mtime, 3),
        size=status.st_size,
    )


def entry_texts(entry: Mapping[str, object]) -> list[str]:
    """What people may look for in ENTRY: words, and the arguments and results of calls."""
    found = [entry.get("summary"), entry.get("title"), entry.get("label")]
    content = entry.get("content")
    for block in content if isinstance(content, list) else ():
        if isinstance(block, dict):
            found += [block.get("text"), block.get("thinking"), block.get("content")]
            arguments = block.get("input")
            found += arguments.values() if isinstance(arguments, dict) else ()
    return [text for text in found if isinstance(text, str)]


def _prompt(entry: Mapping[str, object]) -> str:
    content = entry.get("content")
    if entry.get("role") != "user" or not isinstance(content, list):
        return ""
    texts = (block.get("text") for block in content if isinstance(block, dict) and block.get("type") == "text")
    return " ".join(" ".join(text for text in texts if isinstance(text, str)).split())[:PROMPT_LENGTH]


def _text(header: Mapping[str, object], name: str) -> str:
    value = header.get(name)
    return value if isinstance(value, str) else ""
