"""Makes any conversation one that a provider takes.

Histories get out of shape: a run is cancelled between a call and its result, an answer breaks off empty, a hook or a
summary cuts a message out, another model wrote the first half. What comes out here always starts and ends with the
user, alternates, has one result for every call right after it, and holds nothing that is empty.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from beyond_ai.spec.conversation import (
    Block,
    Image,
    Message,
    RedactedThinking,
    Text,
    Thinking,
    ToolOutput,
    ToolUse,
)

NO_ANSWER: Final = "(no answer)"
CUT_SHORT: Final = "(the answer was cut short)"
NO_TEXT: Final = "(empty message)"
BEGINNING: Final = "(the beginning of this conversation was left out)"
GO_ON: Final = "Continue."
NO_RESULT: Final = "No result: the call was interrupted before it was finished. It may have had effects."
NO_OUTPUT: Final = "(no output)"
NO_IMAGE: Final = "(an image was left out: this model takes no images)"
NO_TOOL_IMAGE: Final = "(the tool's image was left out: this model takes no images)"
_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9_-]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a wire asks for.

    Attributes:
        model: who is to answer. What only its author can read is not sent to another model.
        images: whether it takes images.
        thinking: what becomes of the reasoning of a message of this model's; None leaves it out. That of other models
            becomes text.
        redacted: whether reasoning that only the provider can read is sent back.
        call_id: an id as the wire takes it. Ids that become equal are told apart.
    """

    model: str
    images: bool
    thinking: Callable[[Thinking], Thinking | Text | None]
    redacted: bool
    call_id: Callable[[str], str]


def legal_history(messages: Sequence[Message], rules: Rules) -> tuple[Message, ...]:
    """MESSAGES as RULES ask for them, to be sent and never to be kept."""
    # Empty content first: an answer that is only a blank would otherwise count as one when calls are paired.
    cleaned = [_clean(message, rules) for message in messages]
    return tuple(_Pairing(rules).run(_join_users(cleaned)))


def _clean(message: Message, rules: Rules) -> Message:
    own = message.model_id == rules.model
    blocks = [cleaned for block in message.content if (cleaned := _clean_block(block, message.role, own, rules))]
    if message.role == "user":
        return replace(message, content=tuple(_collapse(blocks)))
    if all(isinstance(block, Thinking | RedactedThinking) for block in blocks):
        broken = message.stop_reason in ("aborted", "error")
        blocks.append(Text(text=CUT_SHORT if broken else NO_ANSWER))
    return replace(message, content=tuple(blocks))


def _clean_block(block: Block, role: str, own: bool, rules: Rules) -> Block | None:
    if isinstance(block, Text):
        return (block if own else Text(text=block.text)) if block.text.strip() else None
    if role == "user":
        return _clean_users(block, rules)
    if isinstance(block, Thinking):
        return _clean_thinking(rules.thinking(block) if own else Text(text=block.thinking))
    if isinstance(block, RedactedThinking):
        return block if own and rules.redacted else None
    if isinstance(block, ToolUse):
        return _clean_call(block, own)
    return None


def _clean_thinking(kept: Thinking | Text | None) -> Thinking | Text | None:
    if isinstance(kept, Text):
        return kept if kept.text.strip() else None
    return kept if kept and (kept.signature or kept.thinking.strip()) else None


def _clean_call(call: ToolUse, own: bool) -> ToolUse:
    """CALL with a name that every provider takes. Arguments that were no JSON are gone: they must not be sent again."""
    name = _NOT_IN_NAMES.sub("_", call.name)[:64] or "unnamed"
    return ToolUse(
        id=call.id if own else call.id.partition("|")[0],
        name=name,
        input={} if call.malformed is not None else call.input,
        signature=call.signature if own else None,
    )


