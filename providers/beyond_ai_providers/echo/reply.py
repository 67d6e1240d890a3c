"""A request as a wire sees it, the reply that it makes, and the refusal, which two families of wires word apart."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from beyond_ai import Headers


class Body(BaseModel):
    """The part of a request body that echo reads. Unknown members pass, wrong types do not."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


B = TypeVar("B", bound=Body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request. `id` (hex) and `time` (Unix seconds) mark everything made for it; `limit` is in tokens."""

    body: bytes
    id: str
    time: int
    limit: int

    def read(self, model: type[B]) -> B:
        """The body as a MODEL; `Refusal` (400) names what is wrong with it."""
        try:
            value = orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            raise Refusal(400, f"the body is not JSON: {error}") from None
        if not isinstance(value, dict):
            raise Refusal(400, "the body must be a JSON object")
        try:
            return model.model_validate(value)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            where = ".".join(str(step) for step in first["loc"])
            raise Refusal(400, f"{where}: {first['msg']}", param=where) from None


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer: status, headers with the framing among them, and the body in the pieces that it is sent in."""

    status: int
    headers: Headers
    pieces: Iterable[bytes]


class Refusal(Exception):  # noqa: N818 - an answer, not a fault
    """The request cannot be served. `code` is OpenAI's machine-readable word for why, where it has one."""

    def __init__(self, status: int, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.code = code


def json_reply(value: Mapping[str, object], status: int = 200) -> Reply:
    """One JSON object."""
    body = orjson.dumps(value)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    return Reply(status, headers, (body,))


def stream_reply(events: Iterable[bytes]) -> Reply:
    """An event stream, one piece an event, framed as HTTP/1.1 frames what has no length."""
    headers = [
        (b"content-type", b"text/event-stream; charset=utf-8"),
        (b"cache-control", b"no-cache"),
        (b"transfer-encoding", b"chunked"),
    ]
    return Reply(200, headers, events)


def data_event(value: Mapping[str, object]) -> bytes:
    """An unnamed server-sent event."""
    return b"data: " + orjson.dumps(value) + b"\n\n"


def named_event(value: Mapping[str, object]) -> bytes:
    """A server-sent event named as its own `type`."""
    return f"event: {value['type']}\n".encode() + data_event(value)


def openai_error(refusal: Refusal) -> Reply:
    """REFUSAL as OpenAI words it (https://platform.openai.com/docs/guides/error-codes)."""
    error = {
        "message": refusal.message,
        "type": "invalid_request_error",
        "param": refusal.param,
        "code": refusal.code,
    }
    return json_reply({"error": error}, refusal.status)


def anthropic_error(refusal: Refusal, request_id: str) -> Reply:
    """REFUSAL as Anthropic words it (https://docs.claude.com/en/api/errors)."""
    kind = {404: "not_found_error", 413: "request_too_large"}.get(refusal.status, "invalid_request_error")
    error = {"type": kind, "message": refusal.message}
    return json_reply({"type": "error", "error": error, "request_id": request_id}, refusal.status)
