"""The wire `/messages` and its `/count_tokens`: https://docs.claude.com/en/api/messages."""

from collections.abc import Iterator, Sequence
from typing import Annotated

import orjson
from pydantic import BeforeValidator, Field, JsonValue

from beyond_ai_providers.echo.answer import Answer, answer
from beyond_ai_providers.echo.conversation import Choice, Conversation, Role, Turn
from beyond_ai_providers.echo.parts import (
    AnyToolChoice,
    Content,
    Limit,
    Part,
    Schema,
    ToolOutput,
    as_parts,
    lowest,
    offered,
    text_of,
)
from beyond_ai_providers.echo.reply import Body, Call, Reply, json_reply, named_event, stream_reply


class Block(Part):
    """One content block: text, a tool call (`name`, `input`) or a tool's result (`content`); others are passed over."""

    name: str | None = None
    input: dict[str, JsonValue] | None = None
    content: ToolOutput = Field(default=[])


class Message(Body):
    """One message of the conversation."""

    role: str
    content: Annotated[list[Block], BeforeValidator(as_parts)]


class Tool(Body):
    """A tool that is offered; the provider's own (`web_search_...`) have no schema and are never called."""

    name: str
    description: str | None = None
    input_schema: Schema | None = None


class CountRequest(Body):
    """The body of a token count, and what it shares with a message."""

    model: str = Field(min_length=1)
    messages: list[Message] = Field(min_length=1)
    system: Content = Field(default=[])
    tools: list[Tool] | None = None
    tool_choice: AnyToolChoice | None = None

    def conversation(self, limit: int) -> Conversation:
        """What is asked, within LIMIT tokens."""
        system = text_of(self.system)
        turns = [Turn(Role.NOTE, system)] if system else []
        turns.extend(turn for message in self.messages for turn in turns_of(message))
        return Conversation(
            turns=turns,
            tools=[offered(tool.name, tool.input_schema, tool) for tool in self.tools or () if tool.input_schema],
            choice=self.tool_choice.choice() if self.tool_choice else Choice.AUTO,
            limit=limit,
        )


class MessageRequest(CountRequest):
    """The body of a message."""

    max_tokens: Limit
    stream: bool | None = None


def turns_of(message: Message) -> Iterator[Turn]:
    """MESSAGE as turns. Text beside a tool's result is a remark on it, not a new question."""
    blocks = message.content
    beside = any(block.type == "tool_result" for block in blocks)
    speaker = Role.MODEL if message.role == "assistant" else Role.NOTE if beside else Role.USER
    if text := text_of(blocks):
        yield Turn(speaker, text)
    for block in blocks:
        if block.type == "tool_use" and block.name:
            yield Turn(Role.CALL, f"{block.name} {orjson.dumps(block.input or {}).decode()}")
        elif block.type == "tool_result":
            yield Turn(Role.RESULT, text_of(block.content))


def reply(call: Call) -> Reply:
    """Answer one request."""
    request = call.read(MessageRequest)
    conversation = request.conversation(lowest(call.limit, request.max_tokens))
    given = answer(conversation)
    message = message_of(call, request.model, conversation.input_tokens())
    if request.stream:
        return stream_reply(events(call, message, given))
    usage = {**empty_usage(conversation.input_tokens()), "output_tokens": given.output_tokens()}
    return json_reply({**message, "content": blocks_of(call, given), "stop_reason": stop_reason(given), "usage": usage})


def count_tokens(call: Call) -> Reply:
    """Say what a request would cost to read."""
    request = call.read(CountRequest)
    return json_reply({"input_tokens": request.conversation(call.limit).input_tokens()})


def events(call: Call, message: dict[str, object], given: Answer) -> Iterator[bytes]:
    """The events of a streamed answer."""
    yield named_event({"type": "message_start", "message": message})
    block: dict[str, object] = {"type": "text", "text": ""}
    delta, member = "text_delta", "text"
    if given.call:
        block = {"type": "tool_use", "id": f"toolu_{call.id}", "name": given.call.name, "input": {}}
        delta, member = "input_json_delta", "partial_json"
    yield named_event({"type": "content_block_start", "index": 0, "content_block": block})
    yield named_event({"type": "ping"})
    for token in given.tokens:
        yield named_event({"type": "content_block_delta", "index": 0, "delta": {"type": delta, member: token}})
    yield named_event({"type": "content_block_stop", "index": 0})
    yield named_event(
        {
            "type": "message_delta",
            "delta": {"stop_reason": stop_reason(given), "stop_sequence": None},
            "usage": {"output_tokens": given.output_tokens()},
        },
    )
    yield named_event({"type": "message_stop"})


def message_of(call: Call, model: str, input_tokens: int) -> dict[str, object]:
    """The message before anything is in it."""
    return {
        "id": f"msg_{call.id}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": empty_usage(input_tokens),
    }


def empty_usage(input_tokens: int) -> dict[str, object]:
    """The usage object of an answer with no output yet."""
    return {
        "input_tokens": input_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": 0,
    }


def blocks_of(call: Call, given: Answer) -> Sequence[dict[str, object]]:
    """The content of a whole answer."""
    if given.call:
        return [{"type": "tool_use", "id": f"toolu_{call.id}", "name": given.call.name, "input": given.call.arguments}]
    return [{"type": "text", "text": given.text}]


def stop_reason(given: Answer) -> str:
    """Why the answer ended."""
    if given.call:
        return "tool_use"
    return "max_tokens" if given.cut else "end_turn"
