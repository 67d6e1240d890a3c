"""What a usage object says, in each wire's own names."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from beyond_ai.gateway.usage.wire import Wire

_log = logging.getLogger(__name__)

U64_MAX: Final = 2**64 - 1
"""Counts are unsigned 64-bit wherever they go; larger ones stay at this."""

# Looked up once: on every answer it would cost as much as reading a count does.
_MESSAGES: Final = Wire.MESSAGES
_RESPONSES: Final = Wire.RESPONSES

_NOTHING: Final[Mapping[str, object]] = {}


@dataclass(slots=True)
class Usage:
    """What an answer says of itself.

    Attributes:
        found: whether a usage object was read. Counts of zero with `found` are the provider's word; without, unknown.
        input_tokens, output_tokens, cache_read_tokens, cache_write_tokens: tokens, each in its wire's own meaning;
            one that the provider left out is 0.
        reasoning_tokens: None when the provider did not say.
        model: the model as answered, never empty; None when it could not be read.
        finished: whether the answer came to its own end: a JSON body whole, a stream up to its terminal event.
            Without it the counts of a stream may be those of its beginning only.
        error: whether the stream carried an error event at its end.
    """

    found: bool = False
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int | None = None
    model: str | None = None
    finished: bool = False
    error: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Quirk:
    """How a provider's report differs from its wire.

    Attributes:
        paths: further places of the usage object, from the root of a body or event, tried after the wire's own:
            `(("x_groq", "usage"),)`. The last name of each is `usage`.
        adjust: called with the usage object and the counts that the wire reads in it, which it may change.
            What it raises is logged, and the counts stay as they are by then.
    """

    paths: tuple[tuple[str, ...], ...] = ()
    adjust: Callable[[Mapping[str, object], Usage], None] | None = None

    def apply(self, report: Mapping[str, object], usage: Usage) -> None:
        """Adjust USAGE by what REPORT says."""
        if self.adjust is None:
            return
        try:
            self.adjust(report, usage)
        except Exception:  # noqa: BLE001 - a plugin's code, and metering fails open
            _log.exception("a provider's usage quirk failed; its wire's own counts stand")
        # A sum of two counts may leave the range.
        usage.input_tokens = min(usage.input_tokens, U64_MAX)
        usage.output_tokens = min(usage.output_tokens, U64_MAX)


def read_counts(wire: Wire, report: Mapping[str, object], usage: Usage) -> None:
    """Set the counts of USAGE from REPORT, the usage object of WIRE. One of another dialect changes nothing."""
    if wire is _MESSAGES:
        _read_messages(report, usage)
    elif wire is _RESPONSES:
        _read_responses(report, usage)
    else:
        _read_chat(report, usage)


def count(value: object) -> int | None:
    """VALUE as a count; None when it is not one. JSON knows no bool, float, string or negative number of tokens."""
    if type(value) is int:
        return min(value, U64_MAX) if value >= 0 else None
    # orjson gives integers that are wider than 64 bits as floats.
    if type(value) is float and value > U64_MAX:
        return U64_MAX
    return None


def _read_chat(report: Mapping[str, object], usage: Usage) -> None:
    if _is_anthropic(report):
        return
    input_tokens, output_tokens = count(report.get("prompt_tokens")), count(report.get("completion_tokens"))
    if input_tokens is None and output_tokens is None:
        return
    prompt = _object(report.get("prompt_tokens_details"))
    cache_read = count(prompt.get("cached_tokens"))
    if cache_read is None:
        # DeepSeek's own field: https://api-docs.deepseek.com/guides/kv_cache
        cache_read = count(report.get("prompt_cache_hit_tokens"))
    usage.found = True
    usage.input_tokens = input_tokens or 0
    usage.output_tokens = output_tokens or 0
    usage.cache_read_tokens = cache_read or 0
    usage.cache_write_tokens = count(prompt.get("cache_write_tokens")) or 0
    usage.reasoning_tokens = count(_object(report.get("completion_tokens_details")).get("reasoning_tokens"))


def _read_responses(report: Mapping[str, object], usage: Usage) -> None:
    if _is_anthropic(report):
        return
    input_tokens, output_tokens = count(report.get("input_tokens")), count(report.get("output_tokens"))
    if input_tokens is None and output_tokens is None:
        return
    usage.found = True
    usage.input_tokens = input_tokens or 0
    usage.output_tokens = output_tokens or 0
    usage.cache_read_tokens = count(_object(report.get("input_tokens_details")).get("cached_tokens")) or 0
    usage.reasoning_tokens = count(_object(report.get("output_tokens_details")).get("reasoning_tokens"))


def _read_messages(report: Mapping[str, object], usage: Usage) -> None:
    """Lay REPORT over what USAGE has from an earlier event of the same stream: counts are assigned, never added.

    A later event repeats input and cache counts only where it knows better, so that its zeros change nothing. Output
    is cumulative and its last word stands.
    """
    if "prompt_tokens" in report and "completion_tokens" in report:
        return
    input_tokens, output_tokens = count(report.get("input_tokens")), count(report.get("output_tokens"))
    if input_tokens is None and output_tokens is None:
        return
    usage.found = True
    usage.input_tokens = input_tokens or usage.input_tokens
    if output_tokens is not None:
        usage.output_tokens = output_tokens
    usage.cache_read_tokens = count(report.get("cache_read_input_tokens")) or usage.cache_read_tokens
    usage.cache_write_tokens = count(report.get("cache_creation_input_tokens")) or usage.cache_write_tokens
    thinking = count(_object(report.get("output_tokens_details")).get("thinking_tokens"))
    if thinking is not None:
        usage.reasoning_tokens = thinking


def _is_anthropic(report: Mapping[str, object]) -> bool:
    """Whether REPORT is Anthropic's: OpenAI's Responses has the same two names, but a total beside them."""
    return "input_tokens" in report and "output_tokens" in report and "total_tokens" not in report


def _object(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else _NOTHING
