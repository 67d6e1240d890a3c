"""Exports: what a reader finds in them, and that nothing in a session can do harm there."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from beyond_ai.agent.export import SessionRecord, html_page, markdown_text, read_record
from beyond_ai.agent.session import SessionRepository
from beyond_ai.spec.conversation import (
    Block,
    Image,
    JsonObject,
    Message,
    Text,
    Thinking,
    TokenUsage,
    ToolOutput,
    ToolUse,
)

EVIL = (
    "</script></style></pre></details><script>alert(1)</script><img src=x onerror=alert(1)> \"' onload=x "
    "![p](https://evil.example/p.png) [j](javascript:alert(1)) "
    "<svg/onload=alert(1)> &lt;b&gt; \x1b[31m\u202e\udcff```\n"
)
ALLOWED = {"html", "head", "meta", "title", "style", "body", "main", "article", "header", "details", "summary"}
ALLOWED |= {
    "h1",
    "h2",
    "h3",
    "dl",
    "dt",
    "dd",
    "div",
    "p",
    "pre",
    "span",
    "code",
    "a",
    "b",
    "em",
    "strong",
    "blockquote",
}


class Elements(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def recorded(folder: Path, *messages: tuple[Block, ...], title: str = "A title") -> SessionRecord:
    session = SessionRepository(folder).create(cwd=Path("/work"), model="model-1", title=title)
    usage = TokenUsage(input_tokens=1_000, output_tokens=20, cache_read_tokens=234)
    for place, content in enumerate(messages):
        if place % 2:
            session.conversation.append(
                Message(role="assistant", content=content, model_id="model-1", usage=usage, stop_reason="end_turn")
            )
        else:
            session.conversation.append(Message(role="user", content=content))
    session.checkpoint()
    session.label(session.conversation.entries[0].id, title)
    path = session.path
    session.close()
    assert path is not None
    return read_record(path)


def call(name: str, **arguments: object) -> ToolUse:
    return ToolUse(id="c", name=name, input=dict(arguments))


@pytest.fixture
def evil(tmp_path: Path) -> SessionRecord:
    arguments: JsonObject = {"command": EVIL, EVIL: EVIL, "old_string": EVIL, "new_string": f"x{EVIL}"}
    return recorded(
        tmp_path,
        (Text(text=EVIL), Image(media_type='image/png" onerror="alert(1)', data="AAAA")),
        (
            Thinking(thinking=EVIL),
            Text(text=EVIL),
            ToolUse(id="c", name=EVIL, input=arguments),
            ToolUse(id="d", name="bash", input={}, malformed=EVIL),
        ),
        (
            ToolOutput(tool_use_id="c", content=EVIL, images=(Image(media_type="image/svg+xml", data="AAAA"),)),
            ToolOutput(tool_use_id="d", content=f"@@ -1 +1 @@\n+{EVIL}", is_error=True),
        ),
        title=EVIL,
    )


def test_nothing_in_a_session_becomes_anything_but_text(evil: SessionRecord) -> None:
    page = html_page(evil)
    elements = Elements(page).found
    assert {tag for tag, _ in elements} <= ALLOWED
    assert not [(tag, name) for tag, attributes in elements for name in attributes if name.startswith("on")]
    assert not [tag for tag, _ in elements if tag == "img"]
    links = [attributes.get("href") or "" for tag, attributes in elements if tag == "a"]
    assert not [link for link in links if link.startswith("javascript")]
    assert "<script" not in page
    assert not re.search("[\x00-\x08\x0b-\x1f\u202e\ud800-\udfff]", page)
    assert "alert(1)" in Elements(page).text
    page.encode()


def test_a_page_needs_nothing_else(evil: SessionRecord) -> None:
    elements = Elements(html_page(evil)).found
    assert not [attributes for _, attributes in elements if attributes.get("src") or attributes.get("style")]
    (policy,) = [a["content"] or "" for _, a in elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert not [tag for tag, _ in elements if tag in ("link", "script", "iframe", "object", "base", "form")]


def test_a_page_tells_what_happened(tmp_path: Path) -> None:
    diff = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-old\n+new\n"
    page = html_page(
        recorded(
            tmp_path,
            (Text(text="Do it."), Image(media_type="image/png", data="iVBORw0KGgo=")),
            (Text(text="**So.**"), call("edit", path="x", old_string="a\nb\n", new_string="a\nc\n")),
            (ToolOutput(tool_use_id="c", content=diff),),
            (Text(text="Done."), call("bash", command="make")),
        )
    )
    for piece in (
        "<title>A title</title>",
        "<strong>So.</strong>",
        '<span class="del">-b</span>',
        '<span class="add">+c</span>',
        '<span class="del">-old</span>',
        '<span class="tokens">1,234 in (234 cached), 20 out</span>',
        "<dd>2,468 in (468 cached), 40 out</dd>",
        '<span class="label">A title</span>',
        '<img alt="" src="data:image/png;base64,iVBORw0KGgo=">',
        "No result",
        "prefers-color-scheme: dark",
    ):
        assert piece in page, piece


def test_markdown_holds_results_in_fences_that_they_cannot_leave(evil: SessionRecord) -> None:
    text = markdown_text(evil)
    fences = [token for token in MarkdownIt("commonmark").parse(text) if token.type == "fence"]
    results = [token.content for token in fences if token.content.startswith(("</script>", "@@ -1"))]
    assert len(results) >= 2
    assert all("alert(1)" in content for content in results)
    assert "1,234 in (234 cached), 20 out" in text


def test_a_result_stands_with_the_call_that_it_answers(tmp_path: Path) -> None:
    """Ids of calls may be the same in several turns."""
    record = recorded(
        tmp_path,
        (Text(text="go"),),
        (call("bash", command="1"),),
        (ToolOutput(tool_use_id="c", content="first"),),
        (call("bash", command="2"),),
        (ToolOutput(tool_use_id="c", content="second"),),
    )
    pairs = [(c.summary, c.output and c.output.content) for turn in record.turns for c in turn.calls]
    assert pairs == [("1", "first"), ("2", "second")]