def _clean_users(block: Block, rules: Rules) -> Block | None:
    if isinstance(block, Image):
        return block if rules.images else Text(text=NO_IMAGE)
    if isinstance(block, ToolOutput):
        text, images = block.content, block.images
        if images and not rules.images:
            text, images = f"{text}\n{NO_TOOL_IMAGE}".strip(), ()
        if not text.strip():
            text = "" if images else NO_OUTPUT
        return replace(block, content=text, images=images)
    return None


def _collapse(blocks: Sequence[Block]) -> list[Block]:
    """BLOCKS with one placeholder where there were several in a row."""
    kept: list[Block] = []
    for block in blocks:
        if not (isinstance(block, Text) and block.text == NO_IMAGE and kept and kept[-1] == block):
            kept.append(block)
    return kept


def _join_users(messages: Sequence[Message]) -> list[Message]:
    """MESSAGES with one where several of the user's stood in a row: their results belong to the same calls."""
    joined: list[Message] = []
    for message in messages:
        if joined and joined[-1].role == message.role == "user":
            joined[-1] = replace(joined[-1], content=joined[-1].content + message.content)
        else:
            joined.append(message)
    return joined


class _Pairing:
    """Goes through the messages, gives calls their ids and their results, and keeps the roles alternating."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._out: list[Message] = []
        self._open: list[tuple[str, str]] = []  # id as it was, id on the wire; of the last message's calls
        self._ids: set[str] = set()

    def run(self, messages: Sequence[Message]) -> list[Message]:
        for message in messages:
            if message.role == "user":
                self._user(message)
            else:
                self._assistant(message)
        if self._open or not self._out:
            self._user(Message(role="user", content=()))
        elif self._out[-1].role == "assistant":
            self._user(Message(role="user", content=(Text(text=GO_ON),)))
        return self._out

    def _assistant(self, message: Message) -> None:
        if self._open:
            self._user(Message(role="user", content=()))
        if not self._out:
            self._out.append(Message(role="user", content=(Text(text=BEGINNING),)))
        content = tuple(self._with_id(block) if isinstance(block, ToolUse) else block for block in message.content)
        if self._out[-1].role == "assistant":
            self._out[-1] = replace(self._out[-1], content=self._out[-1].content + content)
        else:
            self._out.append(replace(message, content=content))

    def _with_id(self, call: ToolUse) -> ToolUse:
        wire_id = self._rules.call_id(call.id)
        number = 1
        while _called(wire_id) in self._ids:
            number += 1
            wire_id = self._rules.call_id(f"{_called(call.id)}_{number}")
        self._ids.add(_called(wire_id))
        self._open.append((call.id, wire_id))
        return replace(call, id=wire_id)

    def _user(self, message: Message) -> None:
        answers: dict[str, ToolOutput] = {}
        others: list[Block] = []
        for block in message.content:
            if not isinstance(block, ToolOutput):
                others.append(block)
            elif wire_id := self._answered(block.tool_use_id, answers):
                answers[wire_id] = replace(block, tool_use_id=wire_id)
            else:
                others += _as_text(block)
        results: list[Block] = [
            answers.get(wire_id) or ToolOutput(tool_use_id=wire_id, content=NO_RESULT, is_error=True)
            for _, wire_id in self._open
        ]
        self._open = []
        content = (*results, *others) or (Text(text=NO_TEXT),)
        self._out.append(replace(message, content=content))

    def _answered(self, call_id: str, answers: dict[str, ToolOutput]) -> str | None:
        """The open call, as the wire names it, that CALL_ID is: calls may share an id, and then go by their order."""
        for original, wire_id in self._open:
            same = original == call_id or _called(original) == _called(call_id)
            if same and wire_id not in answers:
                return wire_id
        return None


def _as_text(result: ToolOutput) -> list[Block]:
    """A RESULT whose call is gone."""
    return [Text(text=f"Result of an earlier call: {result.content or NO_OUTPUT}"), *result.images]


def _called(call_id: str) -> str:
    """The part of CALL_ID that a result goes by: Responses has a second one."""
    return call_id.partition("|")[0]
