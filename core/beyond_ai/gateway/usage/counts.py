"""What a usage object says, in each wire's own names, and what a provider's quirk makes of it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Final

from beyond_ai.gateway.usage.wire import Wire
from beyond_ai.spec.token_count import U64_MAX, token_count
from beyond_ai.spec.usage import Adjust, UsageCounts

Report = Mapping[str, object]
"""A usage object, or a document that may hold one."""

# Looked up once: on every answer it would cost as much as reading a count does.
_MESSAGES: Final = Wire.MESSAGES
_RESPONSES: Final = Wire.RESPONSES

_NOTHING: Final[Report] = {}
# What a stranger's code has put there is of any type, which an attribute as such is not where this is compiled.
_ALWAYS: Final = attrgetter("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
_SOMETIMES: Final = attrgetter("cache_write_1h_tokens", "reasoning_tokens", "server_tool_calls")
_TEXTS: Final = attrgetter("service_tier", "upstream_cost_usd")
_TIER: Final = re.compile(r"[a-z0-9_-]{1,16}")
_DOLLARS: Final = re.compile(r"(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_MAX_DOLLARS: Final = 48
"""Characters of an amount: what a price can have, with room; it goes into every sink's row."""


@dataclass(slots=True, init=False)
class Usage:
    """What an answer says of itself: its counts, as in `UsageCounts`, and how it ended.

    Attributes:
        found: whether a usage object was read. Counts of zero with `found` are the provider's word; without, unknown.
        model: the model as answered, never empty; None when it could not be read.
        finished: whether the answer came to its own end: a JSON body whole, a stream up to its terminal event.
            Without it the counts of a stream may be those of its beginning only.
        error: whether the stream carried an error event at its end.
        failure: what a provider's quirk raised, for the log.
    """

    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    cache_write_1h_tokens: int | None
    reasoning_tokens: int | None
    service_tier: str | None
    server_tool_calls: int | None
    upstream_cost_usd: str | None
    found: bool
    model: str | None
    finished: bool
    error: bool
    failure: Exception | None

    def __init__(
        self,
        *,
        input_tokens: int = 0,
        output_tokens: int = 0,
        cache_read_tokens: int = 0,
        cache_write_tokens: int = 0,
        cache_write_1h_tokens: int | None = None,
        reasoning_tokens: int | None = None,
        service_tier: str | None = None,
        server_tool_calls: int | None = None,
        upstream_cost_usd: str | None = None,
        found: bool = False,
        model: str | None = None,
        finished: bool = False,
        error: bool = False,
        failure: Exception | None = None,
    ) -> None:
        self.input_tokens = input_tokens
        self.output_tokens = output_tokens
        self.cache_read_tokens = cache_read_tokens
        self.cache_write_tokens = cache_write_tokens
        self.cache_write_1h_tokens = cache_write_1h_tokens
        self.reasoning_tokens = reasoning_tokens
        self.service_tier = service_tier
        self.server_tool_calls = server_tool_calls
        self.upstream_cost_usd = upstream_cost_usd
        self.found = found
        self.model = model
        self.finished = finished
        self.error = error
        self.failure = failure


def read_counts(wire: Wire, report: Report, usage: Usage) -> None:
    """Set the counts of USAGE from REPORT, the usage object of WIRE. One of another dialect changes nothing."""
    if wire is _MESSAGES:
        _read_messages(report, usage)
    elif wire is _RESPONSES:
        _read_responses(report, usage)
    else:
        _read_chat(report, usage)


def adjust_counts(adjust: Adjust, report: Report, usage: Usage) -> None:
    """Let ADJUST, a provider's code, change the counts that REPORT gave. If it raises, they stand; see `failure`."""
    counts = UsageCounts(
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_tokens,
        usage.cache_write_tokens,
        usage.cache_write_1h_tokens,
        usage.reasoning_tokens,
        usage.service_tier,
        usage.server_tool_calls,
        usage.upstream_cost_usd,
    )
    try:
        adjust(report, counts)
        _take(counts, usage)
    except Exception as error:  # noqa: BLE001 - a plugin's code, and metering fails open
        usage.failure = error


def tier_name(value: object) -> str | None:
    """VALUE if it is the name of a service tier; what else a provider may write there goes into no log."""
    return value if isinstance(value, str) and _TIER.fullmatch(value) else None


def dollars(value: object) -> str | None:
    """VALUE, text, if it is an amount: a JSON number that is not negative."""
    if not isinstance(value, str) or len(value) > _MAX_DOLLARS or not _DOLLARS.fullmatch(value):
        return None
    return value


