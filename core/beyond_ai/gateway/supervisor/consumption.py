"""What the workers take of the machine, as Linux counts it; elsewhere nothing is known."""

import os
import resource
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_LINUX: Final = sys.platform == "linux"


class Consumption:
    """Of the processes that this one has started, ended ones included."""

    def __init__(self) -> None:
        self._cpu = 0.0

    def resident(self, pids: Iterable[int]) -> int | None:
        """Bytes of memory that the processes PIDS hold; pages that they share count for each."""
        if not _LINUX:
            return None
        pages = [int(fields[1]) for pid in pids if (fields := _fields(pid, "statm"))]
        return sum(pages) * resource.getpagesize()

    def cpu(self, pids: Iterable[int]) -> float | None:
        """Seconds of processor time of the live processes PIDS and of all that have ended. It never goes back."""
        if not _LINUX:
            return None
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        ticks = [int(fields[11]) + int(fields[12]) for pid in pids if (fields := _fields(pid, "stat"))]
        seconds = ended.ru_utime + ended.ru_stime + sum(ticks) / os.sysconf("SC_CLK_TCK")
        self._cpu = max(self._cpu, seconds)
        return self._cpu


def _fields(pid: int, name: str) -> list[str]:
    """The fields of a file in /proc, those behind the program's name, which may hold blanks; none of a dead process."""
    try:
        return Path(f"/proc/{pid}/{name}").read_text().rpartition(") ")[2].split()
    except OSError:
        return []
