"""A folder of sessions: lists them, finds one by the start of its id, makes, forks, names, deletes and searches."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from beyond_ai.agent.session.folder import new_path
from beyond_ai.agent.session.journal import Journal, SessionError, lock, now, parse_lines, read_content
from beyond_ai.agent.session.listing import SessionInfo, entry_texts, session_info
from beyond_ai.agent.session.session import Session
from beyond_ai.agent.session.tree import Tree
from beyond_ai.spec.conversation import JsonObject, ThinkingLevel

TRASH: Final = ".trash"
SNIPPET: Final = 60
"""Characters that a search shows on each side of what it found."""
UNSEEN: Final = frozenset('"\\/')
"""Characters that JSON may write otherwise, as it may control characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Where a search met its words: the entry's id, empty for what is no entry, and the text around the first."""

    session: SessionInfo
    entry_id: str
    snippet: str


class SessionRepository:
    """The sessions in one folder. What is deleted lies in its `.trash` and can be restored."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.trash = folder / TRASH

    def list(self) -> Sequence[SessionInfo]:
        """All sessions, the one that was written last first. Reads the start and the end of each file."""
        return _listed(self.folder)

    def list_trash(self) -> Sequence[SessionInfo]:
        """The sessions that were deleted."""
        return _listed(self.trash)

    def find(self, prefix: str) -> SessionInfo:
        """The session whose id begins with PREFIX, or whose file is called so. Raises SessionError."""
        return choose(self.list(), prefix)

    def open(
        self, prefix: str, *, model: str | None = None, thinking: ThinkingLevel | None = None, default_model: str = ""
    ) -> Session:
        """Open the session that PREFIX names. Raises SessionError."""
        found = self.find(prefix)
        cwd = Path(found.cwd)
        return Session.open(found.path, cwd=cwd, model=model, thinking=thinking, default_model=default_model)

    def create(
        self,
        *,
        cwd: Path,
        model: str,
        thinking: ThinkingLevel | None = None,
        title: str | None = None,
        parent: str | None = None,
    ) -> Session:
        """A new session of the working folder CWD, its file on disk. Raises SessionError."""
        more = {name: value for name, value in (("title", title), ("parent", parent)) if value}
        return Session.open(new_path(self.folder), cwd=cwd, model=model, thinking=thinking, more=more)

    def fork(self, source: SessionInfo | Path, upto: str | None = None, *, before: bool = False) -> Session:
        """A new session that begins with what leads to the entry UPTO of SOURCE, None for its leaf.

        BEFORE leaves UPTO itself out. SOURCE may be in use; labels of what is copied come along. Raises SessionError.
        """
        path = source.path if isinstance(source, SessionInfo) else source
        content = read_content(path)
        tree = Tree(content.entries)
        if upto is not None and upto not in tree.nodes:
            raise SessionError(f"{path}: has no entry {upto}", "its branches list the entries that there are")
        leaf = tree.leaf if upto is None else tree.parents[upto] if before else upto
        copied = tree.path(leaf)
        header = content.header or {}
        more = {"parent": header.get("id"), **({"title": content.title} if content.title else {})}
        cwd, model = Path(str(header.get("cwd", ""))), str(header.get("model", ""))
        journal = Journal.open(new_path(self.folder), cwd=cwd, model=model, more=more)
        try:
            journal.append([*_rooted(copied, tree), *_labels(copied, tree)])
        except BaseException:
            journal.close()
            journal.path.unlink(missing_ok=True)
            raise
        return Session(journal, model=None)

    def rename(self, prefix: str, title: str | None) -> SessionInfo:
        """Give the session a name, or take it away. Raises SessionError, also where it is in use: its holder may."""
        found = self.find(prefix)
        journal = Journal.open(found.path, cwd=Path(found.cwd), model=found.model)
        try:
            journal.rename(title)
        finally:
            journal.close()
        return session_info(found.path) or found

    def label(self, prefix: str, entry: str, label: str | None) -> SessionInfo:
        """Give the entry of a session a name, or take it away. Raises SessionError, also where it is in use."""
        session = self.open(prefix)
        try:
            session.label(entry, label)
        finally:
            session.close()
        return self.find(prefix)

    def delete(self, prefix: str) -> SessionInfo:
        """Put the session into the trash. Raises SessionError, also where it is in use."""
        found = self.find(prefix)
        self.trash.mkdir(mode=0o700, exist_ok=True)
        with _held(found.path):
            return _moved(found, self.trash)

    def restore(self, prefix: str) -> SessionInfo:
        """Take the session out of the trash. Raises SessionError."""
        return _moved(choose(self.list_trash(), prefix), self.folder)

    def search(self, query: str) -> Iterator[Found]:
        """The first entry of each session that holds all words of QUERY, in any case; what was written last first."""
        words = query.lower().split()
        for info in self.list():
            found = _first(info, words)
            if found is not None:
                yield found


def choose(sessions: Iterable[SessionInfo], prefix: str) -> SessionInfo:
    """The one of SESSIONS whose id begins with PREFIX, or whose file has it as its name. Raises SessionError."""
    named = [(info, {info.id, info.path.name, info.path.stem}) for info in sessions]
    found = [info for info, names in named if prefix and (info.id.startswith(prefix) or prefix in names)]
    exact = [info for info, names in named if prefix in names]
    if len(exact) == 1:
        return exact[0]
    if not found:
        raise SessionError(f"no session's id begins with {prefix!r}", "see `beyond-ai agent sessions list`")
    if len(found) > 1:
        names = ", ".join(f"{info.id} ({info.title or info.path.name})" for info in found[:10])
        more = f" and {len(found) - 10} more" if len(found) > 10 else ""
        raise SessionError(f"{prefix!r} may be {len(found)} sessions: {names}{more}", "give more of the id")
    return found[0]


def _listed(folder: Path) -> Sequence[SessionInfo]:
    try:
        paths = [path for path in folder.iterdir() if path.suffix == ".jsonl" and path.is_file()]
    except OSError:
        return []
    found = [info for info in map(session_info, paths) if info is not None]
    return sorted(found, key=lambda info: (info.updated_at, info.created_at), reverse=True)


def _rooted(copied: Sequence[JsonObject], tree: Tree) -> list[JsonObject]:
    """The entries COPIED, each hanging on the one that TREE has it hang on, which a lost line may have changed."""
    return [{**entry, "parent_id": tree.parents[str(entry["id"])]} for entry in copied]


def _labels(copied: Sequence[JsonObject], tree: Tree) -> list[JsonObject]:
    ids = [str(entry["id"]) for entry in copied]
    return [
        {"type": "label", "target_id": name, "label": tree.labels[name], "timestamp": now()}
        for name in ids
        if name in tree.labels
    ]


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """Let nobody write PATH meanwhile. Raises SessionError when somebody does."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise SessionError(f"{path}: cannot be opened: {error.strerror}") from None
    try:
        lock(path, descriptor)
        yield
    finally:
        os.close(descriptor)


