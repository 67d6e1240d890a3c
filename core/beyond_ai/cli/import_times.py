"""Runs `beyond-ai` with every import timed: what `--profile-startup` starts, as a script, in place of itself.

A script, so that what the command line itself imports is timed as well: before it nothing of ours is imported, and of
the standard library what the interpreter starts with and the few modules below. The report goes to stderr when the
process ends. Processes that it starts, as the gateway's workers, are not in it.
"""

import atexit
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from time import perf_counter
from types import ModuleType
from typing import Final, TypeVar

R = TypeVar("R")

SHOWN: Final = 25
"""Modules and distributions that are shown, those that took longest."""


class ImportTimer(MetaPathFinder):
    """Finds modules as the other finders do, and notes how long finding and running each took, in milliseconds.

    `own` is without, `cumulative` with what it imported in turn.
    """

    def __init__(self) -> None:
        self.own: dict[str, float] = defaultdict(float)
        self.cumulative: dict[str, float] = defaultdict(float)
        self._threads = threading.local()

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """What the next finder finds."""
        return self._timed(name, lambda: self._find(name, path, target))

    def _find(self, name: str, path: Sequence[str] | None, target: ModuleType | None) -> ModuleSpec | None:
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(name, path, target)
            if spec is not None:
                # a loader that is a class, as of built-in modules, is every module's, and takes no time
                if spec.loader is not None and not isinstance(spec.loader, type):
                    self._watch(name, spec.loader)
                return spec
        return None

    def _watch(self, name: str, loader: object) -> None:
        for step in ("create_module", "exec_module"):  # the first loads an extension
            work = getattr(loader, step, None)
            if work is not None:
                setattr(loader, step, lambda argument, work=work: self._timed(name, lambda: work(argument)))

    def _timed(self, name: str, work: Callable[[], R]) -> R:
        outer: list[float] = self._threads.__dict__.setdefault("inner", [])
        outer.append(0.0)
        started = perf_counter()
        try:
            return work()
        finally:
            took = (perf_counter() - started) * 1000
            self.own[name] += took - outer.pop()
            self.cumulative[name] += took
            if outer:
                outer[-1] += took

    def report(self) -> str:
        """Two tables, of modules by what they took with all that they imported, and of distributions."""
        lines = [
            f"imports: {len(self.own)} modules, {sum(self.own.values()):.1f} ms",
            "",
            "   own ms    all ms  module",
        ]
        slowest = sorted(self.cumulative, key=lambda name: -self.cumulative[name])[:SHOWN]
        lines += [f"{self.own[name]:9.1f} {self.cumulative[name]:9.1f}  {name}" for name in slowest]
        times, modules = defaultdict[str, float](float), Counter[str]()
        origins = _distributions()
        for name, took in self.own.items():
            top = name.partition(".")[0]
            origin = "Python's own" if top in sys.stdlib_module_names else origins.get(top, top)
            times[origin] += took
            modules[origin] += 1
        lines += ["", "   own ms   modules  distribution"]
        slowest = sorted(times, key=lambda origin: -times[origin])[:SHOWN]
        lines += [f"{times[origin]:9.1f} {modules[origin]:9}  {origin}" for origin in slowest]
        return "\n".join(lines) + "\n"


def _distributions() -> dict[str, str]:
    """The distribution of each top-level package; of one that is installed as editable by its entry points."""
    from importlib.metadata import distributions, packages_distributions

    named = {
        point.module.partition(".")[0]: distribution.name
        for distribution in distributions()
        for point in distribution.entry_points
    }
    return named | {package: names[0] for package, names in packages_distributions().items()}


def main() -> None:
    """Time the imports of the command line, and run it."""
    timer = ImportTimer()
    atexit.register(_write, timer)
    sys.meta_path.insert(0, timer)
    from beyond_ai.cli import main as command_line

    command_line()


def _write(timer: ImportTimer) -> None:
    sys.meta_path.remove(timer)  # what the report needs is no part of it
    sys.stderr.write("\n" + timer.report())


if __name__ == "__main__":
    main()
