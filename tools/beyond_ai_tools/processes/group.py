"""Commands and everything that they start: one group each, killed as one, and never left behind by the agent.

A command leads a session and a process group of its own. What it leaves running in the background may go on as long as
the agent does. When the agent ends, however it ends, SIGKILL included, its warden sees the pipe between them close and
kills the groups that are left.
"""

import contextlib
import os
import signal
import subprocess
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_WARDEN: Final = """
trap '' HUP INT QUIT TERM
groups=' '
while read -r sign group; do
  case $sign in
    +) groups="$groups$group " ;;
    -) case $groups in *" $group "*) groups="${groups%% $group *} ${groups#* $group }" ;; esac ;;
  esac
done
for group in $groups; do kill -s KILL -- "-$group"; done
"""
"""Takes `+ GROUP` and `- GROUP` a line; at the end of its input it kills the groups that it still has."""

_PROC: Final = Path("/proc")


@dataclass(frozen=True, slots=True)
class Survivor:
    """A process that a command has left running."""

    pid: int
    group: int
    session: int
    name: str


class Warden:
    """Kills the groups that it is told of when this process ends, or when this object is gone."""

    def __init__(self) -> None:
        self._groups: set[int] = set()
        self._process: subprocess.Popen[bytes] | None = None

    def watch(self, group: int) -> None:
        """Take GROUP on, and let go of those that have ended."""
        for ended in [other for other in self._groups if not alive(other)]:
            self.release(ended)
        if group not in self._groups:
            self._groups.add(group)
            self._tell("+", group)

    def release(self, group: int) -> None:
        """Let GROUP go: it has ended."""
        if group in self._groups:
            self._groups.discard(group)
            self._tell("-", group)

    def _tell(self, sign: str, group: int) -> None:
        if self._process is None:
            # in a session of its own, so that what the terminal signals to the agent does not reach it
            self._process = subprocess.Popen(  # noqa: S603 - our own words
                ["/bin/sh", "-c", _WARDEN],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={"PATH": "/usr/bin:/bin"},
                cwd="/",
                start_new_session=True,
            )
            weakref.finalize(self, _dismiss, self._process)
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # someone has killed it: then nothing is watched
            self._process.stdin.write(f"{sign} {group}\n".encode())


def _dismiss(warden: "subprocess.Popen[bytes]") -> None:
    """Let WARDEN do its work, and wait for it."""
    assert warden.stdin is not None
    warden.stdin.close()
    try:
        warden.wait(1.0)
    except subprocess.TimeoutExpired:
        warden.kill()
        warden.wait()


def alive(group: int) -> bool:
    """Whether GROUP has a member, a zombie included."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it has changed its user
    return True


def kill(groups: Iterable[int]) -> None:
    """Kill GROUPS at once; never our own."""
    for group in set(groups) - {os.getpgrp()}:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


def survivors(session: int) -> list[Survivor]:
    """The processes of SESSION, zombies left out, by pid; where there is no /proc, those of its first group."""
    found = _from_proc(session) if _PROC.joinpath("self/stat").exists() else _from_ps(session)
    return sorted(found, key=lambda survivor: survivor.pid)


def holders(pipe: int) -> list[Survivor]:
    """The other processes that hold the descriptor PIPE open, whatever their session; none where there is no /proc."""
    if not _PROC.joinpath("self/fd").exists():
        return []
    link = f"pipe:[{os.fstat(pipe).st_ino}]"
    pids = [pid for pid in _pids() if pid != os.getpid() and link in _links(pid)]
    return [process for pid in pids if (process := _described(pid)) is not None]


def _links(pid: int) -> Iterator[str]:
    """What the descriptors of PID are links to."""
    with contextlib.suppress(OSError):  # it has ended, or is another user's
        for name in os.listdir(_PROC / str(pid) / "fd"):
            with contextlib.suppress(OSError):
                yield os.readlink(_PROC / str(pid) / "fd" / name)


def _pids() -> list[int]:
    return sorted(int(name) for name in os.listdir(_PROC) if name.isdecimal())


def _described(pid: int) -> Survivor | None:
    """The process PID; None when it has ended."""
    try:
        stat = _PROC.joinpath(str(pid), "stat").read_text(errors="replace")
        command = _PROC.joinpath(str(pid), "cmdline").read_bytes()
    except OSError:
        return None
    # the name, in parentheses, may hold anything
    state, _, group, session, *_ = stat.rpartition(")")[2].split()
    if state in "ZX":
        return None
    name = " ".join(command.decode(errors="replace").replace("\0", " ").split())
    return Survivor(pid, int(group), int(session), name)


def _from_proc(session: int) -> Iterator[Survivor]:
    for pid in _pids():
        described = _described(pid)
        if described is not None and described.session == session:
            yield described


def _from_ps(group: int) -> Iterator[Survivor]:
    listing = subprocess.run(
        ["/bin/ps", "-axo", "pid=,pgid=,stat=,command="], capture_output=True, text=True, errors="replace", check=False
    )
    for line in listing.stdout.splitlines():
        pid, found, state, command = [*line.split(None, 3), ""][:4]
        if int(found) == group and not state.startswith("Z"):
            yield Survivor(int(pid), group, group, command)
