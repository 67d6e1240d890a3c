"""A scripted model: an upstream that plays a written conversation on the Chat, Responses and Messages wires at once.

    with ScriptedModel(
        uses(tool_call("read", path="setup.py")),
        HttpError(429, retry_after=1),
        lambda request: says(f"It has {len(request.results[0].content)} characters."),
    ) as model:
        ...                       # an agent, or a gateway for it, is pointed at model.authority
    assert [block.name for block in model.asked[-1].messages[1].tool_uses] == ["read"]

Each request gets the next turn, in the stream form of the wire that it asks on; a turn may be a function of the
request, called in the model's own thread. A request that is not to one of the three endpoints, one that comes after the
last turn, and a function that raises, all fail the `with`.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeAlias

import orjson

from beyond_ai.testing import chat, messages, responses
from beyond_ai.testing.answer import Answer, JsonObject, ToolCall, numbered
from beyond_ai.testing.message import ReceivedRequest
from beyond_ai.testing.model_call import ModelCall, Wire, wire_of
from beyond_ai.testing.steps import Close, Pause, ReadBody, Reset, Send, Step, Tell, Until
from beyond_ai.testing.threaded import ThreadedUpstream
from beyond_ai.testing.wire import LAST_CHUNK, chunk, chunked_head, json_response

Ending: TypeAlias = Literal["reset", "close", "end", "error", "stall"]
"""How a stream breaks off: RST, FIN, a proper end of the body, an error event and that, or nothing more at all."""

FINISHING: Final = {"chat": b'"finish_reason":"', "messages": b'"message_delta"', "responses": b'"usage":{'}
"""What the frame holds from which on a stream counts as finished."""


@dataclass(frozen=True, slots=True)
class HttpError:
    """An error response, in the error form of the wire. `retry_after`, in seconds, becomes the header."""

    status: int
    message: str = "the scripted model fails"
    kind: str = "invalid_request_error"
    retry_after: float | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class PromptTooLong:
    """Status 400, in the words of the provider whose wire it is."""


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """The connection ends, or stalls, before a byte of an answer."""

    ending: Literal["reset", "close", "stall"] = "reset"


@dataclass(frozen=True, slots=True)
class Broken:
    """The stream of `answer` breaks off after `after` frames; None is just before the one that says why it ends."""

    answer: Answer = field(default_factory=Answer)
    after: int | None = None
    ending: Ending = "reset"


@dataclass(frozen=True, slots=True)
class Held:
    """The stream of `answer`, which waits after `after` frames until `gate` is set with `ScriptedModel.set`.

    `reached` is set when it has come so far. Both events belong to the model's own loop.
    """

    answer: Answer
    gate: asyncio.Event
    after: int = 1
    reached: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class Slow:
    """The stream of `answer` with a pause of `seconds` before each frame."""

    answer: Answer
    seconds: float


Turn: TypeAlias = Answer | HttpError | PromptTooLong | NoAnswer | Broken | Held | Slow
Reply: TypeAlias = Turn | Callable[[ModelCall], Turn]
"""A turn, or a function that chooses one when it sees the request."""


OPENAI_TOO_LONG: Final = HttpError(
    400, "This model's maximum context length is 128000 tokens, and the messages resulted in 131072 tokens."
)
PROMPT_TOO_LONG: Final[dict[Wire, HttpError]] = {
    "chat": OPENAI_TOO_LONG,
    "responses": HttpError(400, "Your input exceeds the context window of this model."),
    "messages": HttpError(400, "prompt is too long: 208310 tokens > 200000 maximum"),
}


def says(text: str, *, thinking: str = "") -> Answer:
    """An answer that ends the conversation."""
    return Answer(text=text, thinking=thinking)


def uses(*calls: ToolCall, text: str = "", thinking: str = "") -> Answer:
    """An answer that asks for tools."""
    return Answer(text=text, thinking=thinking, tool_calls=calls)


def tool_call(name: str, /, **arguments: object) -> ToolCall:
    """A call with ARGUMENTS as JSON."""
    return ToolCall(name, orjson.dumps(arguments).decode())


class ScriptedModel(ThreadedUpstream):
    """An upstream that answers each request with the next of TURNS, and all after the last with THEN.

    Without THEN a request after the last turn is an error. It runs in a thread of its own, so that tests with and
    without an event loop use it alike. Calls that were given no id get one that is unique in the conversation.
    """

    def __init__(self, *turns: Reply, then: Reply | None = None, listener: socket.socket | None = None) -> None:
        super().__init__(default=self._answer_to, listener=listener)
        self._turns = deque(turns)
        self._then = then
        self._asked: list[ModelCall] = []

    @property
    def url(self) -> str:
        """Where it is, as an agent that needs no gateway is told."""
        return f"http://{self.authority}"

    @property
    def asked(self) -> tuple[ModelCall, ...]:
        """The requests so far whose bodies are whole."""
        return tuple(self._asked)

    @property
    def unplayed(self) -> int:
        """How many turns have not been asked for."""
        return len(self._turns)

    def _answer_to(self, received: ReceivedRequest) -> Iterator[Step]:
        yield ReadBody()
        wire = wire_of(received.target)
        if wire is None or received.method != b"POST":
            self._upstream.failed(f"{received.method.decode()} {received.target.decode()} is no request to a model")
            yield Send(json_response({"error": {"message": "no such endpoint"}}, status=404))
            return
        request = ModelCall(len(self._asked) + 1, wire, received)
        self._asked.append(request)
        reply = self._turns.popleft() if self._turns else self._then
        if reply is None:
            self._upstream.failed(f"request {request.number} came after the last turn")
            yield from _played(HttpError(400, "the scripted conversation is over"), request)
            return
        yield from _played(reply(request) if callable(reply) else reply, request)


_BODIES: Final[dict[Wire, Callable[[Answer], JsonObject]]] = {
    "chat": chat.body,
    "responses": responses.body,
    "messages": messages.body,
}
_ERROR_EVENTS: Final[dict[Wire, Callable[[str], bytes]]] = {
    "chat": chat.error_event,
    "responses": responses.error_event,
    "messages": messages.error_event,
}


def _played(turn: Turn, request: ModelCall) -> Iterator[Step]:
    """TURN on the wire of REQUEST."""
    match turn:
        case HttpError():
            yield Send(_http_error(turn, request.wire))
        case PromptTooLong():
            yield Send(_http_error(PROMPT_TOO_LONG[request.wire], request.wire, code="context_length_exceeded"))
        case NoAnswer(ending):
            yield from _ended(ending, request.wire)
        case Broken(answer, after, ending):
            pieces = _pieces(answer, request)
            yield from _sent(pieces[: _finishing(pieces, request.wire) if after is None else after], request)
            yield from _ended(ending, request.wire)
        case Held(answer, gate, after, reached):
            pieces = _pieces(answer, request)
            yield from _sent(pieces[:after], request)
            yield Tell(reached)
            yield Until(gate)
            yield Send(b"".join(map(chunk, pieces[after:])) + LAST_CHUNK)
        case Slow(answer, seconds):
            yield Send(_head(request))
            for piece in _pieces(answer, request):
                yield Pause(seconds)
                yield Send(chunk(piece))
            yield Send(LAST_CHUNK)
        case Answer():
            yield from _sent(_pieces(turn, request), request)
            yield Send(LAST_CHUNK)


def _head(request: ModelCall) -> bytes:
    kind = b"text/event-stream" if request.streamed else b"application/json"
    return chunked_head(200, [(b"content-type", kind)])


def _sent(pieces: list[bytes], request: ModelCall) -> Iterator[Step]:
    yield Send(_head(request))
    for piece in pieces:
        yield Send(chunk(piece))


def _pieces(answer: Answer, request: ModelCall) -> list[bytes]:
    """The frames of ANSWER, or, where no stream was asked for, its JSON in two pieces."""
    calls = numbered(answer.tool_calls, f"call_scripted_{request.number}_")
    answer = replace(answer, tool_calls=calls)
    if not request.streamed:
        whole = orjson.dumps(_BODIES[request.wire](answer))
        return [whole[: len(whole) // 2], whole[len(whole) // 2 :]]
    match request.wire:
        case "chat":
            options = request.body.get("stream_options")
            included = isinstance(options, dict) and options.get("include_usage") is True
            return chat.frames(answer, include_usage=included)
        case "responses":
            return responses.frames(answer)
        case "messages":
            return messages.frames(answer)


def _finishing(pieces: list[bytes], wire: Wire) -> int:
    """The number of the first of PIECES that says why the answer ends."""
    return next((number for number, piece in enumerate(pieces) if FINISHING[wire] in piece), len(pieces) - 1)


def _ended(ending: Ending, wire: Wire) -> Iterator[Step]:
    match ending:
        case "reset":
            yield Reset()
        case "close":
            yield Close()
        case "stall":
            yield Until(asyncio.Event())
        case "end":
            yield Send(LAST_CHUNK)
        case "error":
            yield Send(chunk(_ERROR_EVENTS[wire]("the scripted model is overloaded")) + LAST_CHUNK)


def _http_error(turn: HttpError, wire: Wire, code: str | None = None) -> bytes:
    headers = list(turn.headers)
    if turn.retry_after is not None:
        headers.append((b"retry-after", f"{turn.retry_after:g}".encode()))
    if wire == "messages":
        return messages.error(turn.status, turn.message, kind=turn.kind, headers=headers)
    return chat.error(turn.status, turn.message, kind=turn.kind, code=code, headers=headers)
