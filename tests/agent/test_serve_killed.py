"""kill -9 at any moment: what was told to the client is in the session, and no tool runs twice."""

import json
import os
import random
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import pytest
from tests.agent.agent_process import Frame, Place
from tests.agent.conftest import Model
from tests.agent.serve_process import Served, served
from tests.core.agent.wires import assert_legal_everywhere, reopened

from beyond_ai.agent.loop import MessageEntry
from beyond_ai.agent.session.journal import read_content
from beyond_ai.testing.model import ScriptedModel, Turn, says, tool_call, uses
from beyond_ai.testing.model_call import ModelCall

LONG_PROMPT: Final = 2 * 1024 * 1024
"""Bytes of a prompt that takes the kernel a while to append."""
KINDS: Final = ("tool", "append", "bytes", "time")


def reply(call: ModelCall) -> Turn:
    """Calls a tool that leaves a mark of its own, and ends when there is a result."""
    if call.results:
        return says(f"done {call.number}")
    command = f"echo mark-{call.number}. >> marks; touch running; sleep 0.05"
    return uses(tool_call("bash", command=command), text=f"look {call.number}")


@dataclass
class Moment:
    """One session that is killed, and what its client was told before."""

    number: int
    kind: str
    place: Place
    path: Path
    heard: list[Frame] = field(default_factory=list)

    @classmethod
    def of(cls, number: int, place: Place) -> "Moment":
        folder = place.cwd / str(number)
        folder.mkdir()
        own = replace(place, cwd=folder)
        return cls(number, KINDS[number % len(KINDS)], own, place.home / f"{number}.jsonl")

    def play(self) -> None:
        """Prompt until the process is gone."""
        chance = random.Random(self.number)
        with served(self.place, "--session-file", str(self.path)) as far:
            pid, over = int(str(far.seen[0]["pid"])), threading.Event()
            killer = threading.Thread(target=self._kill, args=(pid, chance, over))
            killer.start()
            try:
                self._prompt(far)
            except (EOFError, BrokenPipeError):
                pass
            finally:
                over.set()
                killer.join()
            far.drain()
            self.heard = far.seen
        self.place.cwd.joinpath("running").unlink(missing_ok=True)

    def _prompt(self, far: Served) -> None:
        long = "x" * LONG_PROMPT if self.kind == "append" else "go"
        far.ask("set_session_name", "name", title=f"session {self.number}")
        for number in range(3):
            far.ask("prompt", f"prompt-{number}", message=long if number == 0 else "go")

    def _kill(self, pid: int, chance: random.Random, over: threading.Event) -> None:
        due = self._due(chance)
        while not over.is_set() and not due():
            if self.kind != "append":
                time.sleep(0.0005)
        os.kill(pid, signal.SIGKILL)

    def _due(self, chance: random.Random) -> Callable[[], bool]:
        if self.kind == "tool":
            running, delay = self.place.cwd / "running", chance.choice([0.0, chance.uniform(0, 0.1)])
            return lambda: running.exists() and time.time() >= running.stat().st_mtime + delay
        if self.kind == "time":
            moment = time.monotonic() + chance.uniform(0, 0.6)
            return lambda: time.monotonic() > moment
        length = chance.randint(100, 5_000) if self.kind == "bytes" else chance.randint(20_000, LONG_PROMPT - 20_000)
        return lambda: self.path.exists() and self.path.stat().st_size >= length

    # what must hold

    def check(self) -> tuple[str, ...]:
        """Whether all that the client was told is in the session; what kinds of moment this one was."""
        copy = self.path.with_suffix(".copy")
        shutil.copy(self.path, copy)
        content = read_content(self.path)
        conversation = reopened(copy)
        assert_legal_everywhere(conversation.messages)
        messages = [entry.message for entry in conversation.entries if isinstance(entry, MessageEntry)]
        texts = {message.text for message in messages}
        calls = {use.id for message in messages for use in message.tool_uses}
        said: list[str] = []
        for frame in self.heard:
            event = frame.get("event")
            if isinstance(event, dict) and event["kind"] == "turn_end":
                said.append(event["text"])
            elif isinstance(event, dict) and event["kind"] == "tool_start":
                assert event["id"] in calls, "a call was told of that is not in the session"
            elif frame.get("success") and frame["command"] == "prompt":
                assert set(said) <= texts, "a prompt was answered whose messages are not in the session"
            elif frame.get("success") and frame["command"] == "set_session_name":
                assert content.title == f"session {self.number}"
        self.check_marks()
        found = [self.kind]
        found += ["torn"] if content.skipped else []
        found += ["unanswered"] if conversation.unanswered else []
        return tuple(found)

    def check_marks(self) -> None:
        """That no call has run twice, and none that is not in the session."""
        marks = self.place.cwd / "marks"
        left = marks.read_text().split() if marks.exists() else []
        assert len(left) == len(set(left)), "a tool has run twice"
        stored = self.path.read_text()
        assert all(f"echo {mark} " in stored for mark in left), "a tool has run that the session does not know of"

    def go_on(self, model: ScriptedModel) -> None:
        """Start again, and see it through."""
        with served(self.place, "--session-file", str(self.path)) as far:
            asked = len(model.asked)
            assert far.ask("prompt", "again", message="go on")["success"]
            for call in model.asked[asked:]:
                assert_legal_everywhere(call.messages)
            assert far.ask("get_last_assistant_text")["data"] == {"text": f"done {model.asked[-1].number}"}
            assert far.end() == 0
        self.check_marks()
        assert_legal_everywhere(reopened(self.path).messages)


def killed(place: Place, model: ScriptedModel, moments: range) -> Counter[str]:
    """What kinds of moment there were."""
    kinds: Counter[str] = Counter()
    for number in moments:
        moment = Moment.of(number, place)
        moment.play()
        kinds.update(moment.check())
        moment.go_on(model)
        moment.path.unlink()
    return kinds


def test_nothing_that_was_told_is_lost_by_a_kill(place: Place, model: Model) -> None:
    kinds = killed(place, model(then=reply), range(12))
    assert kinds["unanswered"], "between a call and its result"


@pytest.mark.long
def test_nothing_that_was_told_is_lost_by_two_hundred_kills(place: Place, model: Model) -> None:
    """Run by `pytest -m long -n 0 -s tests/agent/test_serve_killed.py`."""
    kinds = killed(place, model(then=reply), range(200))
    print(json.dumps(kinds))
    assert kinds["unanswered"] > 20, "between a call and its result"
    assert kinds["torn"] > 5, "in the middle of an append"
