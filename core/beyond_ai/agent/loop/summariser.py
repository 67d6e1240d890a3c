"""Asks the model of a conversation to condense a stretch of it."""

from typing import Final

from beyond_ai.agent.failure import ModelFailure
from beyond_ai.agent.loop.compaction_plan import Sizes
from beyond_ai.agent.loop.conversation import Conversation
from beyond_ai.agent.loop.patience import Patience
from beyond_ai.agent.loop.requests import Requests
from beyond_ai.agent.loop.settings import Clock, LoopSettings
from beyond_ai.agent.loop.summary_prompts import MORE, SYSTEM, WHOLE, block
from beyond_ai.agent.loop.transcript import transcript
from beyond_ai.agent.model import ModelRequest
from beyond_ai.spec.conversation import Message, Text

SUMMARY_SHARE: Final = 0.8
"""Of the reserve, for a summary."""
MARGIN_TOKENS: Final = 2_048
"""Left free beside the transcript, for instructions."""
TRANSCRIPT_CHARS_PER_TOKEN: Final = 3
"""Careful, since a transcript that is too long is refused."""


class Summariser:
    """Writes summaries; what they cost is noted in the conversation."""

    def __init__(self, *, conversation: Conversation, requests: Requests, settings: LoopSettings, clock: Clock) -> None:
        self._conversation = conversation
        self._requests = requests
        self._settings = settings
        self._clock = clock

    async def summary(
        self,
        messages: tuple[Message, ...],
        sizes: Sizes,
        *,
        window: int,
        share: float = SUMMARY_SHARE,
        previous: str = "",
        instructions: str | None = None,
        ask: str = "",
    ) -> str:
        """MESSAGES, condensed. Raises ModelFailure, BudgetUsed, Stopped.

        Args:
            messages: what is condensed.
            sizes: the figures of the model.
            window: tokens that the request may take at most.
            share: of the reserve, for the answer.
            previous: a summary of what came before MESSAGES, which is brought up to date.
            instructions: what to mind in particular.
            ask: in place of the usual question.
        """
        room = sizes.summary_tokens(share)
        chars = max(1_024, min(sizes.window, window) - room - MARGIN_TOKENS) * TRANSCRIPT_CHARS_PER_TOKEN
        text = transcript(messages, chars)
        if previous:
            prompt = block("previous-summary", previous) + block("new-activity", text) + f"\n\n{ask or MORE}"
        else:
            prompt = block("conversation", text) + f"\n\n{ask or WHOLE}"
        if instructions:
            prompt += f"\n\nThe user adds: {instructions}"
        request = ModelRequest(
            model=self._conversation.model,
            system=SYSTEM,
            messages=(Message(role="user", content=(Text(text=prompt.lstrip()),)),),
            max_tokens=room,
            thinking="off",
        )
        answer = await self._requests.answer(request, Patience(self._settings, self._clock), show=False)
        self._requests.discard("compaction")
        summary = "".join(part.text for part in answer.content if isinstance(part, Text)).strip()
        if not summary or answer.stop_reason == "refusal":
            raise ModelFailure("internal", "the model wrote no summary")
        return summary
