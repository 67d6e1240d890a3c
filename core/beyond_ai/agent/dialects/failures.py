"""What went wrong with a request, as a `ModelFailure`: from an HTTP answer, or from an error within a stream.

Providers say the same thing in many ways, and different things (a full context, a full minute) in nearly the same
words. The order of the questions matters: a key that is refused, money, throttling, and only then a context that
overflows; digits in prose never count.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from beyond_ai.agent.failure import FailureCode, ModelFailure

MAX_MESSAGE: Final = 4_000
"""Characters of a provider's own words that are shown."""

# Patterns are compiled when something goes wrong, not at every start.

THROTTLED: Final = (
    r"throttlingexception|throttling error|rate.?limit|too many (concurrent )?requests|service unavailable"
    r"|please wait before trying again|tokens per (min|day)"
)
OVERFLOW: Final = (
    r"prompt (is )?too long|request_too_large|request exceeds the maximum (size|allowed number of bytes)"  # Anthropic
    r"|context_length_exceeded|model_context_window_exceeded"  # OpenAI; z.ai
    r"|maximum context length|context.window"  # OpenAI, DeepSeek, OpenRouter, Together, Mistral; OpenAI, MiniMax
    r"|input is too long for requested model"  # Bedrock
    r"|input token count.{0,40}exceeds the maximum"  # Gemini
    r"|maximum prompt length is \d"  # xAI
    r"|reduce the length of the (messages|prompt)|request too large for model"  # Groq; Cerebras
    r"|prompt token count of \d+ exceeds|exceeds the limit of \d+ tokens"  # Copilot
    r"|exceeds? (the )?available context|greater than the context length"  # llama.cpp; LM Studio
    r"|exceeded model token limit|tokens in request more than max tokens"  # Kimi; z.ai
    r"|tokens \+ .max_new_tokens. must be"  # Together
    r"|context.{0,60}(too long|exceed|maximum)|(too long|exceed|maximum).{0,60}context"  # Ollama and others
)
_QUOTA: Final = (
    r"insufficient_quota|quota.{0,20}exceeded|exceed\w*.{0,30}quota|billing|out of budget|credit balance"
    r"|insufficient (balance|credits|funds)|requires more credits|payment required|spend(ing)? limit"
)
_KEY: Final = (
    r"authentication_error|invalid_api_key|(incorrect|invalid) (x-)?api.key|no api key|authentication fails"
    r"|authenticationerror"
)
_UNSAFE: Final = r"content_policy|content_filter|usage guidelines|content management policy|safety_check"
_TRY_AGAIN: Final = r"(please|you can) (retry|try again)|try again (later|shortly|in \d)|retry your request"

_IN_BAND: Final[Mapping[str, tuple[FailureCode, bool]]] = {
    "rate_limit_error": ("rate_limit", True),
    "rate_limit_exceeded": ("rate_limit", True),
    "overloaded_error": ("overloaded", True),
    "api_error": ("overloaded", True),
    "server_error": ("overloaded", True),
    "internal_error": ("overloaded", True),
    "internal_server_error": ("overloaded", True),
    "service_unavailable": ("overloaded", True),
    "service_unavailable_error": ("overloaded", True),
    "engine_overloaded": ("overloaded", True),
    "timeout_error": ("timeout", True),
    "network_error": ("network", True),
    "permission_error": ("auth", False),
    "access_denied": ("auth", False),
    "tool_use_failed": ("bad_request", True),  # Groq: the model wrote a call that fits no tool, and may do better
    "invalid_request_error": ("bad_request", False),
    "not_found_error": ("bad_request", False),
}
_TIMEOUTS: Final = frozenset({408, 504, 524})
_RETRIED: Final = frozenset({408, 409, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529})


@dataclass(frozen=True, slots=True)
class _Complaint:
    """An error in a provider's words: `kinds` are its type and code, `text` all to judge it by, in lower case."""

    message: str
    kinds: tuple[str, ...]
    status: int | None
    text: str


_PROVIDER: Final = "the provider answered"


def http_failure(
    status: int, body: bytes, headers: Mapping[str, str], *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> ModelFailure:
    """What an HTTP answer with STATUS and BODY, which is no success, means. Names of HEADERS are in lower case."""
    text = body.decode("utf-8", "replace").strip()
    try:
        value: object = json.loads(text)
    except ValueError:
        value = None
    complaint = _complaint(value) if isinstance(value, dict | list) else _plain(text)
    if not text and status in (400, 413):
        # Cerebras says no more than this of a prompt that is too long.
        said = _said(_PROVIDER, status, "the prompt is too long")
        return ModelFailure("context_overflow", said, status=status)
    where = "the gateway answered" if headers.get("x-beyond-error-source") == "gateway" else _PROVIDER
    return _judge(complaint, status, retry_after(headers, now()), where)


def stream_failure(error: object) -> ModelFailure:
    """What ERROR, an object or text within a stream, means. Its own status, where it has one, counts as HTTP's."""
    complaint = _complaint(error)
    return _judge(complaint, complaint.status, None, where="the model's stream carries an error")


def error_of(event: Mapping[str, object]) -> object | None:
    """The error that EVENT, of any dialect's stream, carries in one of the three shapes; None when it is no error.

    `{"type": "error", "error": {...}}`, `{"error": {...}}`, or flat: `{"type": "error", "code": ..., "message": ...}`.
    """
    if error := event.get("error"):
        return error
    return dict(event) if event.get("type") == "error" else None


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds that HEADERS ask to wait: `retry-after-ms`, or `retry-after` in seconds or as a date (RFC 9110)."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * unit
        except ValueError:
            continue
        if 0 <= seconds < float("inf"):
            return seconds
    try:
        moment = parsedate_to_datetime(headers.get("retry-after", ""))
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())


