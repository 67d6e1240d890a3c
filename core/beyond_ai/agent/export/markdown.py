"""A session as Markdown."""

import re
from collections.abc import Iterator

from beyond_ai.agent.export.record import SUMMARY_LENGTH, Call, SessionRecord, Turn, moment, tokens
from beyond_ai.agent.run.printable import harmless
from beyond_ai.spec.conversation import Image, Text, Thinking


def markdown_text(record: SessionRecord) -> str:
    """RECORD as a Markdown document."""
    return "\n\n".join(_parts(record)) + "\n"


def _parts(record: SessionRecord) -> Iterator[str]:
    yield f"# {_inline(record.name) or 'Session'}"
    facts = {
        "session": record.id,
        "folder": record.cwd,
        "model": record.model,
        "began": moment(record.created_at),
        "fork of": record.parent or "",
        "tokens": tokens(record.usage),
    }
    yield "\n".join(f"- {name}: {_inline(value)}" for name, value in facts.items() if value)
    for turn in record.turns:
        yield from _turn(turn)


def _turn(turn: Turn) -> Iterator[str]:
    label = f" [{_inline(turn.label)}]" if turn.label else ""
    if turn.message is None:
        yield f"---\n\n*{_inline(turn.note)}*{label}"
        if turn.detail:
            yield _quoted(turn.detail)
        return
    who = "User" if turn.role == "user" else _inline(turn.message.model_id or "Assistant")
    yield f"## {who}{label}"
    for block in turn.blocks:
        match block:
            case Text() if block.text.strip():
                yield harmless(block.text)
            case Thinking() if block.thinking.strip():
                yield _quoted(f"Thinking: {block.thinking}")
            case Image():
                yield f"*(an image, {_inline(block.media_type)})*"
    for call in turn.calls:
        yield from _call(call)
    if turn.message.error_message:
        yield f"**Broken off:** {_inline(turn.message.error_message)}"
    if turn.message.usage:
        yield f"*Tokens: {tokens(turn.message.usage)}*"


def _call(call: Call) -> Iterator[str]:
    yield f"**{_inline(call.use.name)}** {_code(_short(call.summary))}".rstrip()
    if call.diff:
        yield _fenced(call.diff, "diff")
    elif call.arguments:
        yield _fenced(call.arguments, "json" if call.arguments.startswith("{\n") else "")
    if call.output is None:
        yield "*No result.*"
    else:
        yield "Failed:" if call.output.is_error else "Result:"
        yield _fenced(call.output.content, "")


def _fenced(text: str, language: str) -> str:
    """TEXT in a fence that is longer than any in it."""
    shown = harmless(text).rstrip("\n")
    longest = max((len(run) for run in re.findall("`{3,}", shown)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{shown}\n{fence}"


def _short(text: str) -> str:
    return text if len(text) <= SUMMARY_LENGTH else f"{text[: SUMMARY_LENGTH - 3]}..."


def _code(text: str) -> str:
    if not text:
        return ""
    mark = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    return f"{mark} {text} {mark}" if "`" in text else f"`{text}`"


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in harmless(text).splitlines())


def _inline(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>#])", r"\\\1", " ".join(harmless(text).split()))
