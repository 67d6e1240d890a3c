"""Questions to whoever is at the far end. No answer in time is a no."""

import asyncio
import itertools
from typing import Final

from beyond_ai.agent.policy.approval import Answer, Question
from beyond_ai.agent.serve.frames import ApprovalRequest, ApprovalResolved, Approve, answer_of
from beyond_ai.agent.serve.writer import Writer


class Approvals:
    """Asks, and takes the answers."""

    def __init__(self, writer: Writer, seconds: float) -> None:
        self._writer: Final = writer
        self._seconds: Final = seconds
        self._numbers = itertools.count(1)
        self._open: dict[str, asyncio.Future[Answer]] = {}

    async def __call__(self, question: Question) -> Answer:
        """What the client says to QUESTION. Raises TimeoutError."""
        name = f"approval-{next(self._numbers)}"
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._open[name] = answer
        self._writer.put(
            ApprovalRequest(
                request_id=name,
                tool=question.call.name,
                summary=question.reason,
                scope_key=question.scope,
                call_id=question.call.id,
                input=question.call.input,
                timeout_seconds=self._seconds,
            )
        )
        try:
            async with asyncio.timeout(self._seconds):
                given = await answer
        except TimeoutError:
            self._writer.put(ApprovalResolved(request_id=name, decision="deny", by="timeout"))
            raise TimeoutError(f"nobody answered within {self._seconds:g} s") from None
        except asyncio.CancelledError:
            self._writer.put(ApprovalResolved(request_id=name, decision="deny", by="cancelled"))
            raise
        finally:
            del self._open[name]
        decision = "deny" if given == "no" else "allow"
        self._writer.put(ApprovalResolved(request_id=name, decision=decision, by="client"))
        return given

    def answer(self, command: Approve) -> bool:
        """Whether COMMAND answers a question that is open."""
        waiting = self._open.get(command.request_id)
        if waiting is None or waiting.done():
            return False
        waiting.set_result(answer_of(command))
        return True