def is_overflow(text: str) -> bool:
    """Whether TEXT, a provider's error, says that the context is too long, not that requests were too many."""
    lowered = text.lower()
    return not re.search(THROTTLED, lowered) and bool(re.search(OVERFLOW, lowered))


def _judge(complaint: _Complaint, status: int | None, wait: float | None, where: str) -> ModelFailure:
    code, retryable = _code(complaint, status)
    return ModelFailure(
        code,
        _advise(code, _said(where, status, complaint.message)),
        retryable=retryable,
        retry_after=wait if retryable else None,
        status=status,
    )


def _code(complaint: _Complaint, status: int | None) -> tuple[FailureCode, bool]:
    text = complaint.text
    if re.search(_QUOTA, text) or status == 402:
        return "quota", False
    if re.search(_UNSAFE, text):
        return "refused", False
    if status in (401, 403) or (status in (400, None) and re.search(_KEY, text)):
        return "auth", False
    if status == 429:
        return "rate_limit", True
    if status == 413 or (status != 404 and is_overflow(text)):
        return "context_overflow", False
    if status is not None and status >= 500:
        return "timeout" if status in _TIMEOUTS else "overloaded", status in _RETRIED
    named = next((_IN_BAND[kind] for kind in complaint.kinds if kind in _IN_BAND), None)
    if status is None:
        # Unnamed, in the middle of an answer that was accepted: nearly always the provider's own trouble.
        return named or ("network", True)
    if named is not None and named[1]:
        return named
    if status in _TIMEOUTS:
        return "timeout", True
    return "bad_request", status in _RETRIED or bool(re.search(_TRY_AGAIN, text))


def _said(where: str, status: int | None, message: str) -> str:
    head = where if status is None else f"{where} {status}"
    return f"{head}: {message}" if message else head


def _advise(code: FailureCode, message: str) -> str:
    if code == "auth":
        return f"{message}; set AI_AGENT_KEY, or --key, to a key that is valid at AI_GATEWAY_URL"
    if code == "quota":
        return f"{message}; the account behind the key has no budget left: retrying does not help"
    return message


def _plain(text: str) -> _Complaint:
    """A body that is not JSON: a proxy's page, or a line of text."""
    if text[:1] == "<":
        title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
        text = title.group(1).strip() if title else ""
    return _Complaint(text[:MAX_MESSAGE], (), None, _judged(text))


def _complaint(error: object) -> _Complaint:
    """ERROR, or what stands under its `error`, taken apart."""
    outer = error[0] if isinstance(error, list) and error else error
    inner = outer.get("error", outer) if isinstance(outer, dict) else outer
    fields: Mapping[str, object] = inner if isinstance(inner, dict) else {}
    if not isinstance(inner, dict) and isinstance(outer, dict):
        fields = outer  # xAI: {"code": ..., "error": "text"}
    message = _first_text(fields, "message", "error", "detail") or (inner if isinstance(inner, str) else "")
    if raw := _upstream_words(fields):
        message = f"{message}: {raw}" if message else raw
    kinds = tuple(value for name in ("code", "type", "status") if isinstance(value := fields.get(name), str))
    status = next((s for n in ("status_code", "code", "status") if (s := _status(fields.get(n)))), None)
    message = (message or json.dumps(error, ensure_ascii=False))[:MAX_MESSAGE]
    return _Complaint(message, kinds, status, _judged(" ".join((*kinds, message))))


def _judged(text: str) -> str:
    """TEXT without addresses: a page about billing is named for too many requests, too."""
    return re.sub(r"https?://\S+", "", text[:MAX_MESSAGE].lower())


def _first_text(fields: Mapping[str, object], *names: str) -> str:
    return next((value for name in names if isinstance(value := fields.get(name), str) and value), "")


def _upstream_words(fields: Mapping[str, object]) -> str:
    """OpenRouter: what the provider behind it said."""
    metadata = fields.get("metadata")
    raw = metadata.get("raw") if isinstance(metadata, dict) else None
    return raw if isinstance(raw, str) else ""


def _status(value: object) -> int | None:
    """VALUE if it is the status of an HTTP error."""
    number = int(value) if isinstance(value, str) and value.isdecimal() and len(value) == 3 else value
    return number if isinstance(number, int) and 400 <= number <= 599 else None
