"""What every dialect has: a way to write a request, and a decoder for what comes back."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from beyond_ai.agent.dialects.sse import ServerSentEvent
from beyond_ai.agent.failure import ModelFailure
from beyond_ai.agent.model import ModelFacts, ModelRequest, StreamEvent
from beyond_ai.spec.conversation import JsonObject, ToolUse

DialectName = Literal["chat", "responses", "messages"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WireOptions:
    """What shapes a body besides the request.

    Attributes:
        provider: who is at the other end, as the gateway names it (`openrouter`); empty when that is not known.
        cache: whether to mark what the provider may cache.
    """

    provider: str = ""
    cache: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class WireRequest:
    """A request in a provider's words, without the credential. Names of headers are in lower case."""

    path: str
    headers: Mapping[str, str]
    body: JsonObject


class Decoder(Protocol):
    """Reads one answer. Fed in order; used once. Every method raises ModelFailure for what the stream tells of."""

    @property
    def ended(self) -> bool:
        """Whether the answer is complete: nothing that follows counts."""
        ...

    @property
    def may_end(self) -> bool:
        """Whether the stream may end here: what could still come is a report of usage."""
        ...

    def feed(self, event: ServerSentEvent) -> list[StreamEvent]:
        """What EVENT says."""
        ...

    def finish(self) -> list[StreamEvent]:
        """What the end of the stream says. ModelFailure when it ends too early."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One dialect; `encode` and the decoders are pure."""

    name: DialectName
    encode: Callable[[ModelRequest, ModelFacts, WireOptions], WireRequest]
    decoder: Callable[[], Decoder]


def event_object(event: ServerSentEvent) -> JsonObject:
    """The object that EVENT holds. Halves of a surrogate pair, which no file can hold, become U+FFFD."""
    try:
        value: object = json.loads(event.data)
        if b"\\u" in event.data and b"\\ud" in event.data.lower():
            text = json.dumps(value, ensure_ascii=False)
            value = json.loads(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    except (ValueError, RecursionError):
        raise cut_off("holds an event that is not JSON") from None
    if not isinstance(value, dict):
        raise cut_off("holds an event that is not a JSON object")
    return value


def cut_off(how: str) -> ModelFailure:
    """The failure of a stream that broke off, or that makes no sense; HOW follows `the model's stream`."""
    return ModelFailure("network", f"the model's stream {how}", retryable=True)


def tool_use(call_id: str, name: str, arguments: str, *, whole: bool = True, signature: str | None = None) -> ToolUse:
    """The call with ARGUMENTS as they were streamed. It can run only if they are WHOLE and a JSON object.

    No arguments at all are an empty object: that is how providers write a call without arguments.
    """
    parsed = parse_arguments(arguments) if whole else None
    if parsed is None or not name:
        return ToolUse(id=call_id, name=name, input={}, malformed=arguments, signature=signature)
    return ToolUse(id=call_id, name=name, input=parsed, signature=signature)


def parse_arguments(arguments: str) -> JsonObject | None:
    """ARGUMENTS as an object; None when they are no JSON object, or hold what JSON has not (NaN, half a surrogate)."""
    if not arguments.strip():
        return {}
    try:
        value: object = json.loads(arguments, parse_constant=_refuse)
        if "\\ud" in arguments.lower():
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is not JSON")


def text_of(value: object) -> str:
    """VALUE if it is text, else nothing."""
    return value if isinstance(value, str) else ""


def object_of(value: object) -> JsonObject:
    """VALUE if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def list_of(value: object) -> list[object]:
    """VALUE if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def count_of(value: object) -> int:
    """VALUE if it is a number of tokens, else 0."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
