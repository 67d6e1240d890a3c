"""A real nats-server with JetStream on loopback, which tests start, stop, kill, pause and wipe."""

import asyncio
import contextlib
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

START_SECONDS = 10.0


OLDER = "NATS_SERVER_OLDER"
"""The variable that names an older program, as a distribution has it."""


def binary() -> str:
    """The program: beside this Python, as the wheel has it, or on the PATH."""
    beside = Path(sys.executable).parent / "nats-server"
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    assert found, "no nats-server: install the extra `test`"
    return found


def version(program: str) -> tuple[int, ...]:
    """The version of PROGRAM, which says `nats-server: v2.9.10`."""
    said = subprocess.run(
        [program, "--version"], capture_output=True, text=True, check=True, timeout=START_SECONDS
    ).stdout
    return tuple(int(digits) for digits in re.findall(r"\d+", said))


def free_port() -> int:
    """A port that nobody listens on, and none of those that the kernel gives to whoever asks for any."""
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return port


class NatsServer:
    """A server with its data in FOLDER. Its port stays the same over restarts."""

    def __init__(self, folder: Path, *options: str, jetstream: bool = True, program: str | None = None) -> None:
        self.program = program or binary()
        self.port = free_port()
        self.store = folder / "jetstream"
        self._options = [*options, *(["-js", "-sd", str(self.store)] if jetstream else [])]
        self._log = folder / "nats.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def start(self) -> Self:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [self.program, "-a", "127.0.0.1", "-p", str(self.port), *self._options], stdout=log, stderr=log
            )
        ends = time.monotonic() + START_SECONDS
        while not self._greets():
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < ends, self._log.read_text()
            time.sleep(0.01)
        return self

    def _greets(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as sock:
                return sock.recv(4) == b"INFO"
        except OSError:
            return False

    def stop(self) -> None:
        """Let it end in order. Harmless when it does not run."""
        self._end(signal.SIGTERM)

    def kill(self, *, wipe: bool = False) -> None:
        """End it at once; with WIPE its data goes too."""
        self._end(signal.SIGKILL)
        if wipe:
            shutil.rmtree(self.store)

    def pause(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        os.waitpid(self._process.pid, os.WUNTRACED)  # until it stands still

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _end(self, signal_number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(signal_number)
            self._process.wait(START_SECONDS)
            self._process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


class Partition:
    """A way to a server that can be cut: what is under way breaks, and what comes is refused, until it is healed."""

    def __init__(self, port: int) -> None:
        self.port = free_port()
        self._target = port
        self._listener: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    async def heal(self) -> None:
        self._listener = await asyncio.start_server(self._relay, "127.0.0.1", self.port)

    async def cut(self) -> None:
        assert self._listener is not None
        self._listener.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await until(lambda: not self._writers)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        other_reader, other_writer = await asyncio.open_connection("127.0.0.1", self._target)
        ends = {writer, other_writer}
        self._writers |= ends
        copies = [asyncio.create_task(_copy(reader, other_writer)), asyncio.create_task(_copy(other_reader, writer))]
        await asyncio.wait(copies)
        self._writers -= ends


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
    writer.transport.abort()


async def until(condition: Callable[[], object], seconds: float = 10.0, what: str = "") -> None:
    """Wait for CONDITION, SECONDS at most."""
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, what or "it did not come true"
        await asyncio.sleep(0.001)
