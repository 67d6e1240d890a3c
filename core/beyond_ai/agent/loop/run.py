"""One run: from a prompt to its end, turn by turn."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from beyond_ai.agent.failure import FailureCode, ModelFailure
from beyond_ai.agent.loop.answering import Answering
from beyond_ai.agent.loop.compaction import CompactionResult, Compactor
from beyond_ai.agent.loop.compaction_plan import Sizes
from beyond_ai.agent.loop.control import Lane, Waiting
from beyond_ai.agent.loop.conversation import Conversation
from beyond_ai.agent.loop.history import CONTINUE, closed
from beyond_ai.agent.loop.outcome import RunOutcome
from beyond_ai.agent.loop.parts import Parts
from beyond_ai.agent.loop.repeats import Repeats
from beyond_ai.agent.loop.requests import Requests
from beyond_ai.agent.loop.size import definition_tokens, tokens
from beyond_ai.agent.loop.stop import INTERRUPTIONS, Stop, Stopped
from beyond_ai.agent.loop.summariser import Summariser
from beyond_ai.agent.loop.tally import BudgetUsed, Tally, seconds_used
from beyond_ai.agent.loop.tool_phase import ToolPhase
from beyond_ai.spec.agent_event import (
    AgentEnd,
    AgentStart,
    ErrorEvent,
    ModelSwitched,
    RunStatus,
    Steered,
    TurnEnd,
    TurnStart,
)
from beyond_ai.spec.conversation import Block, Message, StopReason, Text, TokenUsage, ToolUse

LOST: Final = "The agent ended before this call had a result. It may have been run in part."


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ends."""

    status: RunStatus
    code: FailureCode | None = None
    message: str | None = None


