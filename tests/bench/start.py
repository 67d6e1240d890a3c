"""How long `beyond-ai` takes to start, alone and beside 50 plugins: `python tests/bench/start.py [ROUNDS]`.

Exits 1 above a budget. The 50 are distributions of `plugins new`, five of each kind, laid out as pip does. What counts
is the best round: a machine that does other work makes a start longer, never shorter. CPU time is beside it, of the
command and what it started. Byte code is kept, as an installation does, in a folder of the measure's own.
"""

import contextlib
import os
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from beyond_ai.scaffold import NewDistribution
from beyond_ai.spec.kinds import KINDS
from beyond_ai.version import VERSION

ROUNDS: Final = 15
EACH: Final = 5
"""Plugins of each kind."""
COMMAND: Final = Path(sys.executable).with_name("beyond-ai")
GATEWAY: Final = 'listen = "127.0.0.1:0"\nmetrics_listen = "127.0.0.1:0"\nworkers = 1\ndeny_store = ""\n'


@dataclass(frozen=True, slots=True)
class Budget:
    """A command, and the milliseconds that it may take; `gateway` until it is ready, the others until they end."""

    arguments: tuple[str, ...]
    alone: float
    added: float
    """by 50 plugins"""

    @property
    def title(self) -> str:
        """The command as it is typed."""
        return " ".join(("beyond-ai", *self.arguments))


BUDGETS: Final = (
    Budget(("--help",), 150, 150),
    Budget(("plugins", "list"), 350, 500),
    Budget(("gateway",), 700, 500),
)


def install(folder: Path) -> None:
    """Lay out the plugins in FOLDER."""
    for kind in KINDS:
        for number in range(EACH):
            new = NewDistribution(kind, f"bench-{number}")
            metadata = folder / f"{new.package}-0.1.0.dist-info"
            metadata.mkdir(parents=True)
            texts = {path.as_posix(): text for path, text in new.files()}
            headers = f"Metadata-Version: 2.1\nName: {new.distribution}\nVersion: 0.1.0\n"
            (metadata / "METADATA").write_text(f"{headers}\n{texts['README.md']}")
            (metadata / "entry_points.txt").write_text(f"[{kind.group}]\n{new.name} = {new.package}\n")
            (folder / new.package).mkdir()
            (folder / new.package / "__init__.py").write_text(texts[f"src/{new.package}/__init__.py"])


def took(budget: Budget, folder: Path, environ: Mapping[str, str]) -> tuple[float, float]:
    """Milliseconds, and CPU milliseconds, of one start."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    process = subprocess.Popen(
        [COMMAND, *budget.arguments],
        cwd=folder,
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        process_group=0,
    )
    assert process.stderr is not None
    with process.stderr as lines:
        if budget.arguments == ("gateway",):
            while b"admin on " not in lines.readline():
                assert process.poll() is None, "the gateway did not start"
            waited = time.perf_counter() - started
            process.send_signal(signal.SIGTERM)
            lines.read()
            process.wait()
        else:
            lines.read()
            assert process.wait() == 0, budget.title
            waited = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return waited * 1000, used * 1000


def main() -> int:
    """Measure; 1 above a budget."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    within = True
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        install(folder / "plugins")
        (folder / "config.toml").write_text(GATEWAY)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AI_", "PYTHON"))}
        alone = {**inherited, "HOME": temporary, "PYTHONPYCACHEPREFIX": f"{temporary}/bytecode"}
        beside = {**alone, "PYTHONPATH": str(folder / "plugins")}
        print(
            f"beyond-ai {VERSION}, best and median of {rounds}, milliseconds; beside: with {EACH * len(KINDS)} plugins"
        )
        for budget in BUDGETS:
            best: list[float] = []
            for title, environ in (("alone", alone), ("beside", beside)):
                took(budget, folder, environ)  # compiles what is not compiled yet
                measured = [took(budget, folder, environ) for _ in range(rounds)]
                times, used = zip(*measured, strict=True)
                best.append(min(times))
                middle, cpu = statistics.median(times), min(used)
                print(f"{budget.title:24} {title:6} {min(times):5.0f} {middle:5.0f}   CPU {cpu:5.0f}")
            added = best[1] - best[0]
            print(f"{'':24} budget {budget.alone:.0f}, and {budget.added:.0f} for the plugins: {added:.0f}")
            within &= best[0] <= budget.alone and added <= budget.added
    return 0 if within else 1


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
