"""Writes what the documents say of the code, from the code: `python docs/generate.py`; `--check` only compares.

Whole pages are below `docs/reference`; in a page that people write, a generated part stands between two comments. A
test compares, so that whoever changes a setting, an option, a metric, a seam or an event runs this again.
"""

import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from generators import commands, configuration, hooks, metrics, serve_answers, testing, usage_event

ROOT: Final = Path(__file__).parents[1]
DOCS: Final = ROOT / "docs"
NOTE: Final = "<!-- Written by `python docs/generate.py` from {source}. Change that, and run it again. -->"
PAGES: Final[dict[str, tuple[str, Callable[[], Iterator[str]]]]] = {
    "configuration.md": ("core/beyond_ai/config/settings.py", configuration.page),
    "commands.md": ("core/beyond_ai/cli", commands.page),
    "metrics.md": ("core/beyond_ai/gateway/metric_families.py", metrics.page),
    "hooks.md": ("core/beyond_ai/spec", hooks.page),
    "testing.md": ("core/beyond_ai/testing", testing.page),
}
"""The pages below `docs/reference`: what each is made from, and its lines."""
PART: Final = re.compile(r"<!-- generated: (.*?) -->.*?<!-- end -->", re.DOTALL)
PARTS: Final[dict[str, Callable[[], Iterator[str]]]] = {
    "usage event": usage_event.table,
    "answers of serve": serve_answers.answers,
}
"""What stands in pages of people, beside `file PATH`, which is that file."""
LANGUAGES: Final = {".toml": "toml", ".service": "ini", ".yaml": "yaml", "": "dockerfile"}


def outputs() -> dict[Path, str]:
    """Every file that is generated, whole or in part, as it should be."""
    files = {DOCS / "reference" / name: _page(source, lines()) for name, (source, lines) in PAGES.items()}
    files |= {page: _with_parts(page) for page in sorted(DOCS.glob("*.md"))}
    files[DOCS / "serve-protocol.schema.json"] = _serve_schema()
    return files


def _page(source: str, lines: Iterator[str]) -> str:
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(lines))
    return f"{NOTE.format(source=source)}\n\n{text.strip()}\n"


def _with_parts(page: Path) -> str:
    """PAGE with its generated parts. Raises KeyError for one that is not known."""

    def part(found: re.Match[str]) -> str:
        kind, _, path = found[1].partition(" ")
        text = _shown(ROOT / path) if kind == "file" else "\n".join(PARTS[found[1]]()).strip()
        return f"<!-- generated: {found[1]} -->\n\n{text}\n\n<!-- end -->"

    return PART.sub(part, page.read_text())


def _shown(file: Path) -> str:
    """FILE as a block of code."""
    return f"```{LANGUAGES[file.suffix]}\n{file.read_text().strip()}\n```"


def _serve_schema() -> str:
    from beyond_ai.agent.serve.schema import schema

    return json.dumps(schema(), indent=2) + "\n"


def main(arguments: list[str]) -> int:
    """Write, or with `--check` name what is out of date; the exit code."""
    if arguments not in ([], ["--check"]):
        sys.stderr.write("usage: python docs/generate.py [--check]\n")
        return 2
    stale = {path: text for path, text in outputs().items() if not path.exists() or path.read_text() != text}
    for path, text in stale.items():
        if arguments:
            sys.stderr.write(f"{path.relative_to(ROOT)} is out of date: run `python docs/generate.py`\n")
        else:
            path.write_text(text)
            sys.stdout.write(f"wrote {path.relative_to(ROOT)}\n")
    return 1 if stale and arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
