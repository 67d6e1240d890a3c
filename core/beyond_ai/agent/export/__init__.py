"""Sessions as documents that people read: `markdown`, and `html`, one page that needs nothing else.

`record` reads a session without holding it, so that one that is in use can be exported; `turns` is what both write.
"""

from beyond_ai.agent.export.html import html_page
from beyond_ai.agent.export.markdown import markdown_text
from beyond_ai.agent.export.record import SessionRecord, read_record

__all__ = ["SessionRecord", "html_page", "markdown_text", "read_record"]
