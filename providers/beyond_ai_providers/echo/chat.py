"""The wire `/chat/completions`: https://platform.openai.com/docs/api-reference/chat."""

from collections.abc import Iterator
from typing import Final, Literal

from pydantic import Field

from beyond_ai_providers.echo.answer import Answer, answer
from beyond_ai_providers.echo.conversation import Choice, Conversation, Role, Turn
from beyond_ai_providers.echo.parts import AnyToolChoice, Content, Limit, Schema, lowest, offered, text_of
from beyond_ai_providers.echo.reply import Body, Call, Reply, data_event, json_reply, stream_reply


class CalledFunction(Body):
    """The function in a tool call; `arguments` is JSON text."""

    name: str
    arguments: str = ""


class ChatToolCall(Body):
    """A tool call of an earlier answer; a custom tool's has no function."""

    function: CalledFunction | None = None


class Message(Body):
    """One message of the conversation."""

    role: str
    content: Content = Field(default=[])
    tool_calls: list[ChatToolCall] | None = None


class Function(Body):
    """A function that is offered."""

    name: str
    description: str | None = None
    parameters: Schema | None = None


class ChatTool(Body):
    """A tool that is offered; echo calls functions only."""

    function: Function | None = None


class StreamOptions(Body):
    """How to stream; `include_usage` asks for a last chunk with the usage."""

    include_usage: bool | None = None


class ChatRequest(Body):
    """The request body."""

    model: str = Field(min_length=1)
    messages: list[Message] = Field(min_length=1)
    tools: list[ChatTool] | None = None
    tool_choice: AnyToolChoice | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Limit | None = None
    max_completion_tokens: Limit | None = None
    n: Literal[1] | None = None

    def conversation(self, limit: int) -> Conversation:
        """What is asked, within LIMIT tokens of ours."""
        functions = [tool.function for tool in self.tools or () if tool.function]
        return Conversation(
            turns=[turn for message in self.messages for turn in turns_of(message)],
            tools=[offered(function.name, function.parameters, function) for function in functions],
            choice=self.tool_choice.choice() if self.tool_choice else Choice.AUTO,
            limit=lowest(limit, self.max_tokens, self.max_completion_tokens),
        )


ROLES: Final = {"user": Role.USER, "assistant": Role.MODEL, "tool": Role.RESULT, "function": Role.RESULT}


def turns_of(message: Message) -> Iterator[Turn]:
    """MESSAGE as turns; system and developer messages are notes."""
    text = text_of(message.content)
    role = ROLES.get(message.role, Role.NOTE)
    if text or role is Role.RESULT:
        yield Turn(role, text)
    for call in message.tool_calls or ():
        if call.function:
            yield Turn(Role.CALL, f"{call.function.name} {call.function.arguments}")


def reply(call: Call) -> Reply:
    """Answer one request."""
    request = call.read(ChatRequest)
    conversation = request.conversation(call.limit)
    given = answer(conversation)
    usage = usage_of(conversation.input_tokens(), given)
    if request.stream:
        shown = usage if request.stream_options and request.stream_options.include_usage else None
        return stream_reply(chunks(call, request.model, given, shown))
    choice = {"index": 0, "message": message_of(call, given), "logprobs": None, "finish_reason": finish_reason(given)}
    return json_reply({**envelope(call, request.model, "chat.completion"), "choices": [choice], "usage": usage})


def chunks(call: Call, model: str, given: Answer, usage: dict[str, object] | None) -> Iterator[bytes]:
    """The events of a streamed answer; USAGE is None where the client did not ask for it."""
    head = envelope(call, model, "chat.completion.chunk")

    def chunk(delta: dict[str, object], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return data_event({**head, "choices": [choice], **({"usage": None} if usage else {})})

    if given.call:
        function = {"name": given.call.name, "arguments": ""}
        opened = {"index": 0, "id": f"call_{call.id}", "type": "function", "function": function}
        yield chunk({"role": "assistant", "content": None, "tool_calls": [opened]})
        for token in given.tokens:
            yield chunk({"tool_calls": [{"index": 0, "function": {"arguments": token}}]})
    else:
        yield chunk({"role": "assistant", "content": "", "refusal": None})
        for token in given.tokens:
            yield chunk({"content": token})
    yield chunk({}, finish_reason(given))
    if usage:
        yield data_event({**head, "choices": [], "usage": usage})
    yield b"data: [DONE]\n\n"


def envelope(call: Call, model: str, kind: str) -> dict[str, object]:
    """The members that every object of a completion begins with."""
    return {"id": f"chatcmpl-{call.id}", "object": kind, "created": call.time, "model": model}


def message_of(call: Call, given: Answer) -> dict[str, object]:
    """The assistant's message."""
    if not given.call:
        return {"role": "assistant", "content": given.text, "refusal": None}
    function = {"name": given.call.name, "arguments": given.text}
    called = {"id": f"call_{call.id}", "type": "function", "function": function}
    return {"role": "assistant", "content": None, "refusal": None, "tool_calls": [called]}


def finish_reason(given: Answer) -> str:
    """Why the answer ended."""
    if given.call:
        return "tool_calls"
    return "length" if given.cut else "stop"


def usage_of(input_tokens: int, given: Answer) -> dict[str, object]:
    """The usage object of the completions wires."""
    return {
        "prompt_tokens": input_tokens,
        "completion_tokens": given.output_tokens(),
        "total_tokens": input_tokens + given.output_tokens(),
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }
