"""Questions to whoever is at the far end. No answer in time is a no."""

import asyncio
import itertools
from dataclasses import dataclass
from typing import Final

from beyond_ai.agent.policy.approval import Answer, Question
from beyond_ai.agent.serve.frames import ApprovalRequest, ApprovalResolved, Approve, answer_of
from beyond_ai.agent.serve.writer import Writer


@dataclass(frozen=True, slots=True)
class Waiting:
    """A request that is open: its frame, when its time is up by the loop's clock, and its answer."""

    frame: ApprovalRequest
    ends: float
    answer: asyncio.Future[Answer]


class Approvals:
    """Asks, and takes the answers."""

    def __init__(self, writer: Writer, seconds: float) -> None:
        self._writer: Final = writer
        self._seconds: Final = seconds
        self._numbers = itertools.count(1)
        self._open: dict[str, Waiting] = {}

    async def __call__(self, question: Question) -> Answer:
        """What the client says to QUESTION. Raises TimeoutError."""
        name = f"approval-{next(self._numbers)}"
        loop = asyncio.get_running_loop()
        waiting = Waiting(self._request(name, question), loop.time() + self._seconds, loop.create_future())
        self._open[name] = waiting
        self._writer.put(waiting.frame)
        try:
            async with asyncio.timeout_at(waiting.ends):
                given = await waiting.answer
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

    @property
    def open(self) -> tuple[ApprovalRequest, ...]:
        """The requests that wait for an answer, the oldest first, each with the time that is left."""
        now = asyncio.get_running_loop().time()
        return tuple(
            waiting.frame.model_copy(update={"timeout_seconds": round(max(0.0, waiting.ends - now), 3)})
            for waiting in self._open.values()
            if not waiting.answer.done()
        )

    def answer(self, command: Approve) -> bool:
        """Whether COMMAND answers a question that is open."""
        waiting = self._open.get(command.request_id)
        if waiting is None or waiting.answer.done():
            return False
        waiting.answer.set_result(answer_of(command))
        return True

    def _request(self, name: str, question: Question) -> ApprovalRequest:
        return ApprovalRequest(
            request_id=name,
            tool=question.call.name,
            summary=question.summary,
            reason=question.reason,
            scope_key=question.scope,
            call_id=question.call.id,
            input=question.call.input,
            timeout_seconds=self._seconds,
        )
