"""Gets one whole and useful answer: makes the request, makes room for it, and asks again where that may help."""

from beyond_ai.agent.failure import ModelFailure
from beyond_ai.agent.loop.accumulator import Accumulator
from beyond_ai.agent.loop.answer_tokens import answer_tokens
from beyond_ai.agent.loop.compaction import Compactor
from beyond_ai.agent.loop.compaction_plan import Sizes
from beyond_ai.agent.loop.conversation import Conversation
from beyond_ai.agent.loop.history import flaw
from beyond_ai.agent.loop.parts import Parts
from beyond_ai.agent.loop.patience import Patience
from beyond_ai.agent.loop.requests import Requests
from beyond_ai.agent.loop.stop import Stop
from beyond_ai.agent.model import ModelFacts, ModelRequest
from beyond_ai.spec.conversation import Text, ToolUse


class Answering:
    """The answers of one run."""

    def __init__(
        self,
        parts: Parts,
        *,
        conversation: Conversation,
        requests: Requests,
        compactor: Compactor,
        system: str,
        stop: Stop,
    ) -> None:
        self._parts = parts
        self._conversation = conversation
        self._requests = requests
        self._compactor = compactor
        self._system = system
        self._stop = stop

    async def keep_small(self) -> None:
        """Condense the conversation when it is due. That it fails is told and ends nothing."""
        sizes = self._sizes()
        reason = self._compactor.due(sizes)
        if reason is not None:
            await self._compactor.compact(sizes, reason)
            self._compactor.guard(sizes)

    async def answer(self) -> Accumulator:
        """The next answer, which stays open. Raises ModelFailure, BudgetUsed and Stopped."""
        patience = Patience(self._parts.settings, self._parts.clock)
        made_room = asked_again = False
        while True:
            request = await self._request()
            try:
                answer = await self._requests.answer(request, patience, show=True)
            except ModelFailure as failure:
                if failure.code != "context_overflow" or made_room:
                    raise
                made_room = True
                await self._make_room(failure)
                continue
            if not made_room and self._overran(answer, request):
                made_room = True
                self._requests.discard()
                await self._make_room(ModelFailure("context_overflow", "the window was full before the answer's end"))
                continue
            problem = _useless(answer)
            if problem is None:
                return answer
            no_answer = ModelFailure("no_answer", problem)
            if asked_again:
                raise no_answer
            asked_again = True
            await self._requests.again(no_answer, patience)

    async def _request(self) -> ModelRequest:
        conversation, settings = self._conversation, self._parts.settings
        problem = flaw(conversation.messages)
        if problem is not None:  # the dialect mends it
            await self._parts.emitter.notice(f"the conversation is out of order: {problem}")
        with self._stop.interrupting():
            messages = await self._parts.hooks.context(conversation.messages)
        live = self._compactor.live_tokens
        return ModelRequest(
            model=conversation.model,
            system=self._system,
            messages=messages,
            tools=self._parts.tools.definitions,
            max_tokens=answer_tokens(settings.max_tokens, self._facts(), live, conversation.thinking),
            thinking=conversation.thinking,
            temperature=settings.temperature,
            cache_key=settings.cache_key,
            cache_long=settings.cache_long,
            output_schema=settings.output_schema,
        )

    async def _make_room(self, failure: ModelFailure) -> None:
        self._requests.discard()
        sizes = self._sizes()
        result = await self._compactor.compact(sizes, "overflow")
        if result != "compacted":
            raise ModelFailure(
                "context_overflow",
                f"{failure.message}; older messages could not be condensed ({result.replace('_', ' ')}). "
                "Start a new session, or take a model with a larger window.",
                status=failure.status,
            )
        self._compactor.guard(sizes)

    def _overran(self, answer: Accumulator, request: ModelRequest) -> bool:
        """Whether ANSWER was cut because the window was full, though the provider did not call it an overflow."""
        if answer.stop_reason != "max_tokens" or any(isinstance(block, ToolUse) for block in answer.content):
            return False
        live = max(self._compactor.live_tokens, answer.usage.prompt_tokens)
        return live + max(answer.usage.output_tokens, request.max_tokens or 0) >= self._sizes().window

    def _facts(self) -> ModelFacts:
        return self._parts.transport.facts(self._conversation.model)

    def _sizes(self) -> Sizes:
        return Sizes.of(self._parts.settings.compaction, self._facts())


def _useless(answer: Accumulator) -> str | None:
    """Why nothing can be done with ANSWER; None when something can."""
    content = answer.content
    if answer.stop_reason == "refusal" or any(isinstance(block, ToolUse) for block in content):
        return None
    if answer.stop_reason in ("other", "error", "aborted"):
        return "the answer ended for a reason that is not known"
    if any(isinstance(block, Text) and block.text.strip() for block in content):
        return None
    if answer.stop_reason == "max_tokens":
        return "the answer reached its token limit before it said anything; allow it more, or less reasoning"
    return "the answer was empty"
