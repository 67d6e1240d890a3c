"""Any order of commands, answers, approvals and failures: the protocol keeps its word, and the session is whole."""

import asyncio
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.agent.serve_process import check
from tests.core.agent.loop.parts import check_legal
from tests.core.agent.wires import assert_legal_everywhere, reopened

from beyond_ai.agent.failure import ModelFailure
from beyond_ai.agent.model import BlockStop, MessageStart, MessageStop, ModelFacts, ModelRequest, StreamEvent, TextDelta
from beyond_ai.agent.run.options import RunOptions, SessionOptions, ToolOptions
from beyond_ai.agent.run.output import Output
from beyond_ai.agent.serve.approvals import Approvals
from beyond_ai.agent.serve.commands import NEED_IDLE, Commands
from beyond_ai.agent.serve.reader import Line
from beyond_ai.agent.serve.sessions import Sessions
from beyond_ai.agent.serve.writer import Writer
from beyond_ai.spec.conversation import Text, ToolUse

FACTS: Final = ModelFacts(window=16_000, max_output=4_000, thinking="none", images=True)
LATER: Final = ("prompt", "compact", "switch_branch")
QUERIES: Final = (
    "get_state", "get_messages", "get_last_assistant_text", "get_session_stats", "get_available_models",
    "list_sessions", "list_branches", "clear_queue",
)  # fmt: skip
TEXTS: Final = st.sampled_from(["go", "go", "x" * 8_000])
Frame = dict[str, Any]


