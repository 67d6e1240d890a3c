"""Asks a person on the terminal whether a call may run."""

import asyncio
import json
import os
import termios
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from beyond_ai.agent.policy.approval import Answer, Question
from beyond_ai.agent.run.printable import harmless

SHOWN_LINES: Final = 20
ANSWERS: Final[dict[str, Answer]] = {"y": "once", "yes": "once", "a": "session", "always": "session"}
Pausing = Callable[[], AbstractContextManager[object]]


class Terminal:
    """The terminal of this process, opened apart from stdin and stdout, which may be pipes."""

    def __init__(self, descriptor: int, pausing: Pausing = nullcontext) -> None:
        self._descriptor: Final = descriptor
        self.pausing = pausing
        self._one_at_a_time = asyncio.Lock()

    async def __call__(self, question: Question) -> Answer:
        """What the person says to QUESTION; whatever is no yes is a no. Raises OSError when the terminal is gone."""
        async with self._one_at_a_time:
            with self.pausing():
                termios.tcflush(self._descriptor, termios.TCIFLUSH)  # what was typed before is no answer to this
                os.write(self._descriptor, _shown(question).encode(errors="replace"))
                return ANSWERS.get((await self._line()).strip().lower(), "no")

    async def _line(self) -> str:
        loop = asyncio.get_running_loop()
        typed: asyncio.Future[bytes] = loop.create_future()

        def read() -> None:
            loop.remove_reader(self._descriptor)
            if not typed.done():
                try:
                    typed.set_result(os.read(self._descriptor, 4096))
                except OSError as error:
                    typed.set_exception(error)

        loop.add_reader(self._descriptor, read)
        try:
            return (await typed).decode(errors="replace")
        finally:
            loop.remove_reader(self._descriptor)


def open_terminal() -> Terminal | None:
    """The terminal that a person can be asked on; None when there is none."""
    try:
        descriptor = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return None
    return Terminal(descriptor)


def _shown(question: Question) -> str:
    """QUESTION with the exact call, long ones cut and saying so."""
    lines = [f"\n{question.reason}:", f"  {question.call.name}"]
    for name, value in question.call.input.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        first, *rest = harmless(text).split("\n")
        lines.append(f"    {name}: {first}")
        lines += [f"      {line}" for line in rest[:SHOWN_LINES]]
        if len(rest) > SHOWN_LINES:
            lines.append(f"      ... {len(rest) - SHOWN_LINES} more lines")
    lines.append(f"Allow it? [y] once, [a] always in this session ({harmless(question.scope)[:200]}), [n] no: ")
    return "\n".join(lines)
