"""Makes requests and reads their answers, retries included."""

from collections.abc import AsyncIterator

from beyond_ai.agent.failure import ModelFailure
from beyond_ai.agent.loop.accumulator import Accumulator
from beyond_ai.agent.loop.conversation import Conversation, SpendReason
from beyond_ai.agent.loop.emitter import Emitter
from beyond_ai.agent.loop.patience import Patience
from beyond_ai.agent.loop.settings import Clock, LoopSettings
from beyond_ai.agent.loop.stop import Stop
from beyond_ai.agent.loop.tally import Tally
from beyond_ai.agent.model import LeftOut, ModelRequest, ModelTransport, StreamEvent
from beyond_ai.spec.agent_event import Retry
from beyond_ai.spec.conversation import TokenUsage


class Requests:
    """The requests of one run.

    Attributes:
        open: the answer that is being read, or was and is neither kept nor discarded; None between answers.
    """

    def __init__(
        self,
        *,
        transport: ModelTransport,
        conversation: Conversation,
        emitter: Emitter,
        settings: LoopSettings,
        clock: Clock,
        stop: Stop,
        tally: Tally,
    ) -> None:
        self._transport = transport
        self._conversation = conversation
        self._emitter = emitter
        self._settings = settings
        self._clock = clock
        self._stop = stop
        self._tally = tally
        self.open: Accumulator | None = None
        self._told: set[tuple[str, str]] = set()

    async def answer(self, request: ModelRequest, patience: Patience, *, show: bool) -> Accumulator:
        """The whole answer to REQUEST; with SHOW its deltas are events. Raises ModelFailure, BudgetUsed, Stopped.

        It stays open until it is kept or discarded.
        """
        while True:
            try:
                return await self._once(request, show=show)
            except ModelFailure as failure:
                delay = patience.delay_after(failure)
                await self.again(failure, patience, delay, patience.attempt, patience.attempts)

    async def again(
        self, failure: ModelFailure, patience: Patience, delay: float = 0.0, attempt: int = 1, attempts: int = 1
    ) -> None:
        """Discard what is open, say that the request is made again because of FAILURE, and wait for DELAY seconds."""
        self.discard()
        await self._emitter(
            Retry(
                attempt=attempt,
                attempts=attempts,
                delay=delay,
                time_left=patience.time_left,
                code=failure.code,
                message=failure.message,
                status=failure.status,
            )
        )
        with self._stop.interrupting():
            await self._clock.sleep(delay)
        self._tally.retries += 1

    def keep(self) -> TokenUsage:
        """The open answer becomes a message, which carries its usage; return that."""
        assert self.open is not None
        usage, self.open = self.open.usage, None
        self._tally.usage += usage
        return usage

    def discard(self, reason: SpendReason = "retry") -> None:
        """Forget the answer that is open, if any; what it has cost is noted."""
        if self.open is not None:
            self._conversation.spend(self.open.usage, reason)
            self.keep()

    async def _once(self, request: ModelRequest, *, show: bool) -> Accumulator:
        self._tally.check(self._settings, self._clock.now())
        self._tally.requests += 1
        self.open = answer = Accumulator()
        stream = self._transport.stream(request)
        try:
            await self._read(stream, answer, show=show)
        finally:
            close = getattr(stream, "aclose", None)
            if close is not None:
                await close()
        if answer.stop_reason is None:
            raise ModelFailure("network", "the answer broke off before its end", retryable=True)
        return answer

    async def _left_out(self, setting: str) -> None:
        """Tell, once for each model, that its requests go without SETTING."""
        model = self._conversation.model
        if (model, setting) not in self._told:
            self._told.add((model, setting))
            await self._emitter.notice(f"{model} takes no {setting} as it is asked here: it is left out")

    async def _read(self, stream: AsyncIterator[StreamEvent], answer: Accumulator, *, show: bool) -> None:
        while True:
            try:
                with self._stop.interrupting():
                    event = await anext(stream)
            except StopAsyncIteration:
                return
            if isinstance(event, LeftOut):
                await self._left_out(event.setting)
                continue
            delta = answer.add(event)
            if delta is not None and show and delta.text:
                await self._emitter(delta)