class Inline(ThreadPoolExecutor):
    """Does in the loop's thread what is given to a thread, so that an example is the same each time."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - handed on
            future.set_exception(error)
        return future


class Puppet:
    """In the place of the transport of every session: says what it is told to, when it is told to."""

    steps: "asyncio.Queue[list[StreamEvent] | Exception]"
    open = False

    def __init__(self, *_arguments: object, **_members: object) -> None:
        self.rewrite_payload: object = None

    def facts(self, _model: str) -> ModelFacts:
        return FACTS

    async def stream(self, request: ModelRequest) -> AsyncIterator[StreamEvent]:
        check_legal(request.messages)
        assert_legal_everywhere(request.messages)
        assert request.messages[-1].role == "user"
        type(self).open = True
        try:
            yield MessageStart()
            while True:
                step = await self.steps.get()
                if isinstance(step, Exception):
                    raise step
                for event in step:
                    yield event
                if isinstance(step[-1], MessageStop):
                    return
        finally:
            type(self).open = False


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="serve-machine-"))
        self.loop = asyncio.new_event_loop()
        self.loop.set_default_executor(Inline())
        self.patches = pytest.MonkeyPatch()
        self.patches.setenv("HOME", str(self.folder))

        class OnePuppet(Puppet):
            steps = asyncio.Queue()

        self.puppet: type[Puppet] = OnePuppet
        self.patches.setattr("beyond_ai.agent.run.assembly.HttpModelTransport", self.puppet)
        self.written = self.folder / "stdout"
        self.count = 0
        self.offset = 0
        self.busy: str | None = None
        """the id of what takes a while, by the frames alone"""
        self.waiting: dict[str, str] = {}
        self.requests: list[str] = []
        self.seq = 0
        self.kinds: Counter[str] = Counter()
        self.data: dict[str, Frame] = {}

    @initialize(in_folder=st.booleans())
    def start(self, in_folder: bool) -> None:
        folder, file = self.folder / "sessions", self.folder / "one.jsonl"
        self.options = RunOptions(
            cwd=self.folder,
            key="bai_v1_not_a_key",
            retries=0,
            tools=ToolOptions(only=("ls",), approve="all"),
            session=SessionOptions(folder=folder) if in_folder else SessionOptions(file=file),
        )
        self.begin()

    def begin(self) -> None:
        self.descriptor = os.open(self.written, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        self.offset, self.seq = 0, 0
        self.kinds.clear()
        self.writer = Writer(Output(self.descriptor))
        approvals = Approvals(self.writer, 600.0)
        self.sessions = Sessions(self.options, self.writer, approvals)
        self.commands = Commands(self.options, self.writer, approvals, self.sessions)

    # what is sent

    def send(self, name: str, *, patient: bool = True, **members: object) -> Frame | None:
        """Send a command; its answer, where it had one already."""
        self.count += 1
        ident = f"{name}-{self.count}"
        was_busy = self.busy is not None
        running = None if self.busy is None else self.busy.partition("-")[0]
        self.waiting[ident] = name

        async def take() -> None:
            self.commands.take(Line(json.dumps({"id": ident, "type": name, **members}).encode()))

        self.loop.run_until_complete(take())
        self.settle(200 if patient else 2)
        answer = self.data.get(ident)
        refused = None if answer is None else answer.get("code")
        if was_busy and (name in NEED_IDLE or (name == "prompt" and "streaming_behavior" not in members)):
            assert refused == "busy"
        elif name in ("steer", "follow_up") and running != "prompt":
            assert refused == "idle"
        elif name not in (*LATER, "abort"):
            assert answer is not None, "what takes no while is answered at once"
            assert refused not in ("busy", "idle") or name == "prompt"
        assert refused != "internal", answer
        return answer

    @rule(text=TEXTS, patient=st.booleans())
    def prompt(self, text: str, patient: bool) -> None:
        self.send("prompt", message=text, patient=patient)

    @rule(name=st.sampled_from(["steer", "follow_up"]))
    def say(self, name: str) -> None:
        self.send(name, message="listen")

    @precondition(lambda self: self.busy is not None)
    @rule(behaviour=st.sampled_from(["steer", "follow_up"]))
    def prompt_that_waits(self, behaviour: str) -> None:
        self.send("prompt", message="and then", streaming_behavior=behaviour)

    @rule(name=st.sampled_from(QUERIES))
    def query(self, name: str) -> None:
        answer = self.send(name)
        assert answer is not None
        assert answer["success"] is True

    @rule(patient=st.booleans(), really=st.integers(0, 2))
    def abort(self, patient: bool, really: int) -> None:
        if really == 0:
            self.send("abort", patient=patient)

    @rule(name=st.sampled_from(["compact", "new_session"]), really=st.booleans())
    def plain(self, name: str, really: bool) -> None:
        if really:
            self.send(name)

    @rule(model=st.sampled_from(["claude-a", "claude-b:high", "gpt-5.1"]))
    def switch_model(self, model: str) -> None:
        self.send("set_model", model=model)

    @rule(title=st.sampled_from(["one", "two", ""]))
    def rename(self, title: str) -> None:
        self.send("set_session_name", title=title)

    @rule(upto=st.sampled_from([None, None, 0, 1, 2, 3, 99]))
    def fork(self, upto: int | None) -> None:
        self.send("fork", upto=upto)

    @rule(which=st.integers(0, 9))
    def switch_session(self, which: int) -> None:
        listed = self.send("list_sessions")
        assert listed is not None
        sessions = listed["data"]["sessions"] or [{"id": "none"}]
        self.send("switch_session", session_id=sessions[which % len(sessions)]["id"])

    @rule(which=st.integers(0, 30), summarize=st.booleans(), patient=st.booleans())
    def switch_branch(self, which: int, summarize: bool, patient: bool) -> None:
        nodes = list(self.sessions.agent.session.tree.nodes) or ["none"]
        self.send("switch_branch", target_id=nodes[which % len(nodes)], summarize=summarize, patient=patient)

    @rule(back=st.integers(0, 5))
    def attach(self, back: int) -> None:
        self.send("attach", from_seq=max(0, self.seq - back))

    @precondition(lambda self: self.requests)
    @rule(decision=st.sampled_from(["allow", "deny"]), scope=st.sampled_from(["once", "session"]))
    def approve(self, decision: str, scope: str) -> None:
        answer = self.send("approve", request_id=self.requests[0], decision=decision, scope=scope)
        assert answer is not None
        assert answer["success"] is True

    @rule(
        line=st.sampled_from(
            [b"{", b"[]", b'{"type":"nope"}', b'{"type":"fork","upto":-1}', b'{"id":4,"type":"abort"}']
        )
    )
    def nonsense(self, line: bytes) -> None:
        before = self.kinds["failure"]
        self.commands.take(Line(line))
        self.settle(2)
        assert self.kinds["failure"] == before + 1

    # what the model does

    @precondition(lambda self: self.puppet.open)
    @rule(text=st.sampled_from(["some text", "y" * 6_000]), calls=st.integers(0, 2))
    def answer(self, text: str, calls: int) -> None:
        self.count += 1
        uses = [ToolUse(id=f"call_{self.count}_{n}", name="ls", input={}) for n in range(calls)]
        said: list[Text | ToolUse] = [Text(text=text), *uses]
        blocks = [BlockStop(index=n, block=block) for n, block in enumerate(said)]
        self.puppet.steps.put_nowait([*blocks, MessageStop(stop_reason="tool_use" if calls else "end_turn")])
        self.settle()

    @precondition(lambda self: self.puppet.open)
    @rule()
    def speak(self) -> None:
        self.puppet.steps.put_nowait([TextDelta(index=0, text="half ")])
        self.settle()

    @precondition(lambda self: self.puppet.open)
    @rule(code=st.sampled_from(["auth", "overloaded", "context_overflow"]), really=st.booleans())
    def fail(self, code: Any, really: bool) -> None:
        if really:
            self.puppet.steps.put_nowait(ModelFailure(code, "it fails"))
            self.settle()

    @precondition(lambda self: self.busy is None and not self.waiting)
    @rule(really=st.integers(0, 3))
    def restart(self, really: int) -> None:
        """Another process on the same folder or file."""
        if really == 0:
            self.sessions.agent.session.close()
            os.close(self.descriptor)
            self.begin()

    # what always holds

    def settle(self, turns: int = 200) -> None:
        async def turn() -> None:
            for _ in range(turns):
                await asyncio.sleep(0)

        self.loop.run_until_complete(turn())
        assert self.writer.output.finish(10)
        with self.written.open("rb") as file:
            file.seek(self.offset)
            data = file.read()
        self.offset += len(data)
        assert data.endswith(b"\n") or not data
        for line in data.splitlines():
            self.see(json.loads(line))

    def see(self, frame: Frame) -> None:
        check(frame)
        kind, ident = frame["type"], frame.get("id")
        if kind == "ack" and frame["command"] != "abort":
            assert self.busy is None, "one at a time"
            assert frame["command"] in LATER
            self.busy = ident
        elif kind == "response":
            self.kinds["failure"] += not frame["success"]
            if ident is not None:
                assert self.waiting.pop(ident) == frame["command"], "one answer to each command"
                self.data[ident] = frame
            if ident is not None and ident == self.busy:
                self.busy = None
        elif kind == "event":
            if frame.get("replayed"):
                assert frame["seq"] <= self.seq
                return
            assert frame["seq"] == self.seq + 1, "no gap"
            assert self.busy is not None, "no event between runs"
            self.seq += 1
            self.kinds[frame["event"]["kind"]] += 1
        elif kind == "approval_request" and frame.get("replayed"):
            assert frame["request_id"] in self.requests, "what comes again is open"
        elif kind == "approval_request":
            assert frame["request_id"] not in self.requests
            self.requests.append(frame["request_id"])
        elif kind == "approval_resolved":
            self.requests.remove(frame["request_id"])

    @invariant()
    def what_is_at_rest_is_whole(self) -> None:
        if not hasattr(self, "sessions"):
            return
        if self.busy is None and self.waiting:
            self.settle()  # an abort is answered right after what it has stopped
        session = self.sessions.agent.session
        check_legal(session.conversation.messages)
        if self.busy is not None:
            assert all(name == "abort" or ident == self.busy for ident, name in self.waiting.items())
            return
        assert not self.waiting, "nobody waits for an answer while nothing is done"
        assert not self.requests
        assert self.kinds["agent_start"] == self.kinds["agent_end"]
        assert self.kinds["tool_start"] == self.kinds["tool_end"]
        assert not self.puppet.open
        assert_legal_everywhere(session.conversation.messages)
        assert session.path is not None
        copy = shutil.copy(session.path, self.folder / "copy.jsonl")
        again = reopened(Path(copy))
        assert again.messages == session.conversation.messages
        assert (again.model, again.thinking) == (session.conversation.model, session.conversation.thinking)
        assert again.total_usage == session.conversation.total_usage

    def teardown(self) -> None:
        if hasattr(self, "sessions"):
            if self.busy is not None:
                self.send("abort")
            assert self.busy is None, "what is aborted ends"
            self.sessions.agent.session.close()
            os.close(self.descriptor)
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        assert not asyncio.all_tasks(self.loop), "no task is left behind"
        self.loop.close()
        self.patches.undo()
        shutil.rmtree(self.folder)


def test_any_order_of_commands() -> None:
    run_state_machine_as_test(Machine, settings=settings(max_examples=25, stateful_step_count=30, deadline=None))


@pytest.mark.long
def test_any_order_of_commands_for_long() -> None:
    """Run by `pytest -m long -n 0 tests/core/agent/test_serve_machine.py`."""
    run_state_machine_as_test(Machine, settings=settings(max_examples=300, stateful_step_count=60, deadline=None))
