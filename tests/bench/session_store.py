"""What sessions cost on disk: `python tests/bench/session_store.py`. Exits 1 above the budget.

Opens sessions of up to 10,000 entries, which is to take less than 300 ms, and appends to them, which is to take as long
in each. Medians, in milliseconds of wall time and, for appends, of CPU. What counts is the best round: a machine that
does other work makes one longer, never shorter.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from beyond_ai.agent.session import Session, SessionRepository
from beyond_ai.spec.conversation import Message, Text, TokenUsage, ToolOutput, ToolUse

SIZES: Final = (100, 1_000, 10_000)
ROUNDS: Final = 7
APPENDS: Final = 50
BUDGET: Final = 300.0
"""Milliseconds, to open the largest."""
USAGE: Final = TokenUsage(input_tokens=50, output_tokens=5)


def grow(session: Session, entries: int) -> None:
    session.conversation.append(Message(role="user", content=(Text(text="Do it."),)))
    for number in range((entries - 2) // 2):
        call = ToolUse(id=f"c{number}", name="read", input={"path": f"file{number}.py"})
        session.conversation.append(
            Message(
                role="assistant", content=(Text(text="So."), call), usage=USAGE, model_id="m", stop_reason="tool_use"
            )
        )
        session.conversation.append(Message(role="user", content=(ToolOutput(tool_use_id=call.id, content="x" * 800),)))
    session.conversation.append(Message(role="assistant", content=(Text(text="Done."),), usage=USAGE))
    session.checkpoint()


def opening(path: Path) -> float:
    start = time.perf_counter()
    session = Session.open(path, cwd=Path("/work"), model=None)
    spent = time.perf_counter() - start
    session.close()
    return spent * 1_000


def appending(session: Session) -> tuple[float, float]:
    """Milliseconds of wall time, and of CPU, for a checkpoint with one message in it."""
    walls, processors = [], []
    for number in range(APPENDS):
        role = "assistant" if number % 2 else "user"
        session.conversation.append(
            Message(role="assistant" if role == "assistant" else "user", content=(Text(text="more " * 40),))
        )
        wall, processor = time.perf_counter(), time.process_time()
        session.checkpoint()
        walls.append(time.perf_counter() - wall)
        processors.append(time.process_time() - processor)
    return statistics.median(walls) * 1_000, statistics.median(processors) * 1_000


def main() -> int:
    """Measure; 1 above the budget."""
    best = 0.0
    with tempfile.TemporaryDirectory() as folder:
        repository = SessionRepository(Path(folder))
        for size in SIZES:
            session = repository.create(cwd=Path("/work"), model="m")
            grow(session, size)
            path = session.path
            assert path is not None
            wall, processor = appending(session)
            session.close()
            opened = [opening(path) for _ in range(ROUNDS)]
            best, median = min(opened), statistics.median(opened)
            print(
                f"{size:6} entries: opens in {median:.0f} ms, at best {best:.0f}; "
                f"an append {wall:.2f} ms, {processor:.3f} ms of CPU"
            )
        start = time.perf_counter()
        repository.list()
        print(f"a list of {len(SIZES)} sessions: {(time.perf_counter() - start) * 1_000:.1f} ms")
    return 0 if best <= BUDGET else 1


if __name__ == "__main__":
    sys.exit(main())
