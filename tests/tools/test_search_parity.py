"""Searching with ripgrep and without gives the same, on generated trees."""

import asyncio
import os
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.tools.conftest import Fence, Switch
from tests.tools.trees import Tree, plant, trees

from beyond_ai import ToolContext, ToolLimits
from beyond_ai_tools.coding import python_search, ripgrep
from beyond_ai_tools.coding.found import Found, Search
from beyond_ai_tools.coding.globs import Glob
from beyond_ai_tools.coding.walk import Walk

RG = shutil.which("rg") or ""
pytestmark = pytest.mark.skipif(not RG, reason="ripgrep is not installed")

PATTERNS = (
    *("needle", "^needle", "needle$", "-needle", "n.e", "n.*e$", r"foo\(", "[[:digit:]]+", r"\bneedle\b", "ne{2}dle"),
    *("größe", r"^\s*$", r"\w+_\w+", "^$", "needle|1234", "(?i)NeEdLe", r"needle(?:\s|$)", "[^x]$", "(needle)  $"),
)
GLOBS = (
    *("*.py", "*.{py,txt}", "!*.py", "src/*.py", "**/b.py", "!src", "/a", "src/**", "?", "[ab]*", "!src/**/*.py", "é"),
    *("*", "b.py", ".*", "!.*", "*.PY", "-x", "sp ace*", "**/src/*", "src/"),
)


def context(folder: Path) -> ToolContext:
    return ToolContext(
        cwd=folder,
        cancellation=Switch(),
        progress=lambda text: None,
        limits=ToolLimits(),
        environment={"PATH": os.environ["PATH"]},
        paths=Fence(),
        sees_images=False,
        scratch=folder,
    )


def found(found: Found) -> tuple[object, ...]:
    return found.files, found.more, sorted(found.unreadable), found.count


searches = given(
    tree=trees(),
    above=st.none() | st.sampled_from([b"*.py\n", b"/tree/a\n", b"src\n!tree/src\n"]),
    pattern=st.sampled_from(PATTERNS),
    glob=st.none() | st.sampled_from(GLOBS),
    ignore_case=st.booleans(),
    limit=st.sampled_from([1, 2, 5, 100]),
)
few = settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
many = settings(few, max_examples=2000)


def check_lines(tree: Tree, above: bytes | None, pattern: str, glob: str | None, ignore_case: bool, limit: int) -> None:
    """Both find the same lines."""
    with TemporaryDirectory() as top:
        folder = Path(top, "tree")
        plant(tree, folder)
        if above is not None:
            Path(top, ".gitignore").write_bytes(above)
        wanted = Search(
            folder=folder,
            file=None,
            pattern=pattern,
            literal=pattern == "n.e",
            ignore_case=ignore_case,
            glob=None if glob is None else Glob(glob),
            under="",
            limit=limit,
        )
        with_rg = asyncio.run(ripgrep.search(RG, wanted, context(folder)))
        assert found(python_search.search(wanted)) == found(with_rg)


def check_files(tree: Tree) -> None:
    """What a walk meets is what ripgrep lists; the walk meets folders and links besides."""
    with TemporaryDirectory() as top:
        folder = Path(top, "tree")
        plant(tree, folder)
        walked = [entry.path for entry in Walk(folder) if entry.is_file]
        words = [RG, *ripgrep.COMMON, *ripgrep.FILES, *ripgrep.outside(folder), "--files", "./"]
        listed = subprocess.run(words, cwd=folder, capture_output=True, check=False).stdout
        paths = [os.fsdecode(path) for path in ripgrep.listed(listed)]
        if ripgrep.outside(folder):
            paths = list(ripgrep._met(folder, paths))
        assert walked == paths


test_lines = few(searches(check_lines))
test_files = few(given(tree=trees())(check_files))
test_many_lines = pytest.mark.long(many(searches(check_lines)))
test_many_files = pytest.mark.long(many(given(tree=trees())(check_files)))
