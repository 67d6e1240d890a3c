"""The wire `/responses` and its `/input_tokens`: https://platform.openai.com/docs/api-reference/responses."""

from collections.abc import Iterator
from itertools import count
from typing import Annotated

from pydantic import BeforeValidator, Field, JsonValue

from beyond_ai_providers.echo.answer import Answer, answer
from beyond_ai_providers.echo.conversation import Choice, Conversation, Role, Turn
from beyond_ai_providers.echo.parts import AnyToolChoice, Limit, Schema, ToolOutput, lowest, offered, text_of
from beyond_ai_providers.echo.reply import Body, Call, Refusal, Reply, json_reply, named_event, stream_reply


class Item(Body):
    """One input item: a message, a function call or a function's output; others are passed over."""

    type: str | None = None
    role: str | None = None
    content: ToolOutput = Field(default=[])
    name: str | None = None
    arguments: JsonValue = None
    output: ToolOutput = Field(default=[])


def _as_items(value: object) -> object:
    return [{"role": "user", "content": value}] if isinstance(value, str) else value


class FunctionTool(Body):
    """A tool that is offered; echo calls functions only."""

    type: str
    name: str | None = None
    description: str | None = None
    parameters: Schema | None = None
    strict: bool | None = None


class ResponseRequest(Body):
    """The request body."""

    model: str = Field(min_length=1)
    input: Annotated[list[Item], BeforeValidator(_as_items)]
    instructions: str | None = None
    tools: list[FunctionTool] | None = None
    tool_choice: AnyToolChoice | None = None
    stream: bool | None = None
    max_output_tokens: Limit | None = None
    previous_response_id: str | None = None

    def functions(self) -> list[FunctionTool]:
        """The functions among the tools."""
        return [tool for tool in self.tools or () if tool.type == "function" and tool.name]

    def conversation(self, limit: int) -> Conversation:
        """What is asked, within LIMIT tokens of ours."""
        if self.previous_response_id:
            raise Refusal(
                400,
                f"Previous response with id '{self.previous_response_id}' not found: echo stores no responses, "
                "send the whole conversation as `input`.",
                param="previous_response_id",
                code="previous_response_not_found",
            )
        turns = [Turn(Role.NOTE, self.instructions)] if self.instructions else []
        turns.extend(turn for item in self.input for turn in turns_of(item))
        return Conversation(
            turns=turns,
            tools=[offered(tool.name or "", tool.parameters, tool) for tool in self.functions()],
            choice=self.tool_choice.choice() if self.tool_choice else Choice.AUTO,
            limit=lowest(limit, self.max_output_tokens),
        )


def turns_of(item: Item) -> Iterator[Turn]:
    """ITEM as turns; system and developer messages are notes."""
    if item.type in {None, "message"}:
        role = {"user": Role.USER, "assistant": Role.MODEL}.get(item.role or "", Role.NOTE)
        if text := text_of(item.content):
            yield Turn(role, text)
    elif item.type == "function_call":
        yield Turn(Role.CALL, f"{item.name or ''} {item.arguments or ''}")
    elif item.type == "function_call_output":
        yield Turn(Role.RESULT, text_of(item.output))


def reply(call: Call) -> Reply:
    """Answer one request."""
    request = call.read(ResponseRequest)
    conversation = request.conversation(call.limit)
    given = answer(conversation)
    opened = response_of(call, request)
    closed = closing(call, opened, given, conversation.input_tokens())
    if request.stream:
        return stream_reply(events(call, given, opened, closed))
    return json_reply(closed)


def input_tokens(call: Call) -> Reply:
    """Say what a request would cost to read."""
    conversation = call.read(ResponseRequest).conversation(call.limit)
    return json_reply({"object": "response.input_tokens", "input_tokens": conversation.input_tokens()})


def events(call: Call, given: Answer, opened: dict[str, object], closed: dict[str, object]) -> Iterator[bytes]:
    """The events of a streamed answer, numbered from 0."""
    numbers = count()

    def event(kind: str, **members: object) -> bytes:
        return named_event({"type": kind, "sequence_number": next(numbers), **members})

    yield event("response.created", response=opened)
    yield event("response.in_progress", response=opened)
    begun, done = item_of(call, given, "in_progress"), item_of(call, given, status_of(given))
    yield event("response.output_item.added", output_index=0, item=begun)
    place = {"item_id": done["id"], "output_index": 0}
    if given.call:
        for token in given.tokens:
            yield event("response.function_call_arguments.delta", **place, delta=token)
        yield event("response.function_call_arguments.done", **place, name=given.call.name, arguments=given.text)
    else:
        spot = {**place, "content_index": 0}
        yield event("response.content_part.added", **spot, part=part_of(""))
        for token in given.tokens:
            yield event("response.output_text.delta", **spot, delta=token, logprobs=[])
        yield event("response.output_text.done", **spot, text=given.text, logprobs=[])
        yield event("response.content_part.done", **spot, part=part_of(given.text))
    yield event("response.output_item.done", output_index=0, item=done)
    yield event(f"response.{closed['status']}", response=closed)


def response_of(call: Call, request: ResponseRequest) -> dict[str, object]:
    """The response object before anything is in it."""
    choice = request.tool_choice.choice() if request.tool_choice else Choice.AUTO
    return {
        "id": f"resp_{call.id}",
        "object": "response",
        "created_at": call.time,
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "instructions": request.instructions,
        "max_output_tokens": request.max_output_tokens,
        "model": request.model,
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "store": False,
        "text": {"format": {"type": "text"}},
        "tool_choice": {"type": "function", "name": choice} if isinstance(choice, str) else choice.value,
        "tools": [
            {
                "type": "function",
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.parameters,
                "strict": tool.strict is not False,
            }
            for tool in request.functions()
        ],
        "truncation": "disabled",
        "usage": None,
        "metadata": {},
    }


def closing(call: Call, opened: dict[str, object], given: Answer, read: int) -> dict[str, object]:
    """The finished response object; READ is the number of input tokens."""
    status = status_of(given)
    return {
        **opened,
        "status": status,
        "incomplete_details": {"reason": "max_output_tokens"} if given.cut else None,
        "output": [item_of(call, given, status)],
        "usage": {
            "input_tokens": read,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": given.output_tokens(),
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": read + given.output_tokens(),
        },
    }


def item_of(call: Call, given: Answer, status: str) -> dict[str, object]:
    """The one output item; empty while it is in progress."""
    text = "" if status == "in_progress" else given.text
    if given.call:
        return {
            "id": f"fc_{call.id}",
            "type": "function_call",
            "status": status,
            "call_id": f"call_{call.id}",
            "name": given.call.name,
            "arguments": text,
        }
    content = [] if status == "in_progress" else [part_of(text)]
    return {"id": f"msg_{call.id}", "type": "message", "status": status, "role": "assistant", "content": content}


def part_of(text: str) -> dict[str, object]:
    """A text part of the output."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def status_of(given: Answer) -> str:
    """How the answer ended."""
    return "incomplete" if given.cut else "completed"