def _moved(info: SessionInfo, folder: Path) -> SessionInfo:
    target = folder / info.path.name
    try:
        os.link(info.path, target)  # unlike a renaming, this never replaces a file
        info.path.unlink()
    except OSError as error:
        raise SessionError(f"{info.path}: cannot be moved to {folder}: {error.strerror}") from None
    return session_info(target) or info


def _first(info: SessionInfo, words: Sequence[str]) -> Found | None:
    try:
        content = info.path.read_bytes()
    except OSError:
        return None
    plain = [word for word in words if word.isprintable() and not UNSEEN & set(word)]
    for line in content.split(b"\n"):
        text = line.decode(errors="replace").lower()
        if not all(word in text for word in plain):
            continue
        for entry in parse_lines(line)[0]:
            found = "\n".join(entry_texts(entry))
            lowered = found.lower()
            if words and all(word in lowered for word in words):
                name = entry.get("id") if entry.get("type") != "session" else ""
                snippet = _around(found, lowered.index(words[0]), len(words[0]))
                return Found(session=info, entry_id=name if isinstance(name, str) else "", snippet=snippet)
    return None


def _around(text: str, start: int, length: int) -> str:
    before, after = max(0, start - SNIPPET), start + length + SNIPPET
    shown = " ".join(text[before:after].split())
    return f"{'...' if before else ''}{shown}{'...' if after < len(text) else ''}"
