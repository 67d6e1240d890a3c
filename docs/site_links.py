"""Hooks of mkdocs: what lies outside `docs/` joins the site, so that links of the repository are right there as well.

The pages of `PAGES` become pages of the site, the files of `FILES` are copied. A link to anything else of the
repository, a source file say, becomes its text: the site shows no sources.
"""

import posixpath
import re
from pathlib import Path
from typing import Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT: Final = Path(__file__).parents[1]
PAGES: Final = {
    "README.md": "project/readme.md",
    "ARCHITECTURE.md": "project/architecture.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "tests/fidelity/README.md": "project/fidelity.md",
    "CHANGELOG.md": "project/changelog.md",
}
FILES: Final = {"config.example.toml": "config.example.toml"}

LINK: Final = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add what lies outside."""
    for source, uri in (PAGES | FILES).items():
        files.append(File.generated(config, uri, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, *, page: Page, **_: object) -> str:
    """The text with its links as the site has them."""
    uri = page.file.src_uri
    here = next((source for source, taken in PAGES.items() if taken == uri), f"docs/{uri}")

    def rewritten(link: re.Match[str]) -> str:
        text, target = link.groups()
        path, hash_sign, fragment = target.partition("#")
        if not path or "://" in path:
            return link[0]
        wanted = posixpath.normpath(posixpath.join(posixpath.dirname(here), path))
        shown = (PAGES | FILES).get(wanted, wanted.removeprefix("docs/") if wanted.startswith("docs/") else "")
        if shown:
            return f"[{text}]({posixpath.relpath(shown, posixpath.dirname(uri) or '.')}{hash_sign}{fragment})"
        return text if (ROOT / wanted).exists() else link[0]

    return LINK.sub(rewritten, markdown)