def _take(counts: UsageCounts, usage: Usage) -> None:
    """Take COUNTS over into USAGE, all or nothing. TypeError for what is not a count."""
    always: tuple[object, ...] = _ALWAYS(counts)
    sometimes: tuple[object, ...] = _SOMETIMES(counts)
    texts: tuple[object, ...] = _TEXTS(counts)
    known = [_known(value) for value in always]
    said = [None if value is None else _known(value) for value in sometimes]
    usage.input_tokens, usage.output_tokens, usage.cache_read_tokens, usage.cache_write_tokens = known
    usage.cache_write_1h_tokens, usage.reasoning_tokens, usage.server_tool_calls = said
    usage.service_tier, usage.upstream_cost_usd = tier_name(texts[0]), dollars(texts[1])


def _known(value: object) -> int:
    if (count := token_count(value)) is None:
        raise TypeError(f"{value!r} is not a count: a quirk sets integers that are not negative")
    return count


def _read_chat(report: Report, usage: Usage) -> None:
    if _is_anthropic(report):
        return
    input_tokens, output_tokens = token_count(report.get("prompt_tokens")), token_count(report.get("completion_tokens"))
    if input_tokens is None and output_tokens is None:
        return
    prompt = _object(report.get("prompt_tokens_details"))
    usage.found = True
    usage.input_tokens = input_tokens or 0
    usage.output_tokens = output_tokens or 0
    usage.cache_read_tokens = token_count(prompt.get("cached_tokens")) or 0
    # OpenAI and OpenRouter report these; others leave them out, and then nothing was written at a price.
    usage.cache_write_tokens = token_count(prompt.get("cache_write_tokens")) or 0
    usage.reasoning_tokens = token_count(_object(report.get("completion_tokens_details")).get("reasoning_tokens"))


def _read_responses(report: Report, usage: Usage) -> None:
    if _is_anthropic(report):
        return
    input_tokens, output_tokens = token_count(report.get("input_tokens")), token_count(report.get("output_tokens"))
    if input_tokens is None and output_tokens is None:
        return
    usage.found = True
    usage.input_tokens = input_tokens or 0
    usage.output_tokens = output_tokens or 0
    usage.cache_read_tokens = token_count(_object(report.get("input_tokens_details")).get("cached_tokens")) or 0
    usage.reasoning_tokens = token_count(_object(report.get("output_tokens_details")).get("reasoning_tokens"))


def _read_messages(report: Report, usage: Usage) -> None:
    """Lay REPORT over what USAGE has from an earlier event of the same stream: counts are assigned, never added.

    A later event repeats input and cache counts only where it knows better, so that its zeros change nothing. Output
    is cumulative and its last word stands.
    """
    if "prompt_tokens" in report and "completion_tokens" in report:
        return
    input_tokens, output_tokens = token_count(report.get("input_tokens")), token_count(report.get("output_tokens"))
    if input_tokens is None and output_tokens is None:
        return
    usage.found = True
    usage.input_tokens = input_tokens or usage.input_tokens
    if output_tokens is not None:
        usage.output_tokens = output_tokens
    usage.cache_read_tokens = token_count(report.get("cache_read_input_tokens")) or usage.cache_read_tokens
    usage.cache_write_tokens = token_count(report.get("cache_creation_input_tokens")) or usage.cache_write_tokens
    for_an_hour = token_count(_object(report.get("cache_creation")).get("ephemeral_1h_input_tokens"))
    if for_an_hour is not None:
        usage.cache_write_1h_tokens = for_an_hour or usage.cache_write_1h_tokens or 0
    thinking = token_count(_object(report.get("output_tokens_details")).get("thinking_tokens"))
    if thinking is not None:
        usage.reasoning_tokens = thinking
    tools = report.get("server_tool_use")
    if isinstance(tools, dict):
        # One member a tool (`web_search_requests`, `web_fetch_requests`), cumulative as output is.
        usage.server_tool_calls = min(sum(token_count(calls) or 0 for calls in tools.values()), U64_MAX)
    usage.service_tier = tier_name(report.get("service_tier")) or usage.service_tier


def _is_anthropic(report: Report) -> bool:
    """Whether REPORT is Anthropic's: OpenAI's Responses has the same two names, but a total beside them."""
    return "input_tokens" in report and "output_tokens" in report and "total_tokens" not in report


def _object(value: object) -> Report:
    return value if isinstance(value, dict) else _NOTHING
