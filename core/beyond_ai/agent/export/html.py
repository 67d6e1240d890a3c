"""A session as one HTML page that is read without scripts and without the network.

Whatever comes from the session is text: escaped, or Markdown in which HTML is text and images are links. A policy in
the page forbids the rest.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING, Final

from beyond_ai.agent.export.record import SUMMARY_LENGTH, Call, SessionRecord, Turn, moment, tokens
from beyond_ai.agent.export.style import STYLE
from beyond_ai.agent.run.printable import harmless
from beyond_ai.spec.conversation import Image, Text, Thinking

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

IMAGES: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
NOTHING_ELSE: Final = "base-uri 'none'; form-action 'none'"
DIFF: Final = re.compile(r"^(diff --git |--- \S.*\n\+\+\+ \S|@@ -\d+(,\d+)? \+\d+(,\d+)? @@)", re.MULTILINE)


def html_page(record: SessionRecord) -> str:
    """RECORD as a page."""
    return "".join(_Page(record).parts())


class _Page:
    def __init__(self, record: SessionRecord) -> None:
        self._record = record
        self._markdown = _markdown()

    def parts(self) -> Iterator[str]:
        title = _text(self._record.name or "Session")
        style_hash = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
        policy = (
            f"default-src 'none'; style-src 'sha256-{style_hash}'; img-src data:; base-uri 'none'; form-action 'none'"
        )
        yield '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        yield f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        yield '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        yield '<meta name="referrer" content="no-referrer">\n'
        yield f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n"
        yield f"<body>\n<h1>{title}</h1>\n{self._facts()}<main>\n"
        for turn in self._record.turns:
            yield from self._turn(turn)
        yield "</main>\n</body>\n</html>\n"

    def _facts(self) -> str:
        record = self._record
        facts = {
            "Session": record.id,
            "Folder": record.cwd,
            "Model": record.model,
            "Began": moment(record.created_at),
            "Fork of": record.parent or "",
            "Tokens": tokens(record.usage),
            "Other branches": str(len(record.branches) - 1) if len(record.branches) > 1 else "",
            "Lines lost": str(record.skipped) if record.skipped else "",
        }
        rows = (f"<dt>{name}</dt><dd>{_text(value)}</dd>" for name, value in facts.items() if value)
        return f"<dl>{''.join(rows)}</dl>\n"

    def _turn(self, turn: Turn) -> Iterator[str]:
        label = f'<span class="label">{_text(turn.label)}</span>' if turn.label else ""
        anchor = f"entry-{_text(turn.id)}"
        if turn.message is None:
            yield f'<article class="note" id="{anchor}">{_text(turn.note)} {label}'
            if turn.detail:
                yield f"<details><summary>Summary</summary>{self._text(turn.detail)}</details>"
            yield "</article>\n"
            return
        who = "User" if turn.role == "user" else turn.message.model_id or "Assistant"
        used = f'<span class="tokens">{tokens(turn.message.usage)}</span>' if turn.message.usage else ""
        yield f'<article class="{_text(turn.role)}" id="{anchor}"><header><h2>{_text(who)}</h2>'
        yield f"<span>{moment(turn.at)}</span>{label}{used}</header>\n"
        for block in turn.blocks:
            yield self._block(block)
        for call in turn.calls:
            yield from _call(call)
        if turn.message.error_message:
            yield f'<p class="failed">Broken off: {_text(turn.message.error_message)}</p>'
        yield "</article>\n"

    def _block(self, block: Text | Thinking | Image) -> str:
        match block:
            case Text():
                return self._text(block.text) if block.text.strip() else ""
            case Thinking():
                if not block.thinking.strip():
                    return ""
                thought = _text(block.thinking.strip())
                return f'<details><summary>Thinking</summary><div class="thinking">{thought}</div></details>\n'
            case Image():
                return _image(block)

    def _text(self, markdown: str) -> str:
        return f'<div class="text">{self._markdown.render(_clean(markdown))}</div>\n'


def _call(call: Call) -> Iterator[str]:
    failed = call.output is not None and call.output.is_error
    state = ' <span class="failed">failed</span>' if failed else ""
    summary = call.summary if len(call.summary) <= SUMMARY_LENGTH else f"{call.summary[: SUMMARY_LENGTH - 3]}..."
    diff = call.diff
    opened = " open" if diff and not failed else ""  # what was changed is what people look for
    yield f'<details{opened}><summary><b>{_text(call.use.name)}</b> <span class="what">{_text(summary)}</span>{state}'
    yield "</summary>\n"
    if diff:
        yield _diff(diff)
    elif call.arguments:
        whole = "" if call.use.malformed is None else ", not whole"
        yield f'<p class="caption">Arguments{whole}</p><pre>{_text(call.arguments)}</pre>'
    if call.output is None:
        yield '<p class="caption">No result</p>'
    else:
        yield f'<p class="caption">{"Error" if failed else "Result"}</p>{_result(call.output.content)}'
        yield from map(_image, call.output.images)
    yield "</details>\n"


def _result(content: str) -> str:
    if not content.strip():
        return "<pre>(empty)</pre>"
    return _diff(content) if DIFF.search(content) else f"<pre>{_text(content)}</pre>"


def _diff(text: str) -> str:
    lines = (f"<span{_line_class(line)}>{_text(line)}</span>" for line in text.split("\n"))
    return f'<pre class="diff">{"".join(lines).removesuffix("<span></span>")}</pre>'


def _line_class(line: str) -> str:
    if line.startswith(("@@", "diff --git", "--- ", "+++ ")):
        return ' class="hunk"'
    return ' class="add"' if line.startswith("+") else ' class="del"' if line.startswith("-") else ""


def _image(image: Image) -> str:
    try:
        data = base64.b64decode(image.data, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if image.media_type not in IMAGES or not data:
        return f'<p class="caption">(an image that is not shown: {_text(image.media_type)})</p>'
    return f'<img alt="" src="data:{image.media_type};base64,{base64.b64encode(data).decode()}">\n'


def _markdown() -> "MarkdownIt":
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).disable("image")


def _clean(text: str) -> str:
    return harmless(text).encode(errors="replace").decode()


def _text(text: str) -> str:
    return escape(_clean(text))
