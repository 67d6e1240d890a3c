"""The real gateway as a child process, for tests that prove what it does to the bytes on its sockets.

    with GatewayProcess(config_text, folder=tmp_path) as gateway:
        client = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key)

Leaving the `with` stops it with SIGTERM and fails unless it exits with 0.
"""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self, TypeAlias
from urllib.parse import urlsplit

import orjson

UsageFields: TypeAlias = dict[str, object]
"""The `fields` of one `ai.usage` line."""

LogEntry: TypeAlias = dict[str, object]
"""One line of the log."""

READY: Final = re.compile(r"listening on (http://\S+)")
ADMIN: Final = re.compile(r"admin on (http://\S+)")


class GatewayProcess:
    """One `beyond-ai gateway` process.

    CONFIG is the text of its TOML file, written to FOLDER; it should listen on port 0 of loopback. ARGUMENTS go
    behind `gateway`. The process sees the environment without any `AI_` variable, plus ENVIRONMENT. COMMAND is the
    `beyond-ai` to run, if not the one that is installed beside this interpreter.
    """

    def __init__(
        self,
        config: str,
        *,
        folder: Path,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        command: Path | None = None,
    ) -> None:
        self.url = ""
        self.admin_url = ""
        self._config = folder / "gateway.toml"
        self._config.write_text(config)
        self._command = command or Path(sys.executable).with_name("beyond-ai")
        self._arguments = arguments
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AI_")}
        self._environment = {**inherited, "PYTHONUNBUFFERED": "1", **(environment or {})}
        self._changed = threading.Condition()
        self._stdout: list[str] = []
        self._stderr: list[str] = []
        self._readers: list[threading.Thread] = []

    def start(self, within: float = 15.0) -> None:
        """Start the process and wait until it listens; AssertionError with its stderr when it does not."""
        self.process = subprocess.Popen(  # noqa: S603 - our own console script, with the test's own arguments
            [self._command, "gateway", "--config", self._config, *self._arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self._environment,
            process_group=0,  # its workers are in it too
        )
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        for stream, lines in ((self.process.stdout, self._stdout), (self.process.stderr, self._stderr)):
            reader = threading.Thread(target=self._read, args=(stream, lines), daemon=True)
            reader.start()
            self._readers.append(reader)
        try:
            self.wait_until(lambda: self._ready() or self.process.poll() is not None, within)
        except TimeoutError:
            self.kill()
        if not self._ready():
            raise AssertionError(f"the gateway did not start, exit code {self.process.poll()}:\n{self.stderr}")

    def stop(self, within: float = 15.0) -> None:
        """Stop it with SIGTERM; AssertionError unless it exits with 0 in time."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(within)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the gateway did not stop within {within:g} s:\n{self.stderr}") from None
        self._finish()
        if code != 0:
            raise AssertionError(f"the gateway exited with {code}:\n{self.stderr}")

    def kill(self) -> None:
        """End it at once, and its workers with it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._finish()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.returncode is None:
            self.stop()

    @property
    def host(self) -> str:
        """The address that clients connect to."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """The port that clients connect to."""
        return urlsplit(self.url).port or 80

    @property
    def stdout(self) -> str:
        """All of standard output so far."""
        return "".join(self._stdout)

    @property
    def stderr(self) -> str:
        """All of standard error so far."""
        return "".join(self._stderr)

    @property
    def usage(self) -> list[UsageFields]:
        """The `fields` of every usage event so far."""
        return list(usage_fields(self._stdout))

    @property
    def log(self) -> list[LogEntry]:
        """Every log line so far, where the log is JSON."""
        return [orjson.loads(line) for line in self._stderr if line.startswith("{") and line.endswith("}\n")]

    def wait_usage_events(self, count: int, *, since: int = 0, within: float = 5.0) -> list[UsageFields]:
        """Wait until COUNT usage events have come after the first SINCE; return those after SINCE."""
        self.wait_until(lambda: len(self.usage) - since >= count, within)
        return self.usage[since:]

    def wait_usage_event(self, request_id: str, within: float = 5.0) -> UsageFields:
        """Wait for the usage event of the request that was answered with this `x-beyond-request-id`."""
        self.wait_until(lambda: any(fields["request_id"] == request_id for fields in self.usage), within)
        [event] = [fields for fields in self.usage if fields["request_id"] == request_id]
        return event

    async def usage_events(self, count: int, *, since: int = 0, within: float = 5.0) -> list[UsageFields]:
        """`wait_usage_events` for a test that runs in an event loop."""
        return await asyncio.to_thread(self.wait_usage_events, count, since=since, within=within)

    async def usage_event(self, request_id: str, within: float = 5.0) -> UsageFields:
        """`wait_usage_event` for a test that runs in an event loop."""
        return await asyncio.to_thread(self.wait_usage_event, request_id, within)

    def wait_until(self, condition: Callable[[], bool], within: float = 5.0) -> None:
        """Wait until CONDITION holds, asking again at each line of output; TimeoutError after WITHIN seconds."""
        deadline = time.monotonic() + within
        with self._changed:
            while not condition():
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError(f"not within {within:g} s; stdout:\n{self.stdout}\nstderr:\n{self.stderr}")
                self._changed.wait(min(left, 0.25))

    def _ready(self) -> bool:
        listening, admin = READY.search(self.stderr), ADMIN.search(self.stderr)
        if listening is None or admin is None:
            return False
        self.url, self.admin_url = listening[1], admin[1]
        return True

    def _read(self, stream: IO[str], lines: list[str]) -> None:
        for line in stream:
            with self._changed:
                lines.append(line)
                self._changed.notify_all()

    def _finish(self) -> None:
        for reader in self._readers:
            reader.join()
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.process.stdout.close()
        self.process.stderr.close()


def usage_fields(lines: Iterable[str]) -> Iterable[UsageFields]:
    """The `fields` of each usage event among LINES of output; what is not JSON is passed over."""
    for line in lines:
        if not line.startswith("{"):
            continue
        event = orjson.loads(line)
        if event.get("target") == "ai.usage":
            yield event["fields"]
