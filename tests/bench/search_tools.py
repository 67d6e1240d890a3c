"""What the tools `grep` and `find` take on 20,000 files, beside ripgrep's own time for the same search.

    python tests/bench/search_tools.py [--files N] [--rounds N]

Each round runs all of them once, in turn; the medians of the rounds are printed, milliseconds of wall clock. `rg` is
ripgrep as a person runs it, with all that it prints thrown away; `grep` is the tool with ripgrep, `python` without.
Exits 1 where the tool is above its budget.
"""

import argparse
import asyncio
import os
import random
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from beyond_ai import ToolContext, ToolLimits
from beyond_ai_tools.coding.find import FindArguments, find
from beyond_ai_tools.coding.grep import GrepArguments, grep

BUDGET: Final = 1.3
"""Times ripgrep's own time."""
WORDS: Final = [
    "def",
    "return",
    "import",
    "self",
    "value",
    "index",
    "result",
    "error",
    "name",
    "path",
    "list",
    "append",
    "for",
    "while",
    "True",
    "None",
    "open",
    "close",
]
SEARCHES: Final = {
    "nowhere": "no_such_word_anywhere",
    "in 20 files": "needle_in_a_haystack",
    "in every file": "return",
    "a class of words": r"\bval\w+ inde[xy]\b",
}


class Anything:
    """No bounds."""

    def check(self, path: Path, *, write: bool) -> None:
        """Allow it."""


class Never:
    """No cancellation."""

    requested = False

    async def wait(self) -> None:
        """Wait for ever."""
        await asyncio.Event().wait()


def plant(folder: Path, files: int) -> None:
    """Make a tree of FILES, 50 a folder, each of 40 to 160 lines; a tenth is ignored."""
    chance = random.Random(7)
    (folder / ".gitignore").write_text("*.log\nbuild/\n__pycache__/\n")
    for number in range(files):
        parent = folder / f"package{number // 1000}" / ("build" if number // 50 % 10 == 9 else f"module{number // 50}")
        parent.mkdir(parents=True, exist_ok=True)
        lines = [" ".join(chance.choices(WORDS, k=8)) for _ in range(chance.randint(40, 160))]
        if number % (files // 20) == 0:
            lines[7] = "x = needle_in_a_haystack"
        (parent / f"file{number}.py").write_text("\n".join(lines) + "\n")


def context(folder: Path, path: str) -> ToolContext:
    """As an agent's in FOLDER, with PATH in its environment."""
    return ToolContext(
        cwd=folder,
        cancellation=Never(),
        progress=lambda text: None,
        limits=ToolLimits(),
        environment={"PATH": path},
        paths=Anything(),
        sees_images=False,
        scratch=folder,
    )


def timed(work: Callable[[], object]) -> float:
    """Milliseconds that WORK takes."""
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=11)
    options = parser.parse_args()
    rg = shutil.which("rg")
    if rg is None:
        sys.exit("ripgrep is not installed")
    with TemporaryDirectory() as name, asyncio.Runner() as runner:
        folder = Path(name)
        plant(folder, options.files)

        def own(pattern: str) -> None:
            words = [rg, "--hidden", "--no-require-git", "-n", "--no-heading", "--", pattern, "./"]
            subprocess.run(words, cwd=folder, stdout=subprocess.DEVNULL, check=False)

        def tool(pattern: str, path: str) -> None:
            runner.run(grep(GrepArguments(pattern=pattern), context(folder, path)))

        worst = 0.0
        print(f"{'':18}{'rg':>8}{'grep':>8}{'ratio':>8}{'python':>8}")
        for title, pattern in SEARCHES.items():
            works = (
                partial(own, pattern),
                partial(tool, pattern, os.environ["PATH"]),
                partial(tool, pattern, "/nowhere"),
            )
            rounds = [[timed(work) for work in works] for _ in range(options.rounds)]
            alone, with_rg, without = (statistics.median(column) for column in zip(*rounds, strict=True))
            print(f"{title:18}{alone:8.1f}{with_rg:8.1f}{with_rg / alone:8.2f}{without:8.1f}")
            worst = max(worst, with_rg / alone)
        look = partial(find, FindArguments(pattern="file1*7.py"), context(folder, ""))
        finding = [timed(lambda: runner.run(look())) for _ in range(options.rounds)]
        print(f"{'find':18}{'':24}{statistics.median(finding):8.1f}")
    sys.exit(worst > BUDGET)


if __name__ == "__main__":
    main()