class Run:
    """One run over one conversation."""

    def __init__(self, parts: Parts, conversation: Conversation, stop: Stop) -> None:
        self._parts = parts
        self._emitter = parts.emitter
        self._conversation = conversation
        self._stop = stop
        self._tally = Tally(parts.clock.now())
        self._repeats = Repeats()
        self._requests = Requests(
            transport=parts.transport,
            conversation=conversation,
            emitter=parts.emitter,
            settings=parts.settings,
            clock=parts.clock,
            stop=stop,
            tally=self._tally,
        )
        self._text = ""
        self._saved = len(conversation.entries)
        self._unsaved = False
        """whether saving has failed, which ends a run with that as its reason"""

    async def run(self, prompt: Message | None) -> RunOutcome:
        """Answer PROMPT, or go on without one. Whatever happens there is one `agent_end`; cancellation is passed on."""
        interruption: BaseException | None = None
        alarm = self._set_alarm()
        try:
            ending = await self._guarded(prompt)
        except INTERRUPTIONS as error:  # raised again below, after the end was told
            interruption, ending = error, Ending("cancelled", "cancelled", "the run was cancelled")
        finally:
            if alarm is not None:
                alarm.cancel()
        try:
            ending = await self._save_rest(ending)
            if ending.status == "failed":
                await self._emitter(ErrorEvent(code=ending.code or "internal", message=ending.message or ""))
        except INTERRUPTIONS as error:
            interruption = interruption or error
        outcome = self._outcome(ending)
        await self._emitter(
            AgentEnd(
                status=outcome.status,
                steps=outcome.steps,
                requests=outcome.requests,
                retries=outcome.retries,
                total_usage=outcome.usage,
                seconds=outcome.seconds,
                code=outcome.code,
                message=outcome.message,
            )
        )
        if interruption is not None:
            raise interruption
        return outcome

    async def compact(self, instructions: str | None) -> CompactionResult:
        """Condense the conversation because somebody asked for it."""
        try:
            _, compactor = await self._prepare()
            facts = self._parts.transport.facts(self._conversation.model)
            sizes = Sizes.of(self._parts.settings.compaction, facts)
            result = await compactor.compact(sizes, "manual", instructions)
        except Stopped:
            self._requests.discard()
            result = "cancelled"
        await self._save()
        return result

    async def summarise(self, messages: tuple[Message, ...], instructions: str | None) -> str:
        """MESSAGES, condensed because somebody asked for it. Raises ModelFailure."""
        parts = self._parts
        sizes = Sizes.of(parts.settings.compaction, parts.transport.facts(self._conversation.model))
        summariser = Summariser(
            conversation=self._conversation, requests=self._requests, settings=parts.settings, clock=parts.clock
        )
        try:
            return await summariser.summary(messages, sizes, window=sizes.window, instructions=instructions)
        except Stopped:
            raise ModelFailure("cancelled", "the summary was cancelled") from None
        except BudgetUsed as used:
            raise ModelFailure("budget", str(used)) from None
        finally:
            self._requests.discard()
            await self._save()

    # the way through

    async def _guarded(self, prompt: Message | None) -> Ending:
        try:
            await self._emitter(AgentStart(model=self._conversation.model, limits=self._parts.settings.limits))
            return await self._drive(prompt)
        except Stopped:
            if self._stop.cause == "budget":
                return Ending("budget", "budget", seconds_used(self._parts.settings.max_seconds or 0))
            return Ending("cancelled", "cancelled", "the run was cancelled")
        except BudgetUsed as used:
            return Ending("budget", "budget", str(used))
        except ModelFailure as failure:
            return Ending("failed", failure.code, failure.message)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            return Ending("failed", "internal", "a part of the run has cancelled itself")
        except Exception as error:  # noqa: BLE001 - a defect of ours or of the shell's ends the run, not the program
            return Ending("failed", "internal", f"{type(error).__name__}: {error}")

    async def _drive(self, prompt: Message | None) -> Ending:
        await self._open(prompt)
        await self._save()
        answering, _ = await self._prepare()
        while True:
            self._stop.check()
            self._tally.check_turn(self._parts.settings, self._parts.clock.now())
            await self._switch()
            await answering.keep_small()
            ending = await self._turn(answering)
            if ending is not None:
                return ending

    async def _open(self, prompt: Message | None) -> None:
        """Put PROMPT, and what waited for it, into the conversation; close what an earlier run left open."""
        conversation = self._conversation
        waiting = self._parts.control.take("next_turn")
        asked: tuple[Block, ...] = _blocks(waiting) + (prompt.content if prompt is not None else ())
        last = conversation.last
        lost = closed(conversation.unanswered, LOST)
        if last is not None and last.role == "user":
            if not asked:
                return  # it has not been answered yet
            self._conversation.append(Message(role="assistant", content=(), stop_reason="aborted"))
        elif not asked and not lost:
            if last is None or last.stop_reason not in ("aborted", "error", "max_tokens"):
                raise ModelFailure("config", "there is nothing to answer: give a prompt")
            asked = (Text(text=CONTINUE),)
        conversation.append(Message(role="user", content=(*lost, *asked)))
        await self._steered("next_turn", waiting)

    async def _prepare(self) -> tuple[Answering, Compactor]:
        parts = self._parts
        with self._stop.interrupting():
            sections = await parts.hooks.sections()
        system = "\n\n".join(section for section in (parts.system_prompt(), *sections) if section)
        compactor = Compactor(
            conversation=self._conversation,
            requests=self._requests,
            tools=parts.tools,
            emitter=parts.emitter,
            settings=parts.settings,
            clock=parts.clock,
            overhead=tokens(len(system)) + definition_tokens(parts.tools.definitions),
        )
        answering = Answering(
            parts,
            conversation=self._conversation,
            requests=self._requests,
            compactor=compactor,
            system=system,
            stop=self._stop,
        )
        return answering, compactor

    async def _switch(self) -> None:
        switch = self._parts.control.take_switch()
        if switch is not None:
            model = switch.model or self._conversation.model
            thinking = switch.thinking or self._conversation.thinking
            self._conversation.switch(model, thinking)
            await self._emitter(ModelSwitched(model=model, thinking=thinking))

    async def _turn(self, answering: Answering) -> Ending | None:
        self._tally.steps += 1
        await self._emitter(TurnStart(step=self._tally.steps))
        message = await self._answer(answering)
        if message.stop_reason == "refusal":
            return Ending("refused", "refused", message.text or "the model refused to answer")
        if message.tool_uses:
            return await self._run_tools(message)
        await self._save()
        if message.stop_reason == "max_tokens":
            await self._emitter.notice("the answer was cut: it reached its token limit")
        return await self._go_on(message)

    async def _answer(self, answering: Answering) -> Message:
        """The next message of the model's, which is in the conversation then; also what there is of a broken one."""
        try:
            answer = await answering.answer()
            assert answer.stop_reason is not None
            content = await self._rewritten(answer.content, answer.stop_reason)
        except (Stopped, BudgetUsed, *INTERRUPTIONS):
            await self._keep_partial("aborted", None)
            raise
        except Exception as error:
            await self._keep_partial("error", str(error))
            raise
        if answer.stop_reason == "refusal":  # what it calls all the same is not run, and would have no results
            content = tuple(block for block in content if not isinstance(block, ToolUse))
        return await self._keep(content, answer.stop_reason, None)

    async def _rewritten(self, content: tuple[Block, ...], stop_reason: StopReason) -> tuple[Block, ...]:
        """The answer CONTENT as hooks would have it."""
        model = self._conversation.model
        with self._stop.interrupting():
            message = Message(role="assistant", content=content, model_id=model, stop_reason=stop_reason)
            return (await self._parts.hooks.message(message)).content

    async def _keep_partial(self, stop_reason: StopReason, error: str | None) -> None:
        content = self._requests.open.partial if self._requests.open is not None else ()
        if content:
            await self._keep(content, stop_reason, error)
        else:
            self._requests.discard()
            await self._end_turn(Message(role="assistant", content=(), stop_reason=stop_reason))

    async def _keep(self, content: tuple[Block, ...], stop_reason: StopReason, error: str | None) -> Message:
        message = Message(
            role="assistant",
            content=content,
            model_id=self._conversation.model,
            usage=self._requests.keep(),
            stop_reason=stop_reason,
            error_message=error,
        )
        self._conversation.append(message)
        await self._end_turn(message)
        return message

    async def _end_turn(self, message: Message) -> None:
        self._text = message.text or self._text
        await self._emitter(
            TurnEnd(
                step=self._tally.steps,
                stop_reason=message.stop_reason or "other",
                text=message.text,
                turn_usage=message.usage or TokenUsage(),
                total_usage=self._tally.usage,
            )
        )

    async def _run_tools(self, message: Message) -> Ending | None:
        parts = self._parts
        calls = message.tool_uses
        phase = ToolPhase(
            calls,
            cut=_cut_call(message),
            tools=parts.tools,
            hooks=parts.hooks,
            emitter=parts.emitter,
            settings=parts.settings,
            clock=parts.clock,
            stop=self._stop,
            tool_context=parts.tool_context,
        )
        try:
            await self._save(", so no tool was run")
            await phase.run()
        except (Exception, *INTERRUPTIONS):
            await self._keep_results(phase)
            raise
        lanes: tuple[Lane, ...] = ("steer", "follow_up") if phase.terminates else ("steer",)
        heard = await self._keep_results(phase, *lanes)
        await self._save()
        if self._repeats.just_told:
            await self._emitter.notice(
                f"{self._repeats.name} fails again and again in the same way; the model was told"
            )
        if self._repeats.stuck:
            raise ModelFailure(
                "tool",
                f"the model sends the same failing call of {self._repeats.name} again and again, though it was told",
            )
        done = (phase.terminates and not heard) or parts.control.stopping
        return Ending("done") if done or await self._stops_after(message) else None

    async def _stops_after(self, message: Message) -> bool:
        with self._stop.interrupting():
            return await self._parts.hooks.stop_after(message)

    async def _keep_results(self, phase: ToolPhase, *lanes: Lane) -> bool:
        """Put one message with all results into the conversation, and with it what waits in LANES, if anything."""
        ends = phase.close()
        waiting = {lane: self._parts.control.take(lane) for lane in lanes}
        said = [block for messages in waiting.values() for block in _blocks(messages)]
        self._conversation.append(Message(role="user", content=(*phase.outputs(self._repeats), *said)))
        for end in ends:
            await self._emitter(end)
        for lane, messages in waiting.items():
            await self._steered(lane, messages)
        return bool(said)

    async def _go_on(self, message: Message) -> Ending | None:
        """After MESSAGE, an answer without calls: the end, unless messages wait."""
        control = self._parts.control
        if control.stopping or await self._stops_after(message):
            return Ending("done")
        lanes: tuple[Lane, ...] = ("follow_up", "steer")
        waiting = {lane: control.take(lane) for lane in lanes}
        said = [block for messages in waiting.values() for block in _blocks(messages)]
        if not said:
            return Ending("done")
        self._conversation.append(Message(role="user", content=tuple(said)))
        for lane, messages in waiting.items():
            await self._steered(lane, messages)
        await self._save()
        return None

    async def _steered(self, lane: Lane, waiting: Sequence[Waiting]) -> None:
        if waiting:
            await self._emitter(Steered(lane=lane, messages=tuple(message.text for message in waiting)))

    # the end

    async def _save(self, consequence: str = "") -> None:
        try:
            await self._parts.checkpoint(self._conversation)
        except ModelFailure:
            raise
        except Exception as error:
            self._unsaved = True
            raise ModelFailure("internal", f"the session could not be saved{consequence}: {error}") from error
        self._saved = len(self._conversation.entries)

    async def _save_rest(self, ending: Ending) -> Ending:
        """Save what came after the last checkpoint. That it fails makes a failure of what was none."""
        if self._saved == len(self._conversation.entries):
            return ending
        told = self._unsaved
        try:
            await self._save()
        except ModelFailure as failure:
            if ending.status == "done":
                return Ending("failed", failure.code, failure.message)
            if not told:
                await self._emitter.notice(failure.message)
        return ending

    def _set_alarm(self) -> asyncio.Task[None] | None:
        seconds = self._parts.settings.max_seconds
        return None if seconds is None else asyncio.ensure_future(self._ring_after(seconds))

    async def _ring_after(self, seconds: float) -> None:
        await self._parts.clock.sleep(seconds)
        self._stop.request("budget")

    def _outcome(self, ending: Ending) -> RunOutcome:
        tally = self._tally
        return RunOutcome(
            status=ending.status,
            code=ending.code,
            message=ending.message,
            text=self._text,
            steps=tally.steps,
            requests=tally.requests,
            retries=tally.retries,
            usage=tally.usage,
            seconds=self._parts.clock.now() - tally.started,
        )


def _blocks(waiting: Sequence[Waiting]) -> tuple[Block, ...]:
    return tuple(block for message in waiting for block in message.content)


def _cut_call(message: Message) -> ToolUse | None:
    """The call of MESSAGE that a token limit broke off. Without arguments it only looks whole."""
    last = message.content[-1]
    cut = message.stop_reason == "max_tokens" and isinstance(last, ToolUse)
    return last if cut and isinstance(last, ToolUse) and (last.malformed is not None or not last.input) else None
