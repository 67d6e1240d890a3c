"""A session as it is told: what was said, in order, each call with its result."""

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from beyond_ai.agent.loop.conversation import (
    BranchSummaryEntry,
    CompactionEntry,
    Entry,
    MessageEntry,
    ModelEntry,
    SpendEntry,
)
from beyond_ai.agent.run.printable import harmless
from beyond_ai.agent.session.journal import SessionError, read_content
from beyond_ai.agent.session.session import read_path
from beyond_ai.agent.session.tree import Tree
from beyond_ai.spec.conversation import Image, Message, Text, Thinking, TokenUsage, ToolOutput, ToolUse

SUMMARY_LENGTH: Final = 160
"""Characters of a call's summary that are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call of a tool; `output` is None where none is known."""

    use: ToolUse
    output: ToolOutput | None

    @property
    def summary(self) -> str:
        """The argument that says most, in one line."""
        for name in ("command", "path", "pattern", "query", "url"):
            value = self.use.input.get(name)
            if isinstance(value, str) and value.strip():
                return " ".join(harmless(value).split())
        return ""

    @property
    def arguments(self) -> str:
        """What it was called with: as JSON, or as it is where it is one text; empty where `summary` says it all."""
        if self.use.malformed is not None:
            return harmless(self.use.malformed)
        values = list(self.use.input.values())
        if len(values) == 1 and isinstance(values[0], str) and self.summary:
            return "" if self.summary == values[0].strip() and len(self.summary) <= SUMMARY_LENGTH else values[0]
        return json.dumps(self.use.input, indent=2, ensure_ascii=False, default=str) if values else ""

    @property
    def diff(self) -> str:
        """What an edit replaced, as a unified diff; a written file's lines, all of them new; else empty."""
        given = self.use.input
        edits = given.get("edits")
        pairs = [edit for edit in edits if isinstance(edit, dict)] if isinstance(edits, list) else [given]
        hunks = [_hunk(pair) for pair in pairs]
        if not any(hunks) and self.use.name == "write" and isinstance(given.get("content"), str):
            return "".join(f"+{line}\n" for line in harmless(str(given["content"])).splitlines())
        return "".join(hunks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A message, or what else happened: `note` says it then.

    Attributes:
        id: of the entry.
        label: the name that somebody gave the entry.
        at: Unix seconds; None where it is not known.
        calls: of the message, with their results.
        blocks: the rest of the message, but results.
    """

    id: str
    label: str | None
    at: float | None
    role: str
    note: str = ""
    detail: str = ""
    message: Message | None = None
    calls: tuple[Call, ...] = ()
    blocks: tuple[Text | Thinking | Image, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRecord:
    """A session that was read.

    Attributes:
        branches: the entries that its branches end with, the one that is told included.
        usage: of the branch that is told.
        skipped: lines of the file that were torn.
    """

    id: str
    path: Path
    cwd: str
    model: str
    title: str | None
    parent: str | None
    created_at: float | None
    turns: tuple[Turn, ...]
    branches: tuple[str, ...]
    leaf: str | None
    usage: TokenUsage = field(default_factory=TokenUsage)
    skipped: int = 0

    @property
    def name(self) -> str:
        """What to call it."""
        prompt = next((turn.message.text for turn in self.turns if turn.message and turn.message.text.strip()), "")
        line = " ".join(harmless(self.title or prompt).split())
        return line if len(line) <= 100 else f"{line[:97]}..."


def read_record(path: Path, leaf: str | None = None) -> SessionRecord:
    """The session in PATH, as it leads to the entry LEAF, else to its own leaf. Raises SessionError."""
    content = read_content(path)
    tree = Tree(content.entries)
    if leaf is not None and leaf not in tree.nodes:
        raise SessionError(f"{path}: has no entry {leaf}", "`beyond-ai agent sessions show` names the branches' ends")
    entries = read_path(tree, leaf)
    header = content.header or {}
    created = header.get("created_at")
    parent = header.get("parent")
    return SessionRecord(
        id=str(header.get("id", "")),
        path=path,
        cwd=str(header.get("cwd", "")),
        model=str(header.get("model", "")),
        title=content.title,
        parent=parent if isinstance(parent, str) else None,
        created_at=float(created) if isinstance(created, int | float) else None,
        turns=tuple(_turns(entries, tree)),
        branches=tuple(tree.tips()),
        leaf=leaf or tree.leaf,
        usage=sum(map(_usage, entries), TokenUsage()),
        skipped=content.skipped,
    )


def moment(at: float | None) -> str:
    """AT for people, in UTC; empty where it is not known."""
    try:
        return "" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, OSError, ValueError):
        return ""


def tokens(usage: TokenUsage) -> str:
    """USAGE in a line."""
    cached = f" ({usage.cache_read_tokens:,} cached)" if usage.cache_read_tokens else ""
    reasoning = f" ({usage.reasoning_tokens:,} reasoning)" if usage.reasoning_tokens else ""
    return f"{usage.prompt_tokens:,} in{cached}, {usage.output_tokens:,} out{reasoning}"


def _turns(entries: list[Entry], tree: Tree) -> Iterator[Turn]:
    outputs = {
        (place, block.tool_use_id): block
        for place, entry in enumerate(entries)
        if isinstance(entry, MessageEntry)
        for block in entry.message.content
        if isinstance(block, ToolOutput)
    }
    answered = _next_messages(entries)
    for place, entry in enumerate(entries):
        at = tree.nodes[entry.id].get("timestamp")
        when = float(at) if isinstance(at, int | float) else None
        label = tree.labels.get(entry.id)
        if isinstance(entry, MessageEntry):
            turn = _message_turn(entry, label, when, outputs, answered[place])
            if turn is not None:
                yield turn
            continue
        note, detail = _note(entry)
        if note:
            yield Turn(id=entry.id, label=label, at=when, role="note", note=note, detail=detail)


def _note(entry: Entry) -> tuple[str, str]:
    """What ENTRY, no message, tells people, and what stands behind it."""
    match entry:
        case CompactionEntry():
            sizes = f"{entry.tokens_before:,} tokens became {entry.tokens_after:,}"
            return f"What is above was summarised for the model: {sizes}.", entry.summary
        case BranchSummaryEntry():
            return "Taken back to here from another branch, of which the model was told:", entry.summary
        case ModelEntry():
            level = f", thinking {entry.thinking}" if entry.thinking else ""
            return f"From here on {entry.model} answers{level}.", ""
        case _:
            return "", ""


def _next_messages(entries: list[Entry]) -> list[int]:
    """For each of ENTRIES the place of the message that follows it."""
    places: list[int] = []
    following = len(entries)
    for place in range(len(entries) - 1, -1, -1):
        places.append(following)
        if isinstance(entries[place], MessageEntry):
            following = place
    return places[::-1]


def _message_turn(
    entry: MessageEntry,
    label: str | None,
    at: float | None,
    outputs: Mapping[tuple[int, str], ToolOutput],
    answered: int,
) -> Turn | None:
    message = entry.message
    blocks = tuple(block for block in message.content if isinstance(block, Text | Thinking | Image))
    if message.role == "user" and not blocks and message.content:
        return None  # results, which stand with their calls
    calls = tuple(Call(use=use, output=outputs.get((answered, use.id))) for use in message.tool_uses)
    return Turn(id=entry.id, label=label, at=at, role=message.role, message=message, calls=calls, blocks=blocks)


def _usage(entry: Entry) -> TokenUsage:
    if isinstance(entry, SpendEntry):
        return entry.usage
    return (isinstance(entry, MessageEntry) and entry.message.usage) or TokenUsage()


def _hunk(pair: Mapping[str, object]) -> str:
    old, new = pair.get("old_string"), pair.get("new_string")
    if not isinstance(old, str) or not isinstance(new, str):
        return ""
    before, after = harmless(old).splitlines(), harmless(new).splitlines()
    lines = list(difflib.unified_diff(before, after, lineterm="", n=3))[2:]
    return "".join(f"{line}\n" for line in lines)
