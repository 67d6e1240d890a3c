"""A small client of `beyond-ai agent serve`.

    async with AgentClient("ssh", "host", "beyond-ai", "agent", "serve") as client:
        answer = await client.call("prompt", message="Fix the failing test.")

`ready` is the first frame. What is no answer, as events, goes to `on_frame`, in order.
"""

import asyncio
import itertools
import json
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Final, Self

LARGEST_LINE: Final = 2 * 1024 * 1024
Frame = dict[str, object]


class AgentFailed(Exception):  # noqa: N818 - the agent's word for it, as a value of its protocol
    """A command was answered with `success: false`, or the agent has ended; `code` says what kind of failure it is."""

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code


class AgentClient:
    """The agent as a child process, for as long as the block lasts."""

    def __init__(
        self,
        *command: str,
        on_frame: Callable[[Frame], None] = lambda _frame: None,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
    ) -> None:
        """Run COMMAND, in CWD and with ENV. ON_FRAME is called with every frame that answers no command."""
        self.ready: Frame = {}
        self.exit: Frame | None = None
        self._command: Final = command
        self._on_frame: Final = on_frame
        self._env: Final = env
        self._cwd: Final = cwd
        self._ids = itertools.count(1)
        self._waiting: dict[str, asyncio.Future[Frame]] = {}
        self._process: Process
        self._reading: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, limit=LARGEST_LINE, env=self._env, cwd=self._cwd
        )
        assert self._process.stdout is not None
        first = await self._process.stdout.readline()
        if not first:
            raise AgentFailed(f"the agent ended before it was ready: exit code {await self._process.wait()}")
        self.ready = json.loads(first)
        if self.ready["type"] == "exit":
            await self._process.wait()
            raise AgentFailed(f"the agent did not start: {self.ready['reason']}")
        self._reading = asyncio.ensure_future(self._read(self._process.stdout))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._reading
        await self._process.wait()

    async def call(self, command: str, **members: object) -> Frame:
        """The data of the answer to COMMAND. Raises AgentFailed."""
        if self._reading.done():
            raise AgentFailed("the agent has ended")
        ident = f"c{next(self._ids)}"
        answer = self._waiting[ident] = asyncio.get_running_loop().create_future()
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"id": ident, "type": command, **members}).encode() + b"\n")
        await self._process.stdin.drain()
        response = await answer
        if not response["success"]:
            raise AgentFailed(str(response.get("error")), str(response.get("code")))
        data = response.get("data", {})
        assert isinstance(data, dict)
        return data

    async def _read(self, stdout: asyncio.StreamReader) -> None:
        while line := await stdout.readline():
            frame: Frame = json.loads(line)
            waiting = self._waiting.pop(str(frame.get("id")), None) if frame.get("type") == "response" else None
            if waiting is not None:
                waiting.set_result(frame)
                continue
            if frame.get("type") == "exit":
                self.exit = frame
            self._on_frame(frame)
        for waiting in self._waiting.values():
            waiting.set_exception(AgentFailed("the agent has ended"))
